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


def test_where_more_fail_than_are_shown_status_is_named(tmp_path):
    jobs = [(f"seed={seed}", Outcome(4, message="died\x1b[2J"), True) for seed in range(100)]
    lines = last_words(jobs, [tmp_path / label for label, _, _ in jobs], see=f"vision-baselines status {tmp_path}")
    assert len(lines) == 22
    assert lines[0] == "100 of 100 jobs failed"
    assert lines[1] == f"seed=0: died ({tmp_path}/seed=0)"
    assert lines[-1] == f"and 80 more: vision-baselines status {tmp_path}"


@pytest.mark.parametrize(("n_failed", "is_listed"), [(1, False), (2, True)])
def test_why_one_job_failed_is_said_once_and_of_several_each(tmp_path, capsys, monkeypatch, n_failed, is_listed):
    jobs = [(f"seed={seed}", Outcome(4, message="diverged"), True) for seed in range(n_failed)] + [
        ("seed=9", Outcome(0), True)
    ]
    folders = [tmp_path / label for label, _, _ in jobs]
    error = TrainingError(in_one_line(jobs, folders))
    assert str(error).endswith(f"; seed=0: diverged ({tmp_path}/seed=0)")
    monkeypatch.setattr(SweepCallback, "current", None)
    monkeypatch.setattr(SweepCallback, "last_words", last_words(jobs, folders))
    SweepCallback.finish(error)
    assert capsys.readouterr().out.count("diverged") == (n_failed if is_listed else 0)
