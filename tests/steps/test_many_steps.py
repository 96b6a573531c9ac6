"""Steps that are taken at once leave, bit for bit, what Lightning's own loop leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import vision_baselines.training.run as run_module
from vision_baselines.errors import DivergedError
from vision_baselines.jobs.signals import Interrupted
from vision_baselines.runs.record import RunRecord, Status
from vision_baselines.steps import loop as loop_module
from vision_baselines.steps import unwatched as unwatched_module
from vision_baselines.steps.loop import ManyStepsLoop
from vision_baselines.training.history import History
from vision_baselines.training.progress_bar import EpochProgressBar
from vision_baselines.training.task_module import TaskModule

Run = Callable[..., RunRecord]
CLOCKS = ("fit_s", "train_s", "epoch_fit_s", "_clock", "config")
RUN = ["trainer.max_epochs=3", "logger=csv", "keep_resume_states=true", "callbacks.filters=null"]
FC = ["model=fc", "model.hidden_features=[6]"]
RATES = "callbacks.learning_rate={_target_:pytorch_lightning.callbacks.LearningRateMonitor,logging_interval:step}"


@pytest.fixture
def taken(unhurried: None, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps were taken at once, each time."""
    counts: list[int] = []
    take = ManyStepsLoop._take

    def counting(self: Any, batches: Any, batch_idx: int) -> Any:
        losses = take(self, batches, batch_idx)
        counts.append(len(losses))
        return losses

    monkeypatch.setattr(ManyStepsLoop, "_take", counting)
    return counts


@pytest.fixture
def run_lightnings(run_tiny: Run, monkeypatch: pytest.MonkeyPatch, taken: list[int]) -> Run:
    """As `run_tiny`, with Lightning's own loop."""

    def run(*arguments: Any, **options: Any) -> RunRecord:
        before = len(taken)
        with monkeypatch.context() as patch:
            patch.setattr(run_module, "choose_loop", lambda *_: None)
            record = run_tiny(*arguments, **options)
        assert len(taken) == before
        return record

    return run


def plain(value: Any) -> Any:
    """Plain data that is equal where every bit is; seconds left out."""
    if isinstance(value, Mapping):
        return {str(key): plain(own) for key, own in value.items() if key not in CLOCKS}
    if isinstance(value, list | tuple):
        return list(map(plain, value))
    if isinstance(value, torch.Tensor):
        return [str(value.dtype), list(value.shape), value.flatten().tolist().__repr__()]
    return repr(value) if isinstance(value, float) else value


def left_by(record: RunRecord, folder: Path) -> dict[str, Any]:
    """What a run leaves, its resume states among it."""
    states = sorted((folder / "checkpoints").glob("resume-step=*.ckpt"))
    return {
        "weights": [record.weights_sha256, record.final_weights_sha256],
        "metrics": plain(record.metrics),
        "epochs": plain([row.model_dump() for row in record.history]),
        "rest": [record.best_epoch, record.confusion, record.caveats, record.status],
        "logged": next(folder.rglob("metrics.csv")).read_text().splitlines(),
        "states": {path.name: plain(torch.load(path, weights_only=False)) for path in states},
        "predictions": [path.read_bytes() for path in sorted(folder.glob("predictions*"))],
    }


