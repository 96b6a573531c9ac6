"""A run that was interrupted anywhere and resumed is the uninterrupted one: weights, history, curves, result."""

from __future__ import annotations

import os
import signal
import time
import warnings

import pytest
import pytorch_lightning as pl

from vision_baselines.jobs.signals import Interrupted
from vision_baselines.runs.record import Status, read_record

# Six steps an epoch, three epochs. The plateau schedule lowers the rate in every epoch that does not improve.
SCHEDULES = {
    "cosine": ["scheduler=cosine"],
    "one_cycle": ["scheduler=one_cycle"],
    "plateau": ["scheduler=plateau", "scheduler.schedule.patience=0", "+scheduler.schedule.threshold=1.0"],
}
LONGER = ["trainer.max_epochs=3", "trainer.log_every_n_steps=1", "checkpoint_every_n_steps=3"]
RATE = "++callbacks.learning_rate={_target_:pytorch_lightning.callbacks.LearningRateMonitor,logging_interval:epoch}"


class StopAt(pl.Callback):
    """Ends the run at one of its moments, the first time it comes by."""

    def __init__(self, hook, step, act):
        self.step, self.act, self.done = step, act, False
        setattr(self, hook, self.arrive)

    def arrive(self, trainer, *rest):
        if trainer.global_step >= self.step and not self.done and trainer.state.fn == "fit":
            self.done = True
            self.act()


def crash():
    raise RuntimeError("pulled the plug")


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def curves_of(scalars, folder):
    """Every scalar but the seconds; Lightning writes ``epoch`` beside each group of metrics, so twice at one step."""
    curves = scalars(folder)
    curves["epoch"] = sorted(set(curves["epoch"]))
    del curves["whole_run/seconds"]  # no two runs take the same
    return curves


def options(schedule, *more):
    return [*SCHEDULES[schedule], *LONGER, "logger=tensorboard", RATE, *more]


@pytest.fixture(scope="module")
def uninterrupted(train_tiny, scalars, tmp_path_factory):
    """``uninterrupted(schedule)``: record and curves of the run that nothing happened to."""
    made = {}

    def run(schedule):
        if schedule not in made:
            folder = tmp_path_factory.mktemp("whole") / schedule
            made[schedule] = train_tiny(folder, *options(schedule)), curves_of(scalars, folder)
        return made[schedule]

    return run


@pytest.fixture
def same_as(uninterrupted, scalars):
    def check(record, folder, schedule):
        expected, curves = uninterrupted(schedule)
        assert record.finished
        assert record.history == expected.history
        assert record.final_weights_sha256 == expected.final_weights_sha256
        assert record.weights_sha256 == expected.weights_sha256
        assert record.metrics == expected.metrics
        assert record.confusion == expected.confusion
        assert curves_of(scalars, folder) == curves

    return check


@pytest.mark.slow
@pytest.mark.ci
def test_the_rates_of_the_plateau_run_do_fall(uninterrupted):
    rates = [row.lr for row in uninterrupted("plateau")[0].history]
    assert rates[2] < rates[1] <= rates[0]


def test_each_step_and_epoch_is_in_the_curves_once(uninterrupted):
    _, curves = uninterrupted("cosine")
    assert [step for step, _ in curves["train/loss_step"]] == list(range(18))
    assert [step for step, _ in curves["val/acc"]] == [5, 11, 17]
    assert len(curves["test/acc"]) == 1


# In mid-epoch, at a last batch, before its validation, in validation, at the start of an epoch, and in the first step.
CI = [pytest.mark.slow, pytest.mark.ci]
MOMENTS = [
    ("on_train_batch_end", 9),
    pytest.param("on_validation_end", 6, marks=CI),
    pytest.param("on_train_epoch_start", 12, marks=CI),
    pytest.param("on_train_end", 18, marks=CI),
]
RARER = [
    ("on_train_batch_end", 1),
    ("on_train_batch_end", 12),
    ("on_validation_start", 12),
    ("on_train_epoch_end", 6),
    ("on_train_batch_start", 13),
]


@pytest.mark.parametrize(
    ("hook", "step"), [*MOMENTS, *(pytest.param(*moment, marks=pytest.mark.slow) for moment in RARER)]
)
def test_a_crash_at_any_moment_costs_nothing(train_tiny, with_callback, tmp_path, same_as, hook, step):
    with_callback(StopAt(hook, step, crash))
    with pytest.raises(RuntimeError, match="plug"):
        train_tiny(tmp_path / "run", *options("cosine"))
    record = train_tiny(tmp_path / "run", *options("cosine"))
    assert record.attempts == 2
    same_as(record, tmp_path / "run", "cosine")


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("schedule", ["one_cycle", "plateau"])
@pytest.mark.parametrize(
    ("hook", "step"), [("on_train_batch_end", 9), pytest.param("on_train_epoch_start", 12, marks=pytest.mark.slow)]
)
def test_schedules_go_on_where_they_were(train_tiny, with_callback, tmp_path, same_as, schedule, hook, step):
    with_callback(StopAt(hook, step, crash))
    with pytest.raises(RuntimeError, match="plug"):
        train_tiny(tmp_path / "run", *options(schedule))
    same_as(train_tiny(tmp_path / "run", *options(schedule)), tmp_path / "run", schedule)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", list(SCHEDULES))
@pytest.mark.parametrize("step", range(1, 18))
def test_a_crash_after_any_step_costs_nothing_under_any_schedule(
    train_tiny, with_callback, tmp_path, same_as, schedule, step
):
    often = options(schedule, "checkpoint_every_n_steps=1")
    with_callback(StopAt("on_train_batch_end", step, crash))
    with pytest.raises(RuntimeError, match="plug"):
        train_tiny(tmp_path / "run", *often)
    same_as(train_tiny(tmp_path / "run", *often), tmp_path / "run", schedule)


