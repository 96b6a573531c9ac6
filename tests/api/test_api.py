"""What a notebook does: train, read, compare, evaluate, predict."""

from __future__ import annotations

import doctest
import subprocess
import sys

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from PIL import Image

import vision_baselines as vb
from vision_baselines.errors import ConfigError, DataError

TINY = ["model=fc", "model.hidden_features=[8]", "trainer.max_epochs=1", "callbacks.filters=null"]


@pytest.fixture
def run(there):
    return vb.train([*TINY, "name=api"])


def test_a_run_is_trained_in_a_folder_of_its_own_and_found_again(run, there):
    assert run.folder.parent == there / "outputs" / "api"
    assert run.status == "finished"
    assert 0 <= run.metrics["test/acc"] <= 1
    again = vb.train([*TINY, "name=api"])
    assert again.record.started_at == run.record.started_at  # it was not trained again
    assert vb.load_run(run.folder).metrics == run.metrics


@pytest.mark.slow
@pytest.mark.ci
def test_a_composed_config_trains_as_its_overrides_do(run):
    cfg = vb.compose([*TINY, "name=composed"])
    assert vb.train(cfg).record.weights_sha256 == run.record.weights_sha256


def test_predictions_are_those_of_the_recorded_test(run):
    from vision_baselines.data.sources import Digits

    test = Digits().load().test
    pictures = test.images.squeeze(1).numpy()
    found = run.predict(pictures, batch_size=50)
    assert found.probabilities.shape == (len(pictures), 10)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-5)
    right = [run.class_names.index(label) for label in found.labels] == test.target.numpy()
    assert right.mean() == pytest.approx(run.metrics["test/acc"], abs=1e-7)
    assert list(found.to_frame().columns) == ["label", *run.class_names]


def test_picture_files_are_prepared_as_arrays_are(run, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16), np.uint8)
    files = [tmp_path / f"{index}.png" for index in range(3)]
    for file, picture in zip(files, pixels, strict=True):
        Image.fromarray(picture).save(file)
    np.testing.assert_array_equal(run.predict(files).probabilities, run.predict(pixels).probabilities)
    assert len(run.predict(np.zeros((2, 40, 30, 3), np.uint8))) == 2
    assert len(run.predict([])) == 0


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "pictures", [np.zeros((2, 16, 16)), np.zeros((16, 16), np.uint8), np.zeros((2, 4, 4, 2), np.uint8), ["absent.png"]]
)
def test_what_is_no_picture_is_refused(run, pictures):
    with pytest.raises(DataError, match=r"expected uint8|absent\.png"):
        run.predict(pictures)


def test_lightnings_own_way_of_loading_gives_the_same_net(run):
    from vision_baselines.training.module import ImageClassifier

    loaded = ImageClassifier.load_from_checkpoint(run.ckpt_path)
    ours, theirs = run.net().state_dict(), loaded.net.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert not loaded.training


def test_a_checkpoint_that_names_a_forbidden_class_is_refused(run, tmp_path):
    from vision_baselines.storage import checkpoint_file
    from vision_baselines.training.module import ImageClassifier

    state = checkpoint_file.load(run.ckpt_path)
    state["config"]["classifier"]["net"]["_target_"] = "os.system"
    checkpoint_file.save(state, tmp_path / "evil.ckpt")
    with pytest.raises(ConfigError, match=r"os\.system"):
        ImageClassifier.load_from_checkpoint(tmp_path / "evil.ckpt")


def test_runs_are_a_table_of_what_differs_and_what_came_out(run, there):
    other = vb.train([*TINY, "name=api", "optimizer.lr=0.1"])
    frame = vb.load_runs(there / "outputs" / "api")
    assert len(frame) == 2
    assert set(frame["classifier.optimizer.lr"]) == {0.001, 0.1}
    assert set(frame["test/acc"]) == {run.metrics["test/acc"], other.metrics["test/acc"]}
    assert set(frame.status) == {"finished"}