CASES = {
    "defaults": [],
    "one_cycle": ["scheduler=one_cycle", "trainer.log_every_n_steps=4", RATES],
    "often": ["checkpoint_every_n_steps=3", "+trainer.val_check_interval=2", "trainer.log_every_n_steps=5"],
    "across": ["+trainer.val_check_interval=5", "+trainer.check_val_every_n_epoch=null", "checkpoint_every_n_steps=7"],
    "steps": ["+trainer.max_steps=11", "trainer.log_every_n_steps=6"],
    "limited": ["+trainer.limit_train_batches=5", "augment=shift", "mix=mixup"],
    "odd": ["data.batch_size=7", "+trainer.gradient_clip_val=0.1", "augment=crop_flip"],
    "value": ["+trainer.gradient_clip_val=0.01", "+trainer.gradient_clip_algorithm=value", "data.batch_size=5"],
    "ema": ["callbacks=ema", "model.norm=batch"],
    "plateau": ["scheduler=plateau", "callbacks=early_stopping", "callbacks.early_stopping.patience=1"],
    "muon": ["optimizer=muon", "checkpoint=last"],
    "dropout": ["model.dropout=0.5", "seed=3"],
    "histograms": ["logger=[csv,tensorboard]", "logger.tensorboard.histograms=true"],
    "bf16": ["trainer.precision=bf16-mixed"],
    "64": ["trainer.precision=64-true"],
    "bf16_weights": ["trainer.precision=bf16-true"],
    "fc": [*FC, "data.batch_size=3"],
    "unaligned": [*FC, "data.batch_size=3", "++data.source.image_shape=[1,5,5]", "data.image_shape=[1,5,5]"],
    "lbfgs": [*FC, "optimizer._target_=torch.optim.LBFGS", "~optimizer.weight_decay", "~optimizer.fused"],
}


@pytest.mark.few(2)
@pytest.mark.ci(every=4)
@pytest.mark.parametrize("case", CASES)
def test_all_that_a_run_leaves_is_what_lightnings_loop_leaves(
    case: str, run_tiny: Run, run_lightnings: Run, tmp_path: Path, taken: list[int]
) -> None:
    many = left_by(run_tiny("many", *RUN, *CASES[case]), tmp_path / "outputs" / "many")
    assert sum(taken) >= 11
    assert max(taken) > 1 or case == "ema"
    one = left_by(run_lightnings("one", *RUN, *CASES[case]), tmp_path / "outputs" / "one")
    for key, value in one.items():
        assert many[key] == value, key
    assert one["states"]


@pytest.mark.slow
@pytest.mark.ci(every=5)
@pytest.mark.parametrize("after", [2, 5, 9])
@pytest.mark.parametrize("case", ["one_cycle", "odd", "plateau", "histograms"])
def test_a_run_that_was_killed_leaves_the_same(
    case: str, after: int, run_tiny: Run, with_callback: Any, run_lightnings: Run, tmp_path: Path
) -> None:
    options = [*RUN, *CASES[case], "checkpoint_every_n_steps=4"]
    one = left_by(run_lightnings("one", *options), tmp_path / "outputs" / "one")
    with_callback(Breaks(after))
    with pytest.raises(Killed):
        run_tiny("many", *options)
    with_callback()
    many = left_by(run_tiny("many", *options), tmp_path / "outputs" / "many")
    for key in ("weights", "metrics", "epochs", "rest", "logged", "predictions"):
        assert many[key] == one[key], key


class Killed(BaseException):
    """Stands for a kill: nothing in training catches it."""


class Breaks(pl.Callback):
    """Ends training, with no time to save, at the end of a step."""

    def __init__(self, after: int) -> None:
        self.after = after

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.after:
            raise Killed


class WithinAStep(pl.Callback):
    """Sees each gradient."""

    def __init__(self) -> None:
        self.seen = 0

    def on_after_backward(self, *_: Any) -> None:
        self.seen += 1


class AfterEachStep(pl.Callback):
    """Logs something in each step."""

    def __init__(self) -> None:
        self.seen = 0

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        self.seen += 1
        module.log("own/loss", outputs["loss"], on_step=True, on_epoch=True)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "options",
    [
        ["+trainer.accumulate_grad_batches=2"],
        ["callbacks=swa", "callbacks.swa.swa_epoch_start=1"],
        ["data.num_workers=1"],
        ["+trainer.profiler=simple"],
        ["+trainer.overfit_batches=2"],
    ],
    ids=" ".join,
)
def test_a_step_that_is_more_than_a_step_is_lightnings(options: list[str], run_tiny: Run, taken: list[int]) -> None:
    assert run_tiny("run", *options).status is Status.FINISHED
    assert taken == []


