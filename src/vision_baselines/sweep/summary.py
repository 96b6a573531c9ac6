"""What a sweep's jobs are called, and what is said of those that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vision_baselines.runs.fingerprint import is_irrelevant, key_of
from vision_baselines.sweep.outcome import Outcome


def labels(overrides: Sequence[Sequence[str]]) -> list[str]:
    """What tells each job from the others: its overrides without those that all of them share.

    >>> labels([["model=cnn", "seed=0", "trainer.max_epochs=1"], ["model=fc", "seed=0", "trainer.max_epochs=1"]])
    ['model=cnn', 'model=fc']
    >>> labels([["seed=0", "name=demo"]])
    ['seed=0']
    """
    shared = set.intersection(*map(set, overrides)) if len(overrides) > 1 else set()
    found = [[text for text in job if text not in shared and not is_irrelevant(key_of(text))] for job in overrides]
    return [", ".join(parts) or f"job {index}" for index, parts in enumerate(found)]


def failures(jobs: Sequence[tuple[str, Outcome | None, bool]]) -> tuple[str, list[str]]:
    """A line with all counts, and a line for each job that failed or was interrupted.

    Args:
        jobs: Label, outcome if there is one, and whether it was started.

    Returns:
        An empty line and none where every job finished.

    >>> failures([("seed=0", Outcome(0), True), ("seed=1", Outcome(4, message="diverged"), True)])
    ('1 of 2 jobs failed, 1 finished', ['seed=1: diverged'])
    """
    states = [_state(outcome, is_started) for _, outcome, is_started in jobs]
    if all(state == "finished" for state in states):
        return "", []
    counts = Counter(states)
    order = [state for state in ("failed", "interrupted", "not started", "finished") if counts[state]]
    said = f"{counts[order[0]]} of {len(jobs)} jobs {order[0]}"
    said += "".join(f", {counts[state]} {state}" for state in order[1:])
    return said, [
        f"{label}: {outcome.message}"
        for (label, outcome, _), state in zip(jobs, states, strict=True)
        if outcome is not None and state in ("failed", "interrupted")
    ]


def _state(outcome: Outcome | None, is_started: bool) -> str:
    if outcome is None:
        return "interrupted" if is_started else "not started"
    if outcome.exit_code == 0:
        return "finished"
    return "interrupted" if outcome.interrupted else "failed"
