"""Runs that are trained in one pass leave what each would leave alone."""

from __future__ import annotations

import csv
import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from vision_baselines.config.plan import planned
from vision_baselines.errors import DivergedError
from vision_baselines.jobs.signals import Interrupted
from vision_baselines.jobs.together import Together, current
from vision_baselines.passes.step import SharedStep
from vision_baselines.runs.record import RunRecord, Status, read_record
from vision_baselines.training.run import run

# In 64 bits what differs by rounding alone differs by less than anything that is computed wrongly.
EXACT = ["trainer.precision=64-true", "trainer.max_epochs=3", "checkpoint_every_n_steps=4", "keep_resume_states=true"]
FC = ["model=fc", "model.hidden_features=[6]"]
PLAIN = ["callbacks.learning_rate=null", "callbacks.filters=null", "callbacks.parameters=null", "logger=csv"]
LEARNING_RATES = (
    "callbacks.learning_rate={_target_:pytorch_lightning.callbacks.LearningRateMonitor,logging_interval:step}"
)
Trained = Callable[..., list[Any]]


@pytest.fixture
def trained(compose: Callable[..., Any], tiny_beside: Callable[..., list[str]], tmp_path: Path) -> Trained:
    """``trained(name, *overrides, at_once=True, callbacks={seed: …})``: records of seeds 0, 1, 2, or their errors."""

    def train(
        name: str, *overrides: str, at_once: bool = True, callbacks: Mapping[int, pl.Callback] | None = None
    ) -> list[Any]:
        base = tiny_beside(*overrides)
        plans = [
            planned(compose(*base, *PLAIN, *overrides, f"seed={seed}", run_dir=tmp_path / name / str(seed)))
            for seed in range(3)
        ]

        def job(seed: int) -> Any:
            watching = [callbacks[seed]] if callbacks and seed in callbacks else []
            try:
                return run(plans[seed], callbacks=watching)
            except (Exception, Interrupted) as error:
                return error

        jobs = [functools.partial(job, seed) for seed in range(3)]
        return Together().run(jobs, [None] * 3) if at_once else [one() for one in jobs]

    return train


class At(pl.Callback):
    """Does something after a training step."""

    def __init__(self, step: int, action: Callable[[], Any]) -> None:
        self.step, self.action = step, action

    def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
        if trainer.global_step == self.step:
            self.action()


class LogsSteps(pl.Callback):
    """Logs a number in each training step."""

    def on_train_batch_end(self, trainer: Any, module: pl.LightningModule, outputs: Any, *rest: Any) -> None:
        module.log("step/loss", outputs["loss"], on_step=False, on_epoch=True)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.mean = trainer.callback_metrics["step/loss"].item()


def states(folder: Path) -> dict[str, Any]:
    """The resume states of a run, by their steps."""
    found = sorted((folder / "checkpoints").glob("resume-step=*.ckpt"))
    return {path.name: torch.load(path, weights_only=False) for path in found}


def assert_close(one: Any, other: Any, where: str = "") -> None:
    """The same plain data; numbers by rounding at most, seconds left out."""
    assert type(one) is type(other), where
    if isinstance(one, Mapping):
        assert one.keys() == other.keys(), where
        for key in one:
            if key not in ("fit_s", "train_s", "epoch_fit_s", "config", "_clock", "lr_schedulers"):
                assert_close(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for at, (mine, its) in enumerate(zip(one, other, strict=True)):
            assert_close(mine, its, f"{where}/{at}")
    elif isinstance(one, torch.Tensor):
        torch.testing.assert_close(one, other, atol=1e-7, rtol=1e-7, msg=lambda text: f"{where}: {text}")
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=1e-7, rel=1e-7) or math.isnan(one) == math.isnan(other) is True, where
    else:
        assert one == other, where


