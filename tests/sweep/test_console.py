"""What a person sees of a sweep: on terminals of any width, in a pipe, with any names."""

from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len

from vision_baselines.errors import TrainingError
from vision_baselines.jobs import console as console_module
from vision_baselines.jobs.console import SweepConsole
from vision_baselines.jobs.outcome import Outcome
from vision_baselines.jobs.progress import progress_line
from vision_baselines.jobs.summary import in_one_line, last_words
from vision_baselines.sweep.callback import SweepCallback

SAID = "epoch 3 (last 14)  train/loss 0.1234  train/acc 0.9500  val/loss 0.2000  val/acc 0.9333"
NAMES = ["seed=0", "model=cnn, optimizer.lr=0.001, seed=12", "a\x1b[2Jb\x07\r\nc", "名前=値" * 9, "x" * 300]
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


@pytest.fixture
def shown(monkeypatch):
    """``shown(names, width, is_terminal)``: all that a sweep with jobs of these names writes."""

    def show(names, width=80, *, is_terminal=True, height=24):
        out = io.StringIO()
        make = console_module.Console

        def console(**options):
            return make(file=out, force_terminal=is_terminal, width=width, height=height, _environ={}, **options)

        monkeypatch.setattr(console_module, "Console", console)
        with SweepConsole(total=len(names), slots=len(names)) as found:
            for name in names:
                found.started(name)
                found.progress(name, SAID)
            found.refresh()
            if found._live:
                found._live.refresh()
            for index, name in enumerate(names):
                message = "died of \x1b]0;x\x07\nevil" if index % 2 else ""
                found.ended(name, Outcome(4 if message else 0, message=message))
        return out.getvalue()

    return show


@pytest.mark.parametrize("width", [20, 40, 59, 60, 80, 200])
@pytest.mark.parametrize("name", NAMES)
def test_a_line_of_progress_fits_and_says_the_epoch_first(name, width):
    line = progress_line(name, SAID, width)
    assert len(line) <= width
    assert not CONTROL.search(line)
    if width >= 40:
        assert "epoch 3" in line
        assert ("acc 0.93" in line) or len(name) > 20


@pytest.mark.parametrize("width", [20, 40, 80])
def test_no_live_line_is_wider_than_the_terminal(shown, width):
    drawn = shown(NAMES, width)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    live = [line for line in re.split(r"[\r\n]+", plain) if "epoch 3" in line or " done" in line]
    assert live
    assert all(cell_len(line) <= width for line in live)


def test_a_hundred_jobs_at_once_leave_the_count_in_sight(shown):
    drawn = shown([f"seed={seed}" for seed in range(100)], height=10)
    assert "and 94 more" in drawn
    assert "0/100 done" in drawn


def test_names_and_reasons_cannot_act_on_the_terminal(shown):
    drawn = shown(NAMES)
    assert "\x07" not in drawn
    assert "\x1b]" not in drawn
    assert "\x1b[2J" not in drawn


def test_the_cursor_is_shown_again_when_the_sweep_ends(shown):
    drawn = shown(["seed=0"])
    assert drawn.rfind("\x1b[?25h") > drawn.rfind("\x1b[?25l") >= 0


def test_in_a_pipe_there_are_plain_lines_alone(shown):
    drawn = shown(NAMES, is_terminal=False)
    assert not CONTROL.search(drawn)
    assert len(drawn.splitlines()) == len(NAMES)


class Lines:
    """A console that keeps what was said of jobs that are over."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, str]] = []

    def ended(self, name: str, outcome: Outcome, result: str = "") -> None:
        self.said.append((name, outcome.message, result))


@pytest.fixture
def in_one_pass(tmp_path):
    """A sweep that ends at its first failure, what is said of its jobs, and the first of three that share a process."""
    from vision_baselines.jobs.hooks import Hooks
    from vision_baselines.jobs.job import Job
    from vision_baselines.jobs.launch import _Sweep

    jobs = [Job(index, [], b"", tmp_path / f"seed={index}", [], label=f"seed={index}") for index in range(3)]
    jobs[0].companions = jobs[1:]
    lines = Lines()
    return _Sweep(Hooks(), None, lines, None, slots=1, fail_fast=True), lines.said, jobs[0]


def test_each_job_of_a_pass_that_is_killed_is_named_before_the_sweep_ends_at_its_first_failure(in_one_pass, tmp_path):
    sweep, said, first = in_one_pass
    with pytest.raises(Exception, match=r"^seed=0: killed by SIGSEGV \(.*\); fail_fast=true: "):
        sweep.ended(first, None, -11)
    assert said == [(f"seed={seed}", "killed by SIGSEGV", str(tmp_path / f"seed={seed}")) for seed in range(3)]


def test_each_job_that_the_end_of_a_sweep_ends_is_named_and_none_twice(in_one_pass):
    sweep, said, first = in_one_pass
    diverged = Outcome(4, message="diverged")
    with pytest.raises(Exception, match="seed=0: diverged"):
        sweep.progress(first, (0, diverged))
    sweep.stopped(first, Outcome(0, value=[diverged, diverged, Outcome(0)]))
    assert [words[:2] for words in said] == [("seed=0", "diverged"), ("seed=1", "diverged"), ("seed=2", "")]


@pytest.mark.parametrize("n_failed", [1, 2, 100])
def test_at_the_end_stands_why_one_job_failed_and_of_several_where_to_look(tmp_path, capsys, monkeypatch, n_failed):
    jobs = [(f"seed={seed}", Outcome(4, message="diverged"), True) for seed in range(n_failed)] + [
        ("seed=999", Outcome(0), True)
    ]
    folders, see = [tmp_path / label for label, _, _ in jobs], f"vision-baselines status {tmp_path}"
    error = TrainingError(in_one_line(jobs, folders, see=see))
    counts = f"{n_failed} of {n_failed + 1} jobs failed, 1 finished; "
    assert str(error) == counts + (
        f"seed=0: diverged ({tmp_path}/seed=0)" if n_failed == 1 else f"vision-baselines status {tmp_path} says why"
    )
    monkeypatch.setattr(SweepCallback, "current", None)
    monkeypatch.setattr(SweepCallback, "last_words", last_words(jobs, folders, see=see))
    SweepCallback.finish(error)
    assert capsys.readouterr().out == ""  # the error is said last


def test_after_the_first_failure_of_fail_fast_stands_only_what_its_error_does_not_say(capsys, monkeypatch):
    jobs = [("seed=0", Outcome(4, message="diverged"), True), ("seed=1", Outcome(143, message="ended"), True)]
    monkeypatch.setattr(SweepCallback, "current", None)
    monkeypatch.setattr(SweepCallback, "last_words", last_words(jobs))
    SweepCallback.finish(TrainingError("seed=0: diverged; fail_fast=true: the jobs after it were not started"))
    assert capsys.readouterr().out == "1 of 2 jobs failed, 1 interrupted\n"
