"""What TensorBoard finds in the comparison's folder, read with TensorBoard's own reader."""

from __future__ import annotations

import io

import pytest
from matplotlib import image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import (
    EventAccumulator as PluginAccumulator,
)

from vision_baselines.report.markdown import markdown
from vision_baselines.report.sureness import TERMINAL_SURENESS
from vision_baselines.report.tables import TERMINAL
from vision_baselines.report.write import compare


@pytest.fixture(scope="module")
def made(tmp_path_factory, full_sweep):
    return compare([full_sweep(tmp_path_factory.mktemp("outputs") / "fashion", ["cnn", "fc"], 3, epochs=3)])


def events(folder, kind="comparison"):
    return sorted(path.name for path in folder.glob(f"events.out.tfevents.*.{kind}"))


@pytest.mark.slow
def test_pictures_and_table_are_there_at_the_step_of_finished_jobs(made):
    found = EventAccumulator(str(made.out)).Reload()

    assert found.Tags()["images"] == [
        f"comparison/{name}"
        for name in (
            "accuracy", "difference", "curves_val", "curves_train", "parameters", "seconds", "filters", "confusion"
        )
    ]  # fmt: skip
    (shown,) = found.Images("comparison/accuracy")
    assert shown.step == 6
    assert image.imread(io.BytesIO(shown.encoded_image_string)).shape[:2] == (shown.height, shown.width)


@pytest.mark.slow
def test_the_table_is_text_for_the_text_tab(made):
    found = PluginAccumulator(str(made.out)).Reload()

    assert found.PluginTagToContent("text").keys() == {"comparison/table"}
    (event,) = found.Tensors("comparison/table")
    text = event.tensor_proto.string_val[0].decode()
    code = [line for line in text.splitlines() if line.startswith("    ")]

    assert text == markdown(made.table, TERMINAL, [TERMINAL_SURENESS], as_code=True)
    assert not [line for line in text.splitlines() if line.startswith("|")]  # there words would be broken
    assert sum(line.startswith(("    model=cnn", "    model=fc")) for line in code) >= 4
    assert max(map(len, code)) < 110


@pytest.mark.slow
def test_there_is_one_event_file_and_a_newer_one_sorts_after_it(made):
    kinds = ("comparison", "columns")
    first = [events(made.out, kind) for kind in kinds]
    compare([made.out.parent])
    second = [events(made.out, kind) for kind in kinds]

    assert [len(names) for names in first + second] == [1] * 4
    assert all(before < after for before, after in zip(first, second, strict=True))


@pytest.mark.slow
def test_without_pictures_the_last_ones_stay(made):
    before = events(made.out)
    compare([made.out.parent], pictures=False)

    assert events(made.out) == before
    assert len(events(made.out, "columns")) == 1


@pytest.mark.slow
@pytest.mark.ci
def test_a_comparison_with_other_options_is_no_run_more_unless_it_has_a_folder_of_its_own(tmp_path, full_sweep):
    sweep = full_sweep(tmp_path / "fashion", ["cnn"], 1, epochs=2, filters=False)
    below = compare([sweep], metric="val/acc")
    apart = compare([sweep], tmp_path / "apart", metric="val/acc")

    assert below.out.parent == sweep / "comparison"
    assert (below.out / "pictures" / "accuracy.png").is_file()
    assert not list(sweep.rglob("events.*"))
    assert len(events(apart.out)) == 1
    assert sorted(apart.files) == sorted(
        path for path in apart.out.rglob("*") if path.name[0] != "." and path.is_file()
    )
