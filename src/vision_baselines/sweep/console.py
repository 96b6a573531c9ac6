"""What a person sees of a sweep: on a terminal a live line per running job, elsewhere a plain line per finished one."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from vision_baselines.comparison.metric import headline_value
from vision_baselines.runs.record import Status, read_record
from vision_baselines.sweep.outcome import Outcome


def say(text: str) -> None:
    """Print a line that is between the jobs of a sweep; what stands in brackets is text."""
    Console(highlight=False, markup=False).print(Text(text), soft_wrap=True)


class SweepConsole:
    """Shows how far a sweep is.

    Args:
        total: Number of jobs.
        slots: Jobs at a time, for the estimate of the time left.
    """

    def __init__(self, *, total: int, slots: int) -> None:
        self.total = total
        self.slots = slots
        self.done = 0
        self.failed = 0
        self.running: dict[str, tuple[float, str]] = {}
        self._durations: list[float] = []
        self._console = Console(highlight=False, markup=False)
        self._live = Live(console=self._console, refresh_per_second=4) if self._console.is_terminal else None

    def __enter__(self) -> SweepConsole:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.update(Text(""))
            self._live.stop()

    def started(self, name: str) -> None:
        """A job has begun."""
        self.running[name] = (time.monotonic(), "starting")

    def progress(self, name: str, line: str) -> None:
        """A job has said how far it is."""
        begun, _ = self.running[name]
        self.running[name] = (begun, line)

    def ended(self, name: str, folder: Path, outcome: Outcome) -> None:
        """A job is over: one line, with its headline number or its reason."""
        begun, _ = self.running.pop(name)
        seconds = time.monotonic() - begun
        self.done += 1
        if outcome.exit_code:
            self.failed += 1
            text = Text.assemble(("✗ ", "red"), f"{name}  {outcome.message}")
        else:
            self._durations.append(seconds)
            text = Text.assemble(("✓ ", "green"), f"{name}  {_result(folder)}  {seconds:.1f} s")
        self._console.print(text, soft_wrap=True)

    def note(self, line: str) -> None:
        """A line that stays."""
        self._console.print(Text(line), soft_wrap=True)

    def refresh(self) -> None:
        """Draw what runs."""
        if self._live:
            lines = [Text(f"  {name}  {line}", style="dim", no_wrap=True) for name, (_, line) in self.running.items()]
            left = self._seconds_left()
            note = f"{self.done}/{self.total} done" + (f", {self.failed} failed" if self.failed else "")
            self._live.update(Group(*lines, Text(note + (f", about {left:.0f} s left" if left else ""))))

    def _seconds_left(self) -> float | None:
        if not self._durations:
            return None
        mean = sum(self._durations) / len(self._durations)
        return mean * (self.total - self.done) / max(1, min(self.slots, self.total))


def _result(folder: Path) -> str:
    try:
        record = read_record(folder)
    except (OSError, ValueError):
        return ""
    if record.status is not Status.FINISHED:
        return ""
    return "; ".join([headline_value(record), *record.caveats])
