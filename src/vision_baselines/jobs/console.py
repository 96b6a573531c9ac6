"""What a person sees of a sweep: on a terminal a live line per running job, elsewhere a plain line per finished one."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from vision_baselines import terminal
from vision_baselines.jobs.outcome import Outcome
from vision_baselines.jobs.progress import name_room, progress_line
from vision_baselines.text import duration, one_line, printable, told_apart

# Characters of a result or a reason: a job may return megabytes of text; all of it is what the launcher returns.
_LONGEST = 1000
# What the line of a job that is over begins with: one that finished, one that failed.
ENDED = ("✓", "✗")


def say(text: str) -> None:
    """Print a line that is between the jobs of a sweep; what stands in brackets is text."""
    terminal.print_prose(printable(text))


class SweepConsole:
    """Shows how far a sweep is.

    Args:
        total: Number of jobs.
        slots: Jobs at a time, for the estimate of the time left.
        live: Whether lines are drawn anew on a terminal, where nobody else writes.

    Attributes:
        places: Of the jobs by their names, in the order in which those that run are shown.
    """

    def __init__(self, *, total: int, slots: int, live: bool = True) -> None:
        self.total = total
        self.slots = slots
        self.done = 0
        self.failed = 0
        self.running: dict[str, tuple[float, str]] = {}
        self.places: dict[str, int] = {}
        self._durations: list[float] = []
        self._console = Console(highlight=False, markup=False)
        self._live = Live(console=self._console, refresh_per_second=4) if live and self._console.is_terminal else None

    def __enter__(self) -> SweepConsole:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            try:
                self._live.update(Text(""))
                self._live.stop()
            finally:  # a second Ctrl-C may come in the midst of it
                self._console.show_cursor(True)

    def started(self, name: str) -> None:
        """A job has begun."""
        self.running[name] = (time.monotonic(), "starting")

    def progress(self, name: str, line: str) -> None:
        """A job has said how far it is."""
        begun, _ = self.running.get(name, (time.monotonic(), ""))
        self.running[name] = (begun, line)

    def ended(self, name: str, outcome: Outcome, result: str = "") -> None:
        """A job is over: one line, with what it came to, or its reason and, as its `result`, where it lies."""
        begun, _ = self.running.pop(name, (time.monotonic(), ""))
        seconds = time.monotonic() - begun
        name = one_line(name)
        self.done += 1
        if outcome.exit_code:
            self.failed += 1
            place = f" ({one_line(result, _LONGEST // 2)})" if result else ""
            mark, style, said = ENDED[1], "red", one_line(outcome.message, _LONGEST - len(place)) + place
        else:
            self._durations.append(seconds)
            mark, style, said = ENDED[0], "green", f"{one_line(result, _LONGEST)}  {seconds:.1f} s"
        terminal.say(self._console, f"{name}  {said}", mark=f"{mark} ", style=style)

    def note(self, line: str) -> None:
        """A line that stays."""
        terminal.say(self._console, one_line(line))

    def refresh(self) -> None:
        """Draw what runs."""
        if self._live:
            width, room = self._console.width - 2, max(1, self._console.height - 3)
            names = told_apart(map(one_line, self.running), name_room(width))
            longest = max(map(len, names.values()), default=0)
            running = sorted(self.running.items(), key=lambda item: self.places.get(item[0], len(self.places)))
            shown = running[: room if len(self.running) <= room else room - 1]
            lines = [progress_line(names[one_line(name)], line, width, name_width=longest) for name, (_, line) in shown]
            if hidden := len(self.running) - len(shown):
                lines.append(f"and {hidden} more")
            left = self._seconds_left()
            note = f"{self.done}/{self.total} done" + (f", {self.failed} failed" if self.failed else "")
            note += f", about {duration(left)} left" if left else ""
            # drawn in one piece: a line that is wrapped would leave its rest behind
            drawn = [Text(f"  {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in lines]
            self._live.update(Group(*drawn, Text(note, no_wrap=True, overflow="ellipsis")))

    def _seconds_left(self) -> float | None:
        if not self._durations:
            return None
        mean = sum(self._durations) / len(self._durations)
        return mean * (self.total - self.done) / max(1, min(self.slots, self.total))