def assert_same_run(one: RunRecord, other: RunRecord) -> None:
    assert one.init_weights_sha256 == other.init_weights_sha256
    assert_close(one.metrics, other.metrics)
    assert_close([row.model_dump() for row in one.history], [row.model_dump() for row in other.history])
    assert (one.best_epoch, one.confusion, one.caveats) == (other.best_epoch, other.confusion, other.caveats)
    assert one.fingerprint == other.fingerprint


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param([*FC, "scheduler=one_cycle"], marks=pytest.mark.ci),
        ["optimizer=sgd"],
        [*FC, "augment=shift", "mix=mixup", "+trainer.gradient_clip_val=0.1"],
        [*FC, "optimizer=muon", "checkpoint=last"],
        [*FC, "callbacks=ema"],
        [*FC, "scheduler=plateau", "callbacks=early_stopping"],
    ],
    ids=["one_cycle", "cnn", "mixed", "muon", "ema", "plateau"],
)
def test_records_checkpoints_and_logs_are_those_of_single_runs(
    trained: Trained, tmp_path: Path, overrides: list[str]
) -> None:
    together = trained("together", *EXACT, *overrides)
    alone = trained("alone", *EXACT, *overrides, at_once=False)
    for seed, (mine, its) in enumerate(zip(together, alone, strict=True)):
        assert_same_run(mine, its)
        assert mine.environment.seeds_per_pass == 3
        assert its.environment.seeds_per_pass == 1
        own, single = tmp_path / "together" / str(seed), tmp_path / "alone" / str(seed)
        assert_close(states(own), states(single))
        sizes = [[path.stat().st_size for path in sorted(folder.rglob("*.ckpt"))] for folder in (own, single)]
        assert sizes[0] == pytest.approx(sizes[1], rel=0.1), "a copy's checkpoint holds weights of the others"
        assert sorted(path.name for path in own.iterdir()) == sorted(path.name for path in single.iterdir())
        rows = [next(folder.rglob("metrics.csv")).read_text().splitlines() for folder in (own, single)]
        assert rows[0][0] == rows[1][0]
        assert len(rows[0]) == len(rows[1])
    assert len({record.weights_sha256 for record in together}) == 3
    # seeds that are trained in one pass need not be trained again alone
    again = trained("together", *EXACT, *overrides, at_once=False)
    assert [record.started_at for record in again] == [record.started_at for record in together]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["trainer.log_every_n_steps=4", "scheduler=one_cycle"], marks=pytest.mark.ci),
        ["trainer.log_every_n_steps=1"],
        ["trainer.log_every_n_steps=5", "checkpoint_every_n_steps=3", "+trainer.val_check_interval=2"],
        ["+trainer.val_check_interval=5", "+trainer.check_val_every_n_epoch=null", "trainer.log_every_n_steps=7"],
        ["+trainer.max_steps=11", "trainer.log_every_n_steps=6"],
        ["+trainer.limit_train_batches=5", "checkpoint_every_n_steps=7", "augment=shift"],
        ["data.batch_size=7", "+trainer.gradient_clip_val=0.1", "logger.tensorboard.histograms=true"],
    ],
    ids=lambda options: " ".join(options),
)
def test_whoever_looks_now_and_then_sees_what_a_single_run_shows(
    trained: Trained, tmp_path: Path, options: list[str], unhurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    meetings = []
    take = SharedStep.take
    monkeypatch.setattr(SharedStep, "take", lambda self, turns: meetings.append(len(turns)) or take(self, turns))
    logger = ["logger=[csv,tensorboard]"] if any("tensorboard" in option for option in options) else []
    watched = [*EXACT, *FC, LEARNING_RATES, *logger, *options]
    together, alone = trained("together", *watched), trained("alone", *watched, at_once=False)
    for seed, (mine, its) in enumerate(zip(together, alone, strict=True)):
        assert_same_run(mine, its)
        folders = [tmp_path / name / str(seed) for name in ("together", "alone")]
        assert_close(*map(states, folders))
        assert_close(*map(logged, folders))
    steps = together[0].history[-1].step
    if "trainer.log_every_n_steps=1" in options:
        assert len(meetings) == steps
    else:
        assert len(meetings) < steps, "steps were taken one at a time"


def logged(folder: Path) -> list[dict[str, float]]:
    """What a run's CSV logger has, row by row."""
    lines = next(folder.rglob("metrics.csv")).read_text().splitlines()
    return [{key: float(value or "nan") for key, value in row.items()} for row in csv.DictReader(lines)]


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1e3, 1e12])
def test_one_that_diverges_between_two_looks_says_the_step_that_it_says_alone(trained: Trained, rate: float) -> None:
    wild = [*EXACT, *FC, "optimizer=sgd", f"optimizer.lr={rate}", "model.dropout=0"]
    together, alone = trained("together", *wild), trained("alone", *wild, at_once=False)
    assert all(isinstance(error, DivergedError) for error in alone), alone
    assert list(map(str, together)) == list(map(str, alone))


