"""docs/options.md: every option is tried, killed and resumed, or refused before training."""

from __future__ import annotations

import importlib.util
import inspect
import math
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from vision_baselines.errors import ConfigError, OutOfTimeError
from vision_baselines.runs.record import Status, read_record

_spec = importlib.util.spec_from_file_location("options_rows", Path(__file__).with_name("rows.py"))
rows = importlib.util.module_from_spec(_spec)
sys.modules["options_rows"] = rows
_spec.loader.exec_module(rows)

RUN = ["trainer.max_epochs=3", "checkpoint_every_n_steps=1", "trainer.log_every_n_steps=1", "logger=csv"]
FAST = {"accumulate_grad_batches", "max_steps", "val_check_interval", "EMAWeightAveraging"}
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:pytorch_lightning"),
    pytest.mark.filterwarnings("ignore:.*"),  # what Lightning says of each option is not the question here
]


class Killed(BaseException):
    """Stands for a kill: nothing in training catches it."""


class Killer(pl.Callback):
    """Ends training after so many batches, before that batch's state is saved."""

    def __init__(self, after: int) -> None:
        self.left = after

    def on_train_batch_end(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def name_of(row) -> str:
    return f"{row.option}-{rows.ROWS.index(row)}"


def same_numbers(one, other) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_numbers(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same_numbers, one, other))
    return one == other


def outcome(record, folder: Path) -> dict[str, object]:
    lines = (folder / "csv" / "metrics.csv").read_text().splitlines()
    return {
        "weights": record.weights_sha256,
        "final": record.final_weights_sha256,
        "metrics": record.metrics,
        "best_epoch": record.best_epoch,
        "history": [row.model_dump() for row in record.history],
        "logged": lines,
    }


def try_row(row, kill_after, run_tiny, with_callback, tmp_path) -> None:
    chosen = [*RUN, *row.overrides]
    whole = outcome(run_tiny("whole", *chosen), tmp_path / "outputs" / "whole")
    with_callback(Killer(kill_after))
    with pytest.raises(Killed):
        run_tiny("killed", *chosen)
    with_callback()
    record = run_tiny("killed", *chosen)
    assert record.status is Status.FINISHED
    resumed = outcome(record, tmp_path / "outputs" / "killed")
    if row.option == "DeviceStatsMonitor":
        whole.pop("logged"), resumed.pop("logged")
    for key, value in whole.items():
        assert same_numbers(resumed[key], value), key


essential = [row for row in rows.SUPPORTED if row.option in FAST]


@pytest.fixture
def with_callback(monkeypatch):
    from vision_baselines.training import build

    original = build.callbacks

    def add(*callbacks):
        monkeypatch.setattr(build, "callbacks", lambda cfg: [*original(cfg), *callbacks])

    return add


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize("row", essential, ids=name_of)
def test_a_kill_in_mid_epoch_changes_nothing(row, run_tiny, with_callback, tmp_path):
    try_row(row, 9, run_tiny, with_callback, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kill_after", [3, 10])
@pytest.mark.parametrize("row", rows.SUPPORTED, ids=name_of)
def test_every_supported_option_is_the_same_after_a_kill(row, kill_after, run_tiny, with_callback, tmp_path):
    few = "limit_train_batches" in str(row.overrides) or "overfit" in str(row.overrides)
    try_row(row, min(kill_after, 5) if few else min(kill_after, 9), run_tiny, with_callback, tmp_path)


@pytest.mark.slow
@pytest.mark.ci(every=40)
@pytest.mark.parametrize("row", rows.SUPPORTED, ids=name_of)
def test_every_supported_option_is_as_in_lightnings_loop(row, run_tiny, tmp_path, monkeypatch):
    """With steps that are taken at once, which `RUN` has not: it logs each."""
    chosen = ["trainer.max_epochs=3", "checkpoint_every_n_steps=4", "logger=csv", *row.overrides]
    many = outcome(run_tiny("many", *chosen), tmp_path / "outputs" / "many")
    monkeypatch.setattr("vision_baselines.training.run.choose_loop", lambda *_: None)
    one = outcome(run_tiny("one", *chosen), tmp_path / "outputs" / "one")
    if row.option == "DeviceStatsMonitor":
        many.pop("logged"), one.pop("logged")
    for key, value in one.items():
        assert same_numbers(many[key], value), key


@pytest.mark.slow
@pytest.mark.ci(every=3)
@pytest.mark.parametrize("row", rows.REFUSED, ids=name_of)
def test_every_other_option_is_refused_in_a_line_before_training(row, run_tiny, tmp_path):
    with pytest.raises(ConfigError, match=row.says) as caught:
        run_tiny("refused", *RUN, *row.overrides)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "outputs" / "refused" / "run.json").exists()