def test_who_has_a_hook_within_a_step_is_asked_in_each(run_tiny: Run, with_callback: Any, taken: list[int]) -> None:
    watching = WithinAStep()
    with_callback(watching)
    steps = run_tiny("run").history[-1].step
    assert (watching.seen, taken) == (steps, [])


def test_who_acts_after_each_step_is_asked_after_each_and_may_log(
    run_tiny: Run, run_lightnings: Run, with_callback: Any, tmp_path: Path, taken: list[int]
) -> None:
    left, seen = [], []
    for name, run in (("many", run_tiny), ("one", run_lightnings)):
        watching = AfterEachStep()
        with_callback(watching)
        record = run(name, *RUN, "trainer.log_every_n_steps=2")
        seen.append(watching.seen)
        left.append(left_by(record, tmp_path / "outputs" / name))
    assert taken == [1] * seen[0]
    assert seen[0] == seen[1] == record.history[-1].step
    assert left[0] == left[1]
    assert any("own/loss" in line for line in left[0]["logged"])


class OfOurs(History):
    """A callback of this project that somebody has added to: it is known to do without steps, and this one is not."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def on_train_batch_end(self, *arguments: Any) -> None:
        super().on_train_batch_end(*arguments)
        self.seen += 1


def test_what_is_derived_from_a_callback_of_ours_is_asked_after_each(run_tiny: Run, monkeypatch: Any) -> None:
    from vision_baselines.training import build

    made, own = OfOurs(), build.callbacks

    def instead(cfg: Any) -> list[Any]:
        return [made, *(one for one in own(cfg) if type(one) is not History)]

    monkeypatch.setattr(build, "callbacks", instead)
    steps = run_tiny("derived").history[-1].step
    assert made.seen == steps
    other = History()
    other.on_train_batch_end = lambda *_: None  # type: ignore[method-assign]
    assert unwatched_module._of_callback(other, SimpleNamespace(), None) == 1  # type: ignore[arg-type]


class Overridden:
    """Hooks that a module of one's own may have, each of which is asked in each step."""

    def backward(self, loss: torch.Tensor, *rest: Any) -> None:
        self.asked = getattr(self, "asked", 0) + 1
        loss.backward()

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        self.asked = getattr(self, "asked", 0) + 1
        optimizer.step(closure=optimizer_closure)

    def on_train_batch_end(self, *_: Any) -> None:
        self.asked = getattr(self, "asked", 0) + 1

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.asked = getattr(self, "asked", 0) + 1
        loss = TaskModule.training_step(self, batch, batch_idx)  # type: ignore[arg-type]
        self.log("own", loss, on_step=True)  # type: ignore[attr-defined]
        return loss


def test_a_callback_that_is_given_its_hooks_is_asked_too(run_tiny: Run, with_callback: Any, taken: list[int]) -> None:
    seen = []
    with_callback(pl.callbacks.LambdaCallback(on_train_batch_start=lambda *_: seen.append(1)))
    steps = run_tiny("after").history[-1].step
    assert len(seen) == steps == len(taken)
    with_callback(pl.callbacks.LambdaCallback(on_before_optimizer_step=lambda *_: seen.append(2)))
    taken.clear()
    run_tiny("within")
    assert (seen.count(2), taken) == (steps, [])


@pytest.mark.few(2)
@pytest.mark.parametrize("hook", ["backward", "optimizer_step", "on_train_batch_end", "training_step"])
def test_a_module_of_ones_own_has_its_hooks(
    hook: str, run_tiny: Run, monkeypatch: pytest.MonkeyPatch, taken: list[int]
) -> None:
    from vision_baselines.training import build

    made: list[Any] = []
    classifier = build.classifier

    def own(cfg: Any) -> Any:
        module = classifier(cfg)
        module.__class__ = type("Own", (type(module),), {hook: vars(Overridden)[hook]})
        made.append(module)
        return module

    monkeypatch.setattr(build, "classifier", own)
    steps = run_tiny("run").history[-1].step
    assert (made[0].asked, taken) == (steps, [])