@pytest.mark.slow
@pytest.mark.ci
def test_one_that_diverges_ends_alone_and_one_that_fails_too(trained: Trained) -> None:
    def diverge() -> None:
        raise DivergedError("the loss became nan")

    def fail() -> None:
        raise ValueError("of its own")

    together = trained("together", *EXACT, *FC, callbacks={0: At(5, diverge), 2: At(9, fail)})
    assert isinstance(together[0], DivergedError)
    assert isinstance(together[2], ValueError)
    alone = trained("alone", *EXACT, *FC, at_once=False)
    assert_same_run(together[1], alone[1])


@pytest.mark.slow
def test_a_callback_may_log_in_a_step(trained: Trained) -> None:
    together, alone = ({seed: LogsSteps() for seed in range(3)} for _ in range(2))
    short = [*EXACT, *FC, "trainer.max_epochs=1"]
    records = trained("together", *short, callbacks=together)
    trained("alone", *short, callbacks=alone, at_once=False)
    assert [record.environment.seeds_per_pass for record in records] == [3, 3, 3]
    assert [together[seed].mean for seed in range(3)] == pytest.approx([alone[seed].mean for seed in range(3)])


@pytest.mark.slow
def test_runs_that_were_cut_at_different_steps_are_resumed_together(trained: Trained, tmp_path: Path) -> None:
    def crash() -> None:
        raise RuntimeError("pulled the plug")

    cut = trained("cut", *EXACT, *FC, callbacks={0: At(3, crash), 1: At(6, crash), 2: At(13, crash)})
    assert all(isinstance(error, RuntimeError) for error in cut)
    resumed = trained("cut", *EXACT, *FC)
    for mine, its in zip(resumed, trained("alone", *EXACT, *FC, at_once=False), strict=True):
        assert_same_run(mine, its)
        assert mine.status is Status.FINISHED


@pytest.mark.slow
def test_a_signal_lets_each_of_them_save_and_the_same_command_goes_on(trained: Trained, tmp_path: Path) -> None:
    def interrupt() -> None:
        member = current()
        assert member is not None
        member.group.interrupt(15, 0.0)

    ended = trained("ended", *EXACT, *FC, callbacks={1: At(7, interrupt)})
    assert all(isinstance(error, Interrupted) for error in ended)
    for seed in range(3):
        assert read_record(tmp_path / "ended" / str(seed)).status is Status.INTERRUPTED
    for mine, its in zip(trained("ended", *EXACT, *FC), trained("alone", *EXACT, *FC, at_once=False), strict=True):
        assert_same_run(mine, its)


@pytest.mark.slow
def test_what_cannot_be_computed_at_once_is_trained_one_by_one(trained: Trained, caplog: Any) -> None:
    options = ["trainer.precision=bf16-mixed", *FC]
    together = trained("together", *options)
    assert [record.environment.seeds_per_pass for record in together] == [1, 1, 1]
    alone = trained("alone", *options, at_once=False)
    assert [record.weights_sha256 for record in together] == [record.weights_sha256 for record in alone]
    assert "trained by itself" in caplog.text


@pytest.mark.slow
def test_in_thirty_two_bits_the_results_are_those_of_single_runs_on_average(trained: Trained) -> None:
    options = ["trainer.max_epochs=3", "optimizer=sgd"]
    together, alone = trained("together", *options), trained("alone", *options, at_once=False)
    losses = torch.tensor([[run.metrics["val/loss"] for run in runs] for runs in (together, alone)])
    # seeds differ from each other by far more than a run in a pass differs from that run alone
    assert (losses[0] - losses[1]).abs().max() < 0.1 * losses[1].std()
