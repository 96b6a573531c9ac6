"""A run's net as one file: what goes in, what comes out, and that it runs where this package is not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vision_baselines.api import load_run
from vision_baselines.cli.export import main
from vision_baselines.runs.record import Status, read_record
from vision_baselines.training.run import train

SUFFIXES = (".pt2", ".onnx")
RELEASED = Path(__file__).resolve().parents[1] / "runs" / "released" / "1" / "finished"


@pytest.fixture(scope="module")
def run(train_tiny, tmp_path_factory):
    """A finished tiny CNN."""
    folder = tmp_path_factory.mktemp("export") / "sweep" / "model=cnn,seed=0"
    train_tiny(folder)
    return folder


@pytest.fixture
def recorded(tmp_path_factory):
    """The folder of a run that an earlier version finished, whose net is not built."""
    folder = tmp_path_factory.mktemp("recorded") / "sweep" / "run"
    shutil.copytree(RELEASED, folder)
    return folder


@pytest.fixture
def export(called):
    """``export(*words)``: exit code, what was printed and what was complained of."""
    return called(main)


@pytest.mark.slow
@pytest.mark.ci
def test_a_pt2_file_answers_what_the_run_does_whatever_the_number_of_pictures(run, export, tmp_path, answers, pictures):
    target = tmp_path / "net.pt2"
    code, out, err = export(run, target, "--json")
    found = json.loads(out)

    assert (code, err) == (0, "")
    assert (found["compared"]["images"], found["compared"]["same_class"]) == (20, 20)
    assert found["compared"]["accuracy"] == pytest.approx(load_run(run).metrics["test/acc"])
    for n in (1, 5):
        images = pictures(n, (1, 8, 8))
        expected = load_run(run).predict(images[:, 0]).probabilities
        np.testing.assert_allclose(answers(target, images), expected, atol=1e-5)
    assert b"test_export" not in target.read_bytes()
    assert str(Path(torch.__file__).parent).encode() not in target.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.md", "net.pt2"]


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["{run}", "net.pth"], 2, "expected a file name that ends in .pt2 (torch.export) or .onnx (ONNX)"),
        (["{run}", "net"], 2, "does not say in which format"),
        (
            ["{run}", "n\udce9t.pt2"],
            2,
            "n\\udce9t.pt2 cannot stand in a model card; expected a name of plain UTF-8 text",
        ),
        (["{run}/run.json", "net.pt2"], 3, "is a file; expected the folder of a run"),
        (["{sweep}", "net.pt2"], 3, "holds 1 run; expected one of them, such as"),
        (["{run}/checkpoints", "net.pt2"], 3, "no run.json in it"),
        (["nowhere", "net.pt2"], 3, "no folder nowhere"),
        (["{run}", "nowhere/net.pt2"], 5, "there is no folder 'nowhere'"),
        (["{run}", "folder.pt2"], 5, "it is a folder"),
        (["{run}", "link.pt2"], 5, "is not a regular file"),
        (["{run}", "own.pt2"], 2, "own.md', where the model card goes, is a file of your own"),
        (["{run}", "net.pt2", "classifier.net.dropout=0"], 2, "is not about where the data are"),
        (["{run}"], 2, "the following arguments are required: file"),
        (["{run}", "net.pt2", "--threads", "0"], 2, "expected a whole number of at least 1"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_before_a_net_is_built(
    words, code, complaint, recorded, export, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vision_baselines.evaluation.export.load_classifier", lambda *_, **__: pytest.fail("was built"))
    Path("folder.pt2").mkdir()
    Path("link.pt2").symlink_to("elsewhere")
    Path("own.md").write_text("# notes\n")
    before = sorted(tmp_path.iterdir())
    found, out, err = export(*[word.format(run=recorded, sweep=recorded.parent) for word in words])

    assert (found, out) == (code, "")
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert complaint in last
    assert sorted(tmp_path.iterdir()) == before
    assert Path("own.md").read_text() == "# notes\n"


def test_a_run_that_is_not_finished_and_one_without_classes_are_refused(recorded, export, tmp_path):
    record = read_record(recorded)
    record.status = Status.FAILED
    record.write(tmp_path / "failed")
    record.status, record.class_names = Status.FINISHED, None
    record.write(tmp_path / "numbers")

    code, _, err = export(tmp_path / "failed", tmp_path / "net.pt2")
    assert code == 3
    assert "holds a run that is failed; expected a finished one" in err
    code, _, err = export(tmp_path / "numbers", tmp_path / "net.pt2")
    assert code == 3
    assert "learned numbers, not classes" in err


def test_onnx_that_is_not_installed_is_one_line_that_says_what_to_install(recorded, export, tmp_path, monkeypatch):
    monkeypatch.setattr("vision_baselines.evaluation.export_formats.find_spec", lambda name: None)
    code, _, err = export(recorded, tmp_path / "net.onnx")
    assert code == 2
    assert "onnx, onnxscript, onnxruntime are not installed" in err
    assert "pip install 'vision-baselines[onnx]'" in err


@pytest.mark.slow
@pytest.mark.ci
def test_the_cards_programs_run_without_this_package_and_give_the_runs_classes(run, export, tmp_path, pictures):
    for suffix in SUFFIXES:
        assert export(run, tmp_path / f"a net{suffix}")[0] == 0
    card = (tmp_path / "a net.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    assert len(programs) == 2
    paths = []
    for index, (mode, size) in enumerate([("L", (8, 8)), ("RGB", (31, 17)), ("RGBA", (9, 40)), ("P", (20, 20))]):
        image = Image.fromarray(pictures(1, (*size, 4), seed=index)[0], "RGBA").convert(mode)
        paths.append(tmp_path / f"{index}.png")
        image.save(paths[-1])
    expected = load_run(run).predict([str(path) for path in paths])
    for program in programs:
        (tmp_path / "program.py").write_text(program)
        start = "import runpy, sys; sys.modules['vision_baselines'] = None; runpy.run_path('program.py')"
        done = subprocess.run(
            [sys.executable, "-c", start, *map(str, paths)], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-2000:]
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        assert [(path, name) for path, name, _ in lines] == list(zip(map(str, paths), expected.labels, strict=True))
        np.testing.assert_allclose(
            [float(share) for *_, share in lines], expected.probabilities.max(axis=1), atol=1e-4 + 5e-5
        )


@pytest.mark.slow
@pytest.mark.parametrize("crop", ["true", "false"])
def test_a_net_of_ones_own_pictures_takes_them_from_outside_as_it_was_trained_on_them(
    crop, compose, export, tmp_path, pictures
):
    names = ["a|b `c`", "ü<i>*x*", "plain"]
    draw = np.random.default_rng(3)
    for index, name in enumerate(names):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(20):
            height, width = draw.integers(7, 40, 2)
            pixels = (pictures(1, (height, width, 3), seed=number)[0] // 2) + 40 * index
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{number}.png")
    overrides = [
        "model=cnn",
        "model.channels=[2,3]",
        "model.hidden_features=4",
        "trainer.max_epochs=1",
        "logger=none",
        "data.batch_size=8",
        "data=image_folder",
        f"data.source.root={tmp_path / 'data'}",
        f"data.source.cache_dir={tmp_path / 'cache'}",
        "data.source.image_size=12",
        f"data.source.crop={crop}",
        "data.image_shape=[3,12,12]",
        "data.num_classes=3",
        "data.mean=[0.3,0.3,0.4]",
        "data.std=[0.2,0.2,0.3]",
    ]
    train(compose(*overrides, run_dir=tmp_path / "run"))
    paths = [str(tmp_path / "data" / name / f"{number}.png") for name in names for number in (0, 1)]
    turned = Image.fromarray(pictures(1, (30, 9, 3), seed=9)[0])
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    paths.append(str(tmp_path / "turned.jpg"))
    expected = load_run(tmp_path / "run").predict(paths)
    for suffix in SUFFIXES:
        assert export(tmp_path / "run", tmp_path / f"net{suffix}")[0] == 0
    card = (tmp_path / "net.md").read_text()
    assert r"a\|b \`c\`" in card
    assert "ü&lt;i&gt;" in card
    assert str(tmp_path) not in card
    for program in re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL):
        (tmp_path / "program.py").write_text(program)
        done = subprocess.run(
            [sys.executable, "program.py", *paths],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            env={"PYTHONIOENCODING": "utf-8"},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        rows = [line.split("\t") for line in done.stdout.splitlines()]
        assert [row[:2] for row in rows] == [list(pair) for pair in zip(paths, expected.labels, strict=True)]
        np.testing.assert_allclose(
            [float(row[2]) for row in rows], expected.probabilities.max(axis=1), atol=1e-4 + 5e-5
        )


@pytest.mark.slow
@pytest.mark.ci
def test_an_onnx_file_says_what_it_is_takes_any_batch_and_names_no_file_of_this_machine(
    run, export, tmp_path, answers, pictures
):
    import onnx

    target = tmp_path / "net.onnx"
    code, out, err = export(run, target)
    assert code == 0, err
    assert "same class for 20" in out
    model = onnx.load(target)
    said = {prop.key: prop.value for prop in model.metadata_props}
    record = read_record(run)
    assert json.loads(said["class_names"]) == record.class_names
    assert said["weights_sha256"] == record.weights_sha256
    assert said["fingerprint"] == record.fingerprint
    metric = json.loads(said["metric"])
    assert metric["value"] == record.metrics["test/acc"]
    assert metric["interval_95"][0] < metric["value"] < metric["interval_95"][1]
    [images] = model.graph.input
    assert images.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    content = target.read_bytes()
    assert b".py" not in content
    for n in (1, 7):
        given = pictures(n, (1, 8, 8))
        expected = load_run(run).predict(given[:, 0]).probabilities
        np.testing.assert_allclose(answers(target, given), expected, atol=1e-5)
