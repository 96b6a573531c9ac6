"""Predictions are kept with the record: exact counts without torch, the same bytes again, nothing that was changed."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torchmetrics.classification import MulticlassAccuracy

from vision_baselines.errors import ConfigError, DataError
from vision_baselines.runs.predictions import PREDICTIONS_FILE, Predictions, packed, read_predictions
from vision_baselines.runs.record import read_record
from vision_baselines.tasks.classification import Classification
from vision_baselines.training.predictions import _named
from vision_baselines.training.run import train
from vision_baselines.training.task_module import TaskModule


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


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "overrides", [["trainer.precision=64-true"], ["trainer.precision=bf16-true"], ["task.top_k=2"]]
)
def test_of_any_precision(run_tiny, tmp_path, overrides):
    record = run_tiny("run", *overrides, "trainer.max_epochs=1")
    found = read_predictions(tmp_path / "outputs" / "run", record)
    assert np.float32(found.correct.mean()) == record.metrics["test/acc"]
    assert found.confusion(10).tolist() == record.confusion
    assert np.allclose(found.probabilities.astype(float).sum(axis=1), 1, atol=2**-10 * 10)


NOISE = ["data=noise", "++data.source.train_size=300", "++data.source.val_size=30", "++data.source.test_size=60"]


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "overrides",
    [
        ["task=binary", "data=circles", "model=fc", "data.source.train_size=200", "data.source.val_size=50"],
        [*NOISE, "data.classes=[7,2,5]", "data.num_classes=3", "data.batch_size=8", "model=gated_mlp"],
    ],
    ids=["binary", "some classes"],
)
def test_of_any_task_and_net_with_classes(compose, tmp_path, overrides):
    record = train(compose(*overrides, "logger=none", "trainer.max_epochs=1", run_dir=tmp_path / "outputs" / "run"))
    found = read_predictions(tmp_path / "outputs" / "run", record)
    classes = len(record.class_names)
    assert found.probabilities.shape == (len(found.targets), classes)
    assert np.float32(found.correct.mean()) == record.metrics["test/acc"]
    assert found.confusion(classes).tolist() == record.confusion
    if classes == 3:  # ids are places in the whole test split
        assert len(found.ids) < 60
        assert found.ids.max() > len(found.ids)


def answers(logits, target):
    """What is kept of a test split of these logits (N, C), by the task itself."""
    module = TaskModule(nn.Identity(), num_classes=logits.shape[1], optimizer=torch.optim.SGD)
    data = SimpleNamespace(sample_ids=lambda split: np.arange(len(target)))
    return _named(
        [module.answer(rows, labels) for rows, labels in zip(logits.split(7), target.split(7), strict=True)],
        "test",
        data,
    )


@settings(max_examples=25)
@given(st.integers(2, 40), st.integers(1, 60), st.integers(0, 2**31), st.sampled_from([1, 3, 1000]))
def test_ties_are_counted_as_the_metric_counts_them(classes, images, seed, levels):
    draws = torch.Generator().manual_seed(seed)
    logits = torch.randint(0, levels, (images, classes), generator=draws).float()
    target = torch.randint(0, classes, (images,), generator=draws)
    accuracy = MulticlassAccuracy(classes, average="micro")
    accuracy.update(logits, target)
    found = answers(logits, target)
    assert np.float32(found.correct.mean()) == accuracy.compute().item()
    report = Classification(classes).report(logits.argmax(dim=1), target, ())
    assert found.confusion(classes).tolist() == report.confusion


@pytest.mark.slow
@pytest.mark.ci
def test_pictures_are_named_by_their_files(compose, tmp_path):
    for split in ("train", "val", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "pictures" / split / name).mkdir(parents=True)
            for index in range(4):
                pixels = np.random.default_rng([index, len(name), len(split)]).integers(0, 256, (8, 8), np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pictures" / split / name / f"{index}.png")
    root = f"data.source.root={tmp_path / 'pictures'}"
    options = ["data=image_folder", root, "data.batch_size=4", "data.source.image_size=8", "trainer.max_epochs=1"]
    options += ["model=fc", "logger=none", f"data.source.cache_dir={tmp_path / 'cache'}"]
    record = train(compose(*options, run_dir=tmp_path / "outputs" / "run"))
    found = read_predictions(tmp_path / "outputs" / "run", record)
    assert found.ids.tolist() == [f"test/{name}/{index}.png" for name in ("cat", "dog") for index in range(4)]
    assert found.confusion(2).tolist() == record.confusion


@pytest.mark.slow
@pytest.mark.ci
def test_a_resumed_run_keeps_the_same_file(run, run_tiny, resumed_after, tmp_path):
    record = resumed_after(9, run_tiny, "keep_predictions=all")
    assert record.attempts == 2
    assert record.predictions_sha256 == run[1].predictions_sha256
    assert (tmp_path / "outputs" / "cut" / PREDICTIONS_FILE).read_bytes() == (run[0] / PREDICTIONS_FILE).read_bytes()


def test_all_keeps_train_and_val_in_their_order(run):
    folder, record = run
    sizes = {"train": 48, "val": 12, "test": 20}
    found = {split: read_predictions(folder, record, split) for split in sizes}
    assert {split: len(kept.targets) for split, kept in found.items()} == sizes
    assert np.float32(found["val"].correct.mean()) == record.metrics["val/acc"]
    assert found["test"].ids.tolist() == list(range(20))
    # val was cut from train: ids are places in what the source read
    assert sorted([*found["train"].ids, *found["val"].ids]) == list(range(60))


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_keeps_the_test_unless_it_is_asked_for_something_else(run_tiny, tmp_path):
    record = run_tiny("some", "trainer.max_epochs=1")
    assert read_predictions(tmp_path / "outputs" / "some", record, "train") is None
    assert PREDICTIONS_FILE in record.files
    none = run_tiny("none", "trainer.max_epochs=1", "keep_predictions=none")
    assert none.predictions_sha256 is None
    assert read_predictions(tmp_path / "outputs" / "none", none) is None
    assert none.fingerprint == record.fingerprint
    assert none.weights_sha256 == record.weights_sha256


@pytest.mark.few(1)
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


def bare(content, **known):
    """A record that knows of nothing but the file, and what is given."""
    facts = {"data": None, "partial": [], "confusion": None, "config": {}, "metrics": {}} | known
    return SimpleNamespace(predictions_sha256=hashlib.sha256(content).hexdigest(), **facts)


def _read(content):

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / PREDICTIONS_FILE).write_bytes(content)
        return read_predictions(Path(folder), bare(content))


N, C = 20, 10
GOOD = {
    "test_predicted": np.arange(N, dtype=np.uint8) % C,
    "test_targets": np.arange(N, dtype=np.uint8) % C,
    "test_probabilities": np.full((N, C), 0.1, dtype=np.float16),
}
BAD = {
    "lengths": {"test_predicted": np.zeros(N - 1, np.uint8)},
    "another number of images": {"test_predicted": np.zeros(7, np.uint8), "test_targets": np.zeros(7, np.uint8)},
    "two axes": {"test_predicted": np.zeros((N, 1), np.uint8)},
    "no axis": {"test_predicted": np.zeros((), np.uint8)},
    "numbers that are not whole": {"test_predicted": np.full(N, np.nan)},
    "dates": {"test_predicted": np.zeros(N, "M8[s]")},
    "text": {"test_targets": np.array(["a"] * N)},
    "structures": {"test_predicted": np.zeros(N, [("a", "u1")])},
    "a class too many": {"test_predicted": np.full(N, C, np.uint8)},
    "a class below 0": {"test_targets": np.full(N, -1, np.int8)},
    "few probabilities": {"test_probabilities": np.zeros((N, C - 1), np.float16)},
    "flat probabilities": {"test_probabilities": np.zeros(N, np.float16)},
    "large probabilities": {"test_probabilities": np.full((N, C), 50, np.float16)},
    "negative probabilities": {"test_probabilities": np.full((N, C), -0.1, np.float16)},
    "nan probabilities": {"test_probabilities": np.full((N, C), np.nan, np.float16)},
    "probabilities as text": {"test_probabilities": np.full((N, C), "0.1")},
    "few ids": {"test_ids": np.arange(3)},
    "bytes as ids": {"test_ids": np.array([b"a"] * N)},
    "ids of two axes": {"test_ids": np.zeros((N, 2), np.int64)},
    "endless ids": {"test_ids": np.zeros(N, "U100000")},
}


def facts():
    return SimpleNamespace(num_classes=C, splits={"test": SimpleNamespace(size=N)})


def written(folder, arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    (folder / PREDICTIONS_FILE).write_bytes(buffer.getvalue())
    return buffer.getvalue()


@pytest.mark.parametrize("what", BAD)
def test_arrays_that_are_not_of_this_split_are_refused_in_a_line(tmp_path, what):
    assert read_predictions(tmp_path, bare(written(tmp_path, GOOD), data=facts())) is not None
    record = bare(written(tmp_path, GOOD | BAD[what]), data=facts())
    with pytest.raises(DataError, match=r"predictions\.npz is damaged") as caught:
        read_predictions(tmp_path, record)
    assert len(str(caught.value).splitlines()) == 1


HEADERS = [
    f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({10**12},)}}",
    f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({10**30},)}}",
    "{'descr': '<U500000000', 'fortran_order': False, 'shape': (20,)}",
    "{'descr': '|V0', 'fortran_order': False, 'shape': (20,)}",
    "{'descr': '|O', 'fortran_order': False, 'shape': (20,)}",
    "{'descr': (",
    "'''abc",
    "  1\n 2",
    "-" * 5000,
]


@pytest.mark.parametrize("header", HEADERS, ids=lambda text: text[:30])
@pytest.mark.parametrize("known", [True, False])
def test_a_header_that_declares_anything_costs_nothing(tmp_path, header, known):
    text = header.encode()
    member = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(20)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("test_predicted.npy", member)
        archive.writestr("test_targets.npy", member)
    (tmp_path / PREDICTIONS_FILE).write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="is damaged"):
        read_predictions(tmp_path, bare(buffer.getvalue(), data=facts() if known else None))


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ({"confusion": np.eye(C, dtype=int).tolist()}, "confusion matrix"),
        ({"config": {"task": {"metrics": ["accuracy"]}}, "metrics": {"test/acc": 0.5}}, "accuracy"),
    ],
)
def test_predictions_that_do_not_give_the_records_figures_are_not_used(tmp_path, known, says):
    record = bare(written(tmp_path, GOOD), data=facts(), **known)
    with pytest.raises(DataError, match=f"does not give the {says} of its record"):
        read_predictions(tmp_path, record)
