"""Predictions are kept with the record: exact counts without torch, the same bytes again, nothing that was changed."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_baselines.errors import ConfigError, DataError
from vision_baselines.runs.predictions import PREDICTIONS_FILE, Predictions, packed, read_predictions
from vision_baselines.runs.record import read_record


@pytest.fixture(scope="module")
def run(train_tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs") / "run"
    return folder, train_tiny(folder, "keep_predictions=all")


READ = """
import json, sys
from pathlib import Path
import numpy as np
from vision_baselines.runs.predictions import read_predictions
from vision_baselines.runs.record import read_record
folder = Path(sys.argv[1])
record = read_record(folder)
found = read_predictions(folder, record)
assert "torch" not in sys.modules
print(json.dumps([float(np.float32(found.correct.mean())), found.confusion(10).tolist()]))
"""


def test_the_records_figures_follow_from_them_without_torch(run, environment):
    folder, record = run
    out = subprocess.run([sys.executable, "-c", READ, str(folder)], env=environment, capture_output=True, check=True)
    accuracy, confusion = json.loads(out.stdout)
    assert accuracy == record.metrics["test/acc"]
    assert confusion == record.confusion


@pytest.mark.parametrize(
    "overrides", [["trainer.precision=64-true"], ["trainer.precision=bf16-true"], ["task.top_k=2"]]
)
def test_of_any_precision(run_tiny, tmp_path, overrides):
    record = run_tiny("run", *overrides, "trainer.max_epochs=1")
    found = read_predictions(tmp_path / "outputs" / "run", record)
    assert np.float32(found.correct.mean()) == record.metrics["test/acc"]
    assert found.confusion(10).tolist() == record.confusion
    assert np.allclose(found.probabilities.astype(float).sum(axis=1), 1, atol=2**-10 * 10)


def test_all_keeps_train_and_val_in_their_order(run):
    folder, record = run
    sizes = {"train": 48, "val": 12, "test": 20}
    found = {split: read_predictions(folder, record, split) for split in sizes}
    assert {split: len(kept.targets) for split, kept in found.items()} == sizes
    assert np.float32(found["val"].correct.mean()) == record.metrics["val/acc"]
    assert found["test"].ids.tolist() == list(range(20))
    # val was cut from train: ids are places in what the source read
    assert sorted([*found["train"].ids, *found["val"].ids]) == list(range(60))


def test_a_run_keeps_the_test_unless_it_is_asked_for_something_else(run_tiny, tmp_path):
    record = run_tiny("some", "trainer.max_epochs=1")
    assert read_predictions(tmp_path / "outputs" / "some", record, "train") is None
    assert PREDICTIONS_FILE in record.files
    none = run_tiny("none", "trainer.max_epochs=1", "keep_predictions=none")
    assert none.predictions_sha256 is None
    assert read_predictions(tmp_path / "outputs" / "none", none) is None
    assert none.fingerprint == record.fingerprint
    assert none.weights_sha256 == record.weights_sha256


@pytest.mark.parametrize("value", ["maybe", "true", "[test]", "null"])
def test_another_word_is_refused(run_tiny, value):
    with pytest.raises(ConfigError, match=r"keep_predictions is .*; expected test, all or none"):
        run_tiny("run", f"keep_predictions={value}")


@pytest.mark.parametrize("how", ["cut", "other", "missing", "folder", "empty"])
def test_a_file_that_is_not_the_runs_is_named_and_not_used(run, tmp_path, how):
    folder, record = run
    path = tmp_path / PREDICTIONS_FILE
    content = (folder / PREDICTIONS_FILE).read_bytes()
    if how == "folder":
        path.mkdir()
    elif how != "missing":
        path.write_bytes({"cut": content[:-7], "other": content + b"x", "empty": b""}[how])
    with pytest.raises(DataError, match=r"predictions\.npz"):
        read_predictions(tmp_path, record)
    assert read_record(folder).predictions_sha256 == record.predictions_sha256


@given(st.integers(1, 300), st.integers(0, 40), st.booleans(), st.integers(0, 2**31))
def test_what_is_packed_is_read_again_and_is_the_same_bytes(classes, images, named, seed):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(classes), size=images).astype(np.float16)
    made = Predictions(
        rng.integers(0, classes, images).astype(np.int32),
        rng.integers(0, classes, images).astype(np.int32),
        shares if seed % 2 else None,
        np.array([f"a/{n} é.png" for n in range(images)], dtype=np.str_) if named and images else np.arange(images),
    )
    content = packed({"test": made})
    assert content == packed({"test": made})
    found = _read(content)
    for field in ("predicted", "targets", "probabilities", "ids"):
        before, after = getattr(made, field), getattr(found, field)
        assert (before is None) == (after is None)
        assert before is None or (before.dtype == after.dtype and np.array_equal(before, after))


def _read(content):
    import hashlib
    import tempfile
    from pathlib import Path
    from types import SimpleNamespace

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / PREDICTIONS_FILE).write_bytes(content)
        return read_predictions(Path(folder), SimpleNamespace(predictions_sha256=hashlib.sha256(content).hexdigest()))