def test_every_parameter_of_the_trainer_has_a_row():
    parameters = set(inspect.signature(pl.Trainer.__init__).parameters) - {"self"}
    assert parameters - {row.option for row in rows.ROWS} - rows.OTHER.keys() == set()


def test_every_callback_of_lightning_has_a_row_or_a_reason():
    shipped = {name for name in pl.callbacks.__all__ if inspect.isclass(getattr(pl.callbacks, name))}
    assert shipped - {row.option for row in rows.ROWS} - rows.OTHER.keys() - rows.NO_PART.keys() == set()


def test_the_page_is_what_the_rows_say():
    assert rows.PAGE.read_text(encoding="utf-8") == rows.page()
    assert len(rows.ROWS) >= 45
    assert len(rows.SUPPORTED) >= 35


@pytest.mark.slow
@pytest.mark.ci
def test_max_time_ends_resumably_and_its_run_is_the_same(run_tiny, tmp_path):
    whole = run_tiny("whole", *RUN, "callbacks.parameters=null")
    with pytest.raises(OutOfTimeError, match="max_time"):
        run_tiny("timed", *RUN, "+trainer.max_time={seconds: 0}", "callbacks.parameters=null")
    assert read_record(tmp_path / "outputs" / "timed").status is Status.INTERRUPTED
    resumed = run_tiny("timed", *RUN, "+trainer.max_time={hours: 1}", "callbacks.parameters=null")
    assert resumed.status is Status.FINISHED
    assert resumed.final_weights_sha256 == whole.final_weights_sha256


class Expires(pl.Callback):
    """Lets the time be used up while a step is taken, after everyone has looked at the clock that one time before."""

    def __init__(self, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.step, self.is_over = step, False
        monkeypatch.setattr(pl.callbacks.Timer, "time_elapsed", lambda *_: 7200 if self.is_over else 0)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        self.is_over = self.is_over or trainer.global_step + 1 == self.step


MORE = [[], ["+trainer.val_check_interval=2"], ["callbacks=early_stopping"], ["scheduler=plateau"]]


@pytest.mark.slow
@pytest.mark.ci(every=14)
@pytest.mark.parametrize("more", MORE, ids=lambda more: " ".join(more))
@pytest.mark.parametrize("step", [1, 2, 5, 6, 7, 8, 12])
def test_whenever_the_time_is_used_up_the_run_is_not_called_finished(
    step, more, run_tiny, with_callback, tmp_path, monkeypatch
):
    """In the last step of an epoch, which validation follows, nobody but the next epoch would end it."""
    timed = [*RUN, *more]
    whole = run_tiny("whole", *timed)
    assert whole.status is Status.FINISHED
    with monkeypatch.context() as patch:
        with_callback(Expires(step, patch))
        with pytest.raises(OutOfTimeError, match="max_time"):
            run_tiny("timed", *timed, "+trainer.max_time={hours: 1}")
    assert read_record(tmp_path / "outputs" / "timed").status is Status.INTERRUPTED
    with_callback()
    resumed = run_tiny("timed", *timed, "+trainer.max_time={hours: 9}")
    assert resumed.status is Status.FINISHED
    assert resumed.final_weights_sha256 == whole.final_weights_sha256
    assert [row.metrics for row in resumed.history] == [row.metrics for row in whole.history]


@pytest.mark.slow
@pytest.mark.ci(every=3)
@pytest.mark.parametrize("step", [1, 6, 8, 12])
def test_a_timer_that_looks_once_an_epoch_ends_it_as_max_time_does(step, run_tiny, with_callback, monkeypatch):
    timer = ["+callbacks.timer._target_=pytorch_lightning.callbacks.Timer", "+callbacks.timer.duration.hours=1"]
    with_callback(Expires(step, monkeypatch))
    with pytest.raises(OutOfTimeError, match="max_time"):
        run_tiny("timed", *RUN, *timer, "+callbacks.timer.interval=epoch")


def test_the_time_that_is_used_up_in_the_last_step_costs_nothing(run_tiny, with_callback, monkeypatch):
    with_callback(Expires(6 * 3, monkeypatch))
    assert run_tiny("timed", *RUN, "+trainer.max_time={hours: 1}").status is Status.FINISHED


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("option", "because"),
    [
        ("+trainer.limit_test_batches=1", ["trainer.limit_test_batches=1"]),
        ("+trainer.fast_dev_run=true", ["trainer.fast_dev_run=True"]),
        ("+trainer.limit_val_batches=1.0", []),
    ],
)
def test_a_partial_run_says_so_in_its_record(option, because, run_tiny):
    assert run_tiny("partial", option, "trainer.max_epochs=1").partial == because


