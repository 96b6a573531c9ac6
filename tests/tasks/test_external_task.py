"""A task, a data set and their configs from a package that is not this project's: regression, lower is better."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from vision_baselines.comparison.verdict import headline
from vision_baselines.errors import ConfigError
from vision_baselines.report.write import compare
from vision_baselines.training.results import headline as run_headline
from vision_baselines.training.run import train

EXTERNAL = Path(__file__).parents[1] / "external"
CONF = EXTERNAL / "conf"
ANGLES = [
    f"hydra.searchpath=[file://{CONF}]",
    "trusted_packages=[angles]",
    "data=rotated_digits",
    "+data.source.train_size=96",
    "task=angle",
    "model=fc",
    "model.hidden_features=[16]",
    "optimizer.lr=0.01",
    "trainer.max_epochs=3",
    "callbacks.learning_rate=null",
    "callbacks.filters=null",
    "callbacks.parameters=null",
]


@pytest.fixture
def run_angles(monkeypatch, tmp_path, compose):
    """``run_angles(name, *overrides)``: a run of the external task in this process."""
    monkeypatch.syspath_prepend(str(EXTERNAL))
    return lambda name, *overrides: train(compose(*ANGLES, *overrides, run_dir=tmp_path / "outputs" / name))


def test_the_package_is_small():
    files = sorted(path.relative_to(EXTERNAL).as_posix() for path in EXTERNAL.rglob("*.yaml"))
    assert files == ["conf/data/rotated_digits.yaml", "conf/task/angle.yaml"]
    assert len((EXTERNAL / "angles" / "__init__.py").read_text().splitlines()) <= 70


def test_it_trains_is_tested_and_speaks_of_its_own_metric(run_angles, tmp_path, scalars):
    record = run_angles("run", "logger=tensorboard")
    assert record.finished
    assert record.task.model_dump(exclude={"modes"}) == {"headline": "mae", "mode": "min"}
    assert set(record.metrics) == {f"{split}/{name}" for split in ("val", "test") for name in ("loss", "mae", "r2")}
    scores = [row.metrics["val/mae"] for row in record.history]
    assert record.best_epoch == scores.index(min(scores))
    assert scores[-1] < scores[0]
    assert record.confusion is None
    assert record.curves["test/residual"].x_label == "target, rad"
    assert f"test/mae {record.metrics['test/mae']:.4}"[:14] in run_headline(record)
    curves = scalars(tmp_path / "outputs" / "run")
    assert [value for _, value in curves["test/mae"]] == pytest.approx([record.metrics["test/mae"]])
    assert curves["whole_run/val_mae"][0][1] == pytest.approx(record.metrics["val/mae"])
    assert not [tag for tag in curves if "acc" in tag]


@pytest.mark.slow
@pytest.mark.ci
def test_a_killed_one_resumes_bit_for_bit(run_angles, resumed_after):
    options = ("logger=none", "checkpoint_every_n_steps=1")
    whole = run_angles("whole", *options)

    resumed = resumed_after(3, run_angles, *options)
    assert resumed.attempts == 2
    for key in ("final_weights_sha256", "weights_sha256", "metrics", "history", "curves", "best_epoch"):
        assert getattr(resumed, key) == getattr(whole, key), key


@pytest.mark.slow
@pytest.mark.ci
def test_its_runs_are_compared_lowest_first(run_angles, tmp_path, events):
    for lr in ("0.01", "0.00001"):
        for seed in range(3):
            run_angles(f"lr{lr}-{seed}", "logger=none", f"optimizer.lr={lr}", f"seed={seed}")
    asked = {"group_by": "optimizer.lr", "baseline": "optimizer.lr=1e-05"}
    found = compare([tmp_path / "outputs"], tmp_path / "compared", **asked)  # beside the sweep TensorBoard has its own
    assert found.table.metric.name == "test/mae"
    assert found.table.ranked()[0].label == "optimizer.lr=0.01"
    assert headline(found.table).startswith("optimizer.lr=0.01 beats optimizer.lr=1e-05 by")
    assert "in test MAE" in headline(found.table)
    texts = {path.name: path.read_text() for path in found.files if path.suffix in (".html", ".md", ".csv")}
    for name, text in texts.items():
        split = "val" if name == "epochs.csv" else "test"  # epochs are validated, not tested
        assert f"{split}/mae" in text or f"{split} MAE" in text, name
        assert "test/acc" not in text, name
    assert "confusion" not in texts["comparison.html"].lower().replace("<style", "")
    names = {path.stem for path in found.out.glob("pictures/*.png")}
    assert "curve_test_residual" in names
    assert "confusion" not in names
    [tag] = [tag for tag in events(found.out).Tags()["tensors"] if tag.endswith("table")]
    text = events(found.out).Tensors(tag)[0].tensor_proto.string_val[0].decode()
    assert "test MAE" in text
    assert "test/acc" not in text


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task=classification"], "data.num_classes is 1; classification expects at least 2"),
        (
            ["task=classification", "data.num_classes=2"],
            "task=classification learns classes; the targets of this data set are numbers",
        ),
        (["+data.classes=[0,1]"], r"data.classes is \[0, 1\]; the targets of this data set are numbers"),
        (["task.headline=acc"], "task.headline is 'acc'; expected one of loss, mae, r2"),
        (["task.mode=max"], "task.mode is 'max'; expected min: mae is better lower"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(run_angles, overrides, message):
    chosen = [text.lstrip("+") for text in overrides]
    with pytest.raises(ConfigError, match=message):
        run_angles("run", "logger=none", *chosen)


def test_a_part_of_its_training_images_lies_inside_a_larger_part(monkeypatch):
    monkeypatch.syspath_prepend(str(EXTERNAL))
    from angles import RotatedDigits

    from vision_baselines.data.split_changes import part_of_train

    whole = RotatedDigits(40).load()
    small, large = (set(part_of_train(whole, share).train.target.tolist()) for share in (0.25, 0.5))
    assert len(small) == 10
    assert len(large) == 20
    assert small < large
    assert torch.equal(part_of_train(whole, 1.0).train.target, whole.train.target)


@pytest.mark.slow
def test_it_is_swept_from_the_command_line(python, root, tmp_path):
    overrides = [text for text in ANGLES if not text.startswith(("hydra.", "model=", "model."))]
    command = ["-m", f"--config-dir={CONF}", *overrides, "model=fc,linear", "seed=0,1", "name=sweep"]
    where = f"paths.output_dir={tmp_path}"
    path = os.pathsep.join([str(root / "src"), str(EXTERNAL), os.environ.get("PYTHONPATH", "")])
    done = python(str(root / "scripts" / "train.py"), *command, where, cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test/mae") == 4
    assert "test MAE" in done.stdout
    assert "test MAE" in (tmp_path / "sweep" / "comparison" / "comparison.html").read_text()
