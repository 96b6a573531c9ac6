"""How long some runs took in all."""

from __future__ import annotations

from collections.abc import Iterable

from vision_baselines.runs.record import RunRecord


def busy_s(runs: Iterable[RunRecord]) -> float:
    """Seconds in which at least one of the runs ran: what lies between two commands of a sweep is left out.

    Of a run with several attempts only the sum of their seconds is recorded; it counts as if it had run without a break
    until its end.
    """
    busy, until = 0.0, 0.0
    for start, end in sorted(map(_span, runs)):
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return busy


def _span(run: RunRecord) -> tuple[float, float]:
    start, end = run.started_at.timestamp(), (run.ended_at or run.started_at).timestamp()
    return (max(start, end - run.timings.total_s) if run.attempts > 1 else start), end