def test_the_record_says_which_precision_ran(run_tiny):
    assert run_tiny("asked", "trainer.precision=16-mixed", "trainer.max_epochs=1").precision == "bf16-mixed"


@pytest.mark.few(1)
@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "16-true"])
def test_a_checkpoint_is_loaded_in_the_precision_that_it_was_trained_in(precision, run_tiny, tmp_path):
    from vision_baselines.training.load import load_classifier
    from vision_baselines.training.results import weights_sha256

    record = run_tiny("run", f"trainer.precision={precision}", "trainer.max_epochs=1")
    classifier, datamodule = load_classifier(tmp_path / "outputs" / "run" / "checkpoints" / "best.ckpt")
    assert record.precision == precision
    assert weights_sha256(classifier.net) == record.weights_sha256
    image = datamodule.normalize(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    assert classifier(image).dtype == next(classifier.net.parameters()).dtype != torch.float32


def test_the_recorded_validation_is_of_the_weights_that_were_tested(run_tiny, tmp_path):
    record = run_tiny("often", *RUN, "+trainer.val_check_interval=1", "optimizer.lr=0.05")
    scores = val_scores(tmp_path / "outputs" / "often")
    assert record.metrics["val/acc"] == max(scores)


def val_scores(folder: Path) -> list[float]:
    import csv

    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        return [float(row["val/acc"]) for row in csv.DictReader(file) if row["val/acc"]]


def test_what_is_stressed_with_kills_are_ten_supported_rows():
    from stress.rows import HARDEST

    assert len(HARDEST) == 10
    assert set(HARDEST.values()) <= {row.overrides for row in rows.SUPPORTED}


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--kills", "0"], "argument --kills: expected a whole number of at least 1"),
        (["--kills", "many"], "argument --kills"),
        (["--kills"], "argument --kills: expected one argument"),
        (["--workers", "two"], "argument --workers: invalid int value"),
        (["--seed", "x"], "argument --seed"),
        (["--nonsense"], "--nonsense"),
        (["--rows", "--kills", "9"], "expected at least one for each of the 10 cases"),
        (["--model", "cnn", "nonsense"], "nonsense"),
        (["--workers", "-1"], "data.num_workers is -1"),
        (["trainer.nonsense=1"], "nonsense"),
        (["+trainer.accumulate_grad_batches=0"], "trainer.accumulate_grad_batches is 0"),
        (["word"], "word"),
    ],
)
def test_a_stress_with_bad_arguments_ends_in_one_line_before_anything_is_killed(
    arguments, says, compose, capsys, monkeypatch
):
    import stress.attempts
    from stress.command import main

    monkeypatch.setattr(stress.attempts, "attempt", lambda *a, **k: pytest.fail("something was started"))
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert says in lines[0]
    assert len(lines) <= 2  # a misspelt key has a second one: how to add it


@pytest.mark.slow
def test_the_hardest_rows_are_the_same_after_real_kills(python, root):
    done = python(str(root / "scripts/stress_resume.py"), "--rows", "--kills", "10", timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 kills" in done.stdout


def test_the_time_of_training_leaves_out_what_is_drawn_before_the_first_step(monkeypatch):
    from types import SimpleNamespace

    from vision_baselines.training import history

    now = [100.0]
    monkeypatch.setattr(history.time, "perf_counter", lambda: now[0])
    trainer = SimpleNamespace(
        global_step=0, current_epoch=0, optimizers=[SimpleNamespace(param_groups=[{"lr": 0.1}])], callback_metrics={}
    )
    clock = history.History()
    clock.on_train_start(trainer, None)
    now[0] += 50  # pictures of the filters
    clock.on_train_epoch_start(trainer, None)
    now[0] += 2
    clock.on_train_end(trainer, None)
    assert clock.fit_s == 2