@pytest.mark.few(2)
@pytest.mark.parametrize("rate", [1e3, 1e12])
@pytest.mark.parametrize("more", [[], ["scheduler=one_cycle"]], ids=["rate", "schedule"])
def test_one_that_diverges_says_the_step_and_rate_that_lightnings_loop_says(
    rate: float, more: list[str], run_tiny: Run, run_lightnings: Run, tmp_path: Path
) -> None:
    wild = [*FC, "optimizer=sgd", f"optimizer.lr={rate}", *more]
    said = []
    for name, run in (("many", run_tiny), ("one", run_lightnings)):
        with pytest.raises(DivergedError) as ended:
            run(name, *wild)
        record = json.loads((tmp_path / "outputs" / name / "run.json").read_text())
        said.append((str(ended.value), record["failure"]["message"]))
    assert said[0] == said[1]


def test_the_rate_of_an_epochs_last_step_is_the_one_it_was_taken_with(run_tiny: Run) -> None:
    wild = [*FC, "optimizer=sgd", "optimizer.lr=1e30", "+trainer.limit_train_batches=2", "trainer.max_epochs=1"]
    with pytest.raises(DivergedError, match=r"at step 2 \(epoch 0\) with learning rate 1e\+30"):
        run_tiny("run", *wild, "scheduler=cosine")


def test_a_signal_waits_for_a_fifth_of_a_second_at_most(run_tiny: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of steps that take 0.07 s by the clock two are taken at once."""
    clock = iter(range(10**6))
    monkeypatch.setattr(loop_module.time, "monotonic", lambda: next(clock) * 0.07)
    most: list[int] = []
    decide = ManyStepsLoop._most_steps
    monkeypatch.setattr(ManyStepsLoop, "_most_steps", lambda self: most.append(decide(self)) or most[-1])
    run_tiny("run", "data.batch_size=4", "trainer.max_epochs=1")
    assert most[0] == 1
    # of k steps that began 0.07 s ago each took 0.07 / k s
    assert most[1] == 2


def test_a_signal_during_many_steps_saves_after_them(
    run_tiny: Run, run_lightnings: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os
    import signal

    note, asked = History.note_steps, []

    def interrupt(self: History, *arguments: Any) -> None:
        note(self, *arguments)
        if not asked:
            asked.append(os.kill(os.getpid(), signal.SIGTERM))

    with monkeypatch.context() as patch:
        patch.setattr(History, "note_steps", interrupt)
        with pytest.raises(Interrupted):
            run_tiny("many", *RUN)
    assert asked
    assert list((tmp_path / "outputs" / "many" / "checkpoints").glob("resume-step=*.ckpt"))
    many = left_by(run_tiny("many", *RUN), tmp_path / "outputs" / "many")
    one = left_by(run_lightnings("one", *RUN), tmp_path / "outputs" / "one")
    for key in ("weights", "metrics", "epochs", "rest", "logged", "predictions"):
        assert many[key] == one[key], key


def test_images_that_are_at_hand_stay_in_the_cache(
    run_tiny: Run, monkeypatch: pytest.MonkeyPatch, taken: list[int]
) -> None:
    monkeypatch.setattr(loop_module, "_MOST_CACHED_BYTES", 4 * 8 * 8 * 4 * 3)  # three batches of four images
    run_tiny("run", "data.batch_size=4", "trainer.max_epochs=1")
    assert max(taken) == 3


def test_a_bar_can_do_without_all_steps_of_an_epoch() -> None:
    bar = EpochProgressBar()
    assert bar.unwatched_steps(SimpleNamespace(num_training_batches=40)) == 40  # type: ignore[arg-type]