@pytest.mark.slow
@pytest.mark.ci
def test_a_comparison_is_a_table_and_shows_itself(run, there):
    vb.train([*TINY, "name=api", "optimizer.lr=0.1"])
    found = vb.compare(there / "outputs" / "api")
    assert len(found.table) == len(found.jobs) == 2
    assert found.page.is_file()
    assert "<table" in found._repr_html_()
    assert found.headline in found._repr_html_() or "&" in found._repr_html_()


def test_a_run_is_evaluated_and_reproduced(run):
    assert vb.evaluate(run).same is True
    assert vb.reproduce(run).passed


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["optimiser.lr=1"], "optimiser"),
        (["model=cnm"], "cnm"),
        (["seed=-1"], "seed is -1"),
        (["trainer.max_epochs="], "max_epochs"),
    ],
)
def test_a_mistake_is_a_config_error_of_a_line_or_two(there, overrides, says):
    with pytest.raises(ConfigError, match=says) as caught:
        vb.train(overrides)
    assert len(str(caught.value).splitlines()) <= 2


def test_hydra_is_left_as_it_was(there):
    before = HydraConfig.instance().cfg, GlobalHydra.instance().is_initialized()
    vb.compose(TINY)
    assert (HydraConfig.instance().cfg, GlobalHydra.instance().is_initialized()) == before


def test_every_name_has_a_docstring_with_an_example():
    functions = [name for name in vb.__all__ if name not in ("Comparison", "Predictions")]
    assert [name for name in functions if ">>>" not in (getattr(vb, name).__doc__ or "")] == []
    assert set(vb.__all__) <= set(dir(vb))


@pytest.mark.slow
def test_the_examples_in_the_docstrings_hold(there):
    from vision_baselines import api

    found = doctest.testmod(api)
    assert found.attempted > 10
    assert found.failed == 0


def test_importing_the_package_imports_neither_torch_nor_hydra(environment):
    code = "import sys, vision_baselines; print(sorted({'torch', 'hydra', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("overrides", [[1], ["seed"], [None], [["seed=1"]], "seed"])
def test_overrides_are_texts(overrides):
    with pytest.raises(ConfigError, match="an override is"):
        vb.compose(overrides)


def test_one_override_may_be_given_alone():
    assert vb.compose("seed=3").seed == 3


@pytest.mark.parametrize("folders", [(), ([],), (3,), ([None],)])
def test_folders_are_folders(folders):
    with pytest.raises(ConfigError, match="folders are"):
        vb.load_runs(*folders)


@pytest.mark.parametrize("folder", ["", "/nowhere"])
def test_a_folder_without_a_run_is_named(folder):
    with pytest.raises(DataError, match=r"holds no run|no folder /nowhere"):
        vb.load_run(folder)


@pytest.mark.parametrize(
    "pictures",
    [np.zeros((2, 0, 0), "uint8"), np.zeros((2, 8, 8), "float32"), 3, None, [np.zeros((8, 8), "uint8")]],
)
def test_what_is_neither_an_array_nor_files_is_refused(pictures):
    from vision_baselines.data.prepared import check_array, files_of

    with pytest.raises(DataError, match=r"^pictures are"):
        check_array(pictures) if isinstance(pictures, np.ndarray) else files_of(pictures)


def test_a_call_leaves_the_process_as_it_was(there):
    torch.manual_seed(3)
    expected = torch.rand(3)
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(False)
    try:
        torch.manual_seed(3)
        vb.train([*TINY, "name=left", "+trainer.limit_train_batches=1", "threads=1"])
        assert torch.equal(torch.rand(3), expected)
        assert torch.get_num_threads() == 2
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=True)


@pytest.mark.slow
@pytest.mark.ci
def test_two_threads_train_one_after_the_other_and_leave_the_process_as_it_was(there):
    from concurrent.futures import ThreadPoolExecutor

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(2) as pool:
            runs = list(pool.map(lambda seed: vb.train([*TINY, "name=threads", f"seed={seed}"]), (0, 1)))
        assert [run.status for run in runs] == ["finished", "finished"]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
