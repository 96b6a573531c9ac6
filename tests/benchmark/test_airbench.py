"""CIFAR-10 beside airbench: what its code prints is read, ours is trained and tested; on small data, without a GPU."""

from __future__ import annotations

import json
from argparse import Namespace

import numpy as np
import pytest

from benchmark import airbench
from vision_baselines.errors import ConfigError, StorageError, TrainingError

# What a checkout has, with rows as airbench prints them; its training is a row that is known beforehand.
STAND_IN = """
print("-" * 40)
print("|  run     |  epoch  |  train_acc  |  tta_val_acc  |  time_seconds  |")
def train94(run=0):
    print(f"|  {run:>6}  |      9  |     0.9000  |               |        2.0000  |")
    print(f"|  {run:>6}  |   eval  |     0.9000  |       {ACCURACY}  |        {2 + run}.5000  |")
def warmup94():
    train94(run=-1)
"""


def checkout(folder, *, accuracy="0.940{run}", broken=""):
    (folder / "airbench").mkdir(parents=True)
    text = STAND_IN.replace("{ACCURACY}", accuracy) + broken
    (folder / "airbench" / "__init__.py").write_text(text)
    return folder


@pytest.mark.slow
def test_the_rows_of_each_run_are_read_and_not_those_of_the_warm_up(tmp_path):
    found = airbench.theirs(checkout(tmp_path), runs=3)
    assert found.accuracies == [0.9400, 0.9401, 0.9402]
    assert found.train_s == [2.5, 3.5, 4.5]
    assert "94.01 %" in found.line()
    assert "3.50 s" in found.line()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "named"),
    [("raise SystemExit('no CUDA')", "no CUDA"), ("train94 = lambda run: None", "printed 0 rows")],
)
def test_what_airbench_does_not_do_is_said(tmp_path, broken, named):
    with pytest.raises(TrainingError, match=named):
        airbench.theirs(checkout(tmp_path, broken=broken), runs=2)


def test_a_comparison_is_refused_without_a_checkout_or_a_device(tmp_path):
    with pytest.raises(ConfigError, match="--airbench DIR"):
        airbench.check(Namespace(airbench=None, device="cuda"))
    with pytest.raises(StorageError, match="there is no airbench/"):
        airbench.check(Namespace(airbench=tmp_path, device="cuda"))
    with pytest.raises(ConfigError, match="--device cuda"):
        airbench.check(Namespace(airbench=checkout(tmp_path), device="cpu"))


@pytest.mark.slow
def test_both_are_printed_side_by_side_with_the_ratio_of_their_medians(tmp_path, monkeypatch, capsys):
    """Ours is the whole recipe, an epoch of a few pictures; airbench's part is a stand-in."""
    draws = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 80), ("test", 20)):
        arrays[f"x_{split}"] = draws.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
        arrays[f"y_{split}"] = np.arange(count) % 10
    np.savez(tmp_path / "pictures.npz", **arrays)
    small = [
        "data=npz",
        f"data.source.file={tmp_path / 'pictures.npz'}",
        "data.batch_size=20",
        "model.channels=[54,8]",
        "trainer.max_epochs=1",
    ]
    plain = airbench.ours
    monkeypatch.setattr(airbench, "ours", lambda *, runs, overrides: plain(runs=runs, overrides=small))
    found = airbench.measure_and_print(Namespace(airbench=checkout(tmp_path / "checkout"), rounds=1))
    printed = capsys.readouterr().out
    (theirs, ours) = found["runs"]
    assert len(ours["accuracies"]) == len(ours["train_s"]) == 1
    assert 0 <= ours["accuracies"][0] <= 1
    assert f"{100 * ours['accuracies'][0]:.2f} %" in printed
    assert f"{ours['train_s'][0] / theirs['train_s'][0]:.2f} times as long" in printed
    json.dumps(found)