@pytest.mark.slow
@pytest.mark.ci
def test_loading_workers_resume_like_none(train_tiny, with_callback, tmp_path, same_as):
    with_callback(StopAt("on_train_batch_end", 8, crash))
    with pytest.raises(RuntimeError, match="plug"):
        train_tiny(tmp_path / "run", *options("cosine", "data.num_workers=2"))
    same_as(train_tiny(tmp_path / "run", *options("cosine", "data.num_workers=2")), tmp_path / "run", "cosine")


@pytest.mark.parametrize("every", [4, *(pytest.param(n, marks=pytest.mark.slow) for n in (6, 500))])
def test_what_is_lost_since_the_last_state_is_trained_again(train_tiny, with_callback, tmp_path, same_as, every):
    rare = options("cosine", f"checkpoint_every_n_steps={every}")
    with_callback(StopAt("on_train_batch_end", 15, crash))
    with pytest.raises(RuntimeError, match="plug"):
        train_tiny(tmp_path / "run", *rare)
    same_as(train_tiny(tmp_path / "run", *rare), tmp_path / "run", "cosine")


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize(("hook", "step"), [("on_train_batch_end", 3), ("on_validation_start", 6)])
def test_a_signal_costs_nothing(train_tiny, with_callback, tmp_path, same_as, hook, step):
    rare = options("cosine", "checkpoint_every_n_steps=500")
    with_callback(StopAt(hook, step, terminate))
    with pytest.raises(Interrupted):
        train_tiny(tmp_path / "run", *rare)
    assert read_record(tmp_path / "run").status is Status.INTERRUPTED
    same_as(train_tiny(tmp_path / "run", *rare), tmp_path / "run", "cosine")


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_may_be_interrupted_again_and_again(train_tiny, with_callback, tmp_path, same_as):
    for step in (2, 7, 8, 14):
        with_callback(StopAt("on_train_batch_end", step, terminate))
        with pytest.raises(Interrupted):
            train_tiny(tmp_path / "run", *options("plateau"))
    with_callback()
    record = train_tiny(tmp_path / "run", *options("plateau"))
    assert record.attempts == 5
    same_as(record, tmp_path / "run", "plateau")


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_that_stops_early_stays_stopped_when_it_is_resumed(train_tiny, with_callback, tmp_path):
    stop = "++callbacks.early={_target_:pytorch_lightning.callbacks.EarlyStopping,monitor:val/acc,mode:max,patience:0}"
    more = [*options("cosine"), "trainer.max_epochs=8", stop, "optimizer.lr=0"]
    whole = train_tiny(tmp_path / "whole", *more)
    assert len(whole.history) < 8
    with_callback(StopAt("on_train_end", 1, crash))
    with pytest.raises(RuntimeError, match="plug"):
        train_tiny(tmp_path / "run", *more)
    with_callback()
    assert train_tiny(tmp_path / "run", *more).history == whole.history


def test_a_damaged_state_falls_back_to_the_one_before(train_tiny, with_callback, tmp_path, same_as, caplog):
    with_callback(StopAt("on_train_batch_end", 9, crash))
    with pytest.raises(RuntimeError, match="plug"):
        train_tiny(tmp_path / "run", *options("cosine"))
    latest = max((tmp_path / "run" / "checkpoints").glob("resume-*.ckpt"))
    latest.write_bytes(latest.read_bytes()[:-100])
    same_as(train_tiny(tmp_path / "run", *options("cosine")), tmp_path / "run", "cosine")
    assert "checksum mismatch" in caplog.text
    assert "going back to the one before" in caplog.text


def test_time_is_summed_over_attempts(train_tiny, with_callback, tmp_path):
    with_callback(StopAt("on_train_batch_end", 9, crash))
    with pytest.raises(RuntimeError, match="plug"):
        train_tiny(tmp_path / "run", *options("cosine"))
    first = read_record(tmp_path / "run")
    record = train_tiny(tmp_path / "run", *options("cosine"))
    assert record.timings.setup_s > first.timings.setup_s > 0
    assert record.started_at == first.started_at


def killed(code):
    """Run `code` in a fork of this process and wait for SIGKILL to end it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads; none of ours holds a lock
        child = os.fork()
    if child == 0:
        try:
            code()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize(
    ("schedule", "step", "every"),
    [
        ("cosine", 9, 1),
        pytest.param("plateau", 13, 4, marks=CI),
        *(pytest.param("plateau", step, 1, marks=pytest.mark.slow) for step in range(1, 18, 2)),
    ],
)
def test_a_run_that_was_killed_goes_on_where_its_last_state_stands(
    train_tiny, with_callback, tmp_path, same_as, schedule, step, every
):
    often = options(schedule, f"checkpoint_every_n_steps={every}")
    with_callback(StopAt("on_train_batch_end", step, lambda: os.kill(os.getpid(), signal.SIGKILL)))
    killed(lambda: train_tiny(tmp_path / "run", *often))
    assert read_record(tmp_path / "run").status is Status.RUNNING
    with_callback()
    same_as(train_tiny(tmp_path / "run", *often), tmp_path / "run", schedule)


@pytest.mark.slow
def test_a_kill_at_any_moment_of_the_whole_run_costs_nothing(train_tiny, tmp_path, same_as):
    often = options("one_cycle", "checkpoint_every_n_steps=1")
    for delay_s in (0.15, 0.3, 0.45, 0.6, 0.75):
        child = os.fork()
        if child == 0:
            try:
                train_tiny(tmp_path / "run", *often)
            finally:
                os._exit(0)
        time.sleep(delay_s)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    same_as(train_tiny(tmp_path / "run", *often), tmp_path / "run", "one_cycle")
