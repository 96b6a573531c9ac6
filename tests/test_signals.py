"""Ctrl-C at any moment ends a command in a line, and a record says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vision_baselines.cli import entry
from vision_baselines.cli.start import main
from vision_baselines.jobs.signals import Interrupted, StopSignals, interruption
from vision_baselines.probes.probe import Probe
from vision_baselines.runs.record import Status, read_record
from vision_baselines.training import build
from vision_baselines.training import run as run_module


def after(function: Callable[..., Any], signum: int) -> Callable[..., Any]:
    """The function, with a signal sent to this process as it is called."""

    def called(*arguments: Any, **options: Any) -> Any:
        os.kill(os.getpid(), signum)
        return function(*arguments, **options)

    return called


MOMENTS = {
    "as the record is made": (run_module, "new_record"),
    "as the config is written": (run_module, "write_atomically"),
    "as the data is made": (build, "datamodule"),
    "as the net is built": (build, "classifier"),
    "as the callbacks are built": (build, "callbacks"),
    "as the trainer is built": (build, "trainer"),
}


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "signum", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=[pytest.mark.slow, pytest.mark.ci])]
)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_while_a_run_is_built_is_noted_and_the_run_goes_on_later(
    run_tiny: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, signum: int
) -> None:
    place, name = MOMENTS[moment]
    with monkeypatch.context() as patched:
        patched.setattr(place, name, after(getattr(place, name), signum))
        with pytest.raises(Interrupted) as ended:
            run_tiny("run")
    assert ended.value.signum == signum
    assert read_record(tmp_path / "outputs" / "run").status is Status.INTERRUPTED
    assert run_tiny("run").status is Status.FINISHED


@pytest.fixture
def cli_here(tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    """``cli_here()``: a tiny run by the command, in this process: its exit code and its last line on stderr."""
    plain = ["logger=none", "callbacks.learning_rate=null", "callbacks.filters=null", "callbacks.parameters=null"]
    words = [*[word for word in tiny if "max_epochs" not in word], *plain, "trainer.max_epochs=1", "name=run"]
    monkeypatch.setattr(sys, "argv", ["train.py", *words, f"paths.output_dir={tmp_path}"])
    monkeypatch.chdir(tmp_path)

    def called() -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main("vision_baselines.cli.train")
        return int(ended.value.code or 0), " ".join(capsys.readouterr().err.splitlines()[-1:])

    return called


class LongProbe(Probe):
    """Asks for an end while it measures, and would go on for minutes."""

    def on_test_epoch_end(self, *_: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(6000):
            time.sleep(0.01)
        pytest.fail("it was not ended")


def test_a_probe_is_ended_at_once_and_the_run_goes_on_later(
    run_tiny: Callable[..., Any], tmp_path: Path, with_callback: Callable[..., None]
) -> None:
    whole = run_tiny("whole")
    with_callback(LongProbe())
    with pytest.raises(Interrupted):
        run_tiny("run")
    assert read_record(tmp_path / "outputs" / "run").status is Status.INTERRUPTED
    with_callback()
    record = run_tiny("run")
    assert record.status is Status.FINISHED
    assert record.metrics == whole.metrics


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("moment", "signals"),
    [
        ("as its states are removed", [signal.SIGINT, signal.SIGINT]),  # the first one waits for the end of it
        ("as its page is written", [signal.SIGINT]),
        ("as its page is written", [signal.SIGTERM]),
        ("as it is skipped", [signal.SIGTERM]),
    ],
)
def test_a_signal_after_the_result_is_written_says_that_the_run_is_finished(
    moment: str,
    signals: list[int],
    cli_here: Callable[..., tuple[int, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def send(*_: Any, **__: Any) -> None:
        for signum in signals:
            os.kill(os.getpid(), signum)

    places = {
        "as its states are removed": (run_module, "remove_states"),
        "as its page is written": (entry, "_write_run_page"),
        "as it is skipped": (run_module, "relabel"),
    }
    if moment == "as it is skipped":
        assert cli_here()[0] == 0
    with monkeypatch.context() as patched:
        patched.setattr(*places[moment], send)
        code, said = cli_here()
    assert said == f"ended by {signal.Signals(signals[0]).name}; the run is finished, and its result is kept"
    assert code == 128 + signals[0]
    assert read_record(next(tmp_path.rglob("run.json")).parent).finished


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_trains_nothing_says_of_a_signal_no_more_than_that(
    signum: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "import os\nfrom vision_baselines.cli.entry import exit_with\n"
    text += f"def main():\n    exit_with(lambda: os.kill(os.getpid(), {int(signum)}))\n"
    (tmp_path / "ends_itself.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ends_itself", raising=False)
    with pytest.raises(SystemExit) as ended:
        main("ends_itself")
    assert ended.value.code == 128 + signum
    assert capsys.readouterr().err.splitlines()[-1] == f"ended by {signal.Signals(signum).name}"


def test_a_job_that_a_signal_ends_after_its_result_was_written_is_finished(
    train_tiny: Callable[..., Any], tmp_path: Path
) -> None:
    from vision_baselines.jobs.outcome import Outcome
    from vision_baselines.sweep.hooks import RunHooks
    from vision_baselines.sweep.job import Job

    record = train_tiny(tmp_path / "x", "trainer.max_epochs=1")
    ended = Outcome(130, kind="Interrupted", message="ended by SIGINT")
    job = Job(0, [], b"", tmp_path / "x", [])
    assert RunHooks().after_signal(job, ended).exit_code == 0
    job.previous = record
    assert RunHooks().after_signal(job, ended) == ended
    assert RunHooks().after_signal(Job(0, [], b"", tmp_path / "none", []), ended) == ended


def test_reading_data_is_ended_at_once() -> None:
    with StopSignals() as stop:
        stop.deferring = True
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == signal.SIGTERM
        with pytest.raises(Interrupted), stop.at_once():
            pytest.fail("it was not ended")
        assert stop.deferring


@pytest.mark.parametrize("signalled", [KeyboardInterrupt(), Interrupted(signal.SIGTERM)])
def test_what_a_library_makes_of_a_signal_is_reported_as_the_signal(
    signalled: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    def garbled() -> None:
        try:
            raise signalled
        except BaseException:
            raise AttributeError("'NoneType' object has no attribute '_flags'")  # noqa: B904

    assert entry._exit_code(garbled) == (130 if isinstance(signalled, KeyboardInterrupt) else 143)
    assert capsys.readouterr().err.startswith("ended by SIG")


def test_an_error_without_a_signal_is_no_interruption() -> None:
    assert interruption(ValueError()) is None


# What may become of Ctrl-C in the midst of an import: a library's clean-up fails, or it says something of its own.
INTERRUPTED = "try:\n    raise KeyboardInterrupt\n"
IMPORTS = {
    "as it is": "raise KeyboardInterrupt",
    "clean-up fails": INTERRUPTED + "finally:\n    None.flags",
    "another error": INTERRUPTED + "except BaseException as error:\n    raise ImportError('x') from error",
    "the cause is hidden": INTERRUPTED + "except BaseException:\n    raise ImportError('x') from None",
}


@pytest.mark.parametrize("text", IMPORTS.values(), ids=IMPORTS)
def test_ctrl_c_while_a_command_is_imported_is_a_line(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slow_to_import.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "slow_to_import", raising=False)
    with pytest.raises(SystemExit) as ended:
        main("slow_to_import")
    assert ended.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1] == "ended by SIGINT"


def test_an_error_of_an_import_stays_what_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "not_importable.py").write_text("raise ImportError('x')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="x"):
        main("not_importable")


@pytest.mark.slow
@pytest.mark.ci(every=6)
@pytest.mark.parametrize(
    ("signum", "delay_s", "more"),
    [
        (signal.SIGINT, 2.0, []),
        (signal.SIGINT, 5.0, []),
        (signal.SIGTERM, 1.0, []),
        (signal.SIGHUP, 3.0, ["-m", "seed=range(8)", "seeds_per_pass=2"]),
        (signal.SIGTERM, 5.0, ["-m", "seed=range(8)", "seeds_per_pass=2"]),
        (signal.SIGINT, 7.0, ["-m", "seed=range(8)", "seeds_per_pass=2", "preview=true"]),
    ],
)
def test_a_signal_after_any_time_leaves_no_traceback(
    root: Path, tmp_path: Path, environment: Any, signum: int, delay_s: float, more: list[str]
) -> None:
    words = ["model=fc", "data=digits", "name=x", f"paths.output_dir={tmp_path}", "trainer.max_epochs=200", *more]
    command = [sys.executable, str(root / "scripts" / "train.py"), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(delay_s)
    process.send_signal(signum)
    _, said = process.communicate()
    assert process.returncode == 128 + signum
    assert f"ended by {signal.Signals(signum).name}" in said
    assert "Traceback" not in said
