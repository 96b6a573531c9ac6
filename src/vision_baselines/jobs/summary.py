"""What a sweep's jobs are called, and what is said of those that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vision_baselines.jobs.outcome import Outcome
from vision_baselines.text import one_line

_LONGEST = 1000  # characters of a reason: it is a job's own text


def labels(overrides: Sequence[Sequence[str]]) -> list[str]:
    """What tells each job from the others: its overrides without those that all of them share.

    >>> labels([["model=cnn", "seed=0", "trainer.max_epochs=1"], ["model=fc", "seed=0", "trainer.max_epochs=1"]])
    ['model=cnn', 'model=fc']
    >>> labels([["seed=0"]])
    ['seed=0']
    """
    return [", ".join(parts) or f"job {index}" for index, parts in enumerate(differing(overrides))]


def differing(overrides: Sequence[Sequence[str]]) -> list[list[str]]:
    """Of each job its overrides without those that all jobs share.

    >>> differing([["model=cnn", "seed=0"], ["model=cnn", "seed=1"]])
    [['seed=0'], ['seed=1']]
    """
    shared = set.intersection(*map(set, overrides)) if len(overrides) > 1 else set()
    return [[text for text in job if text not in shared] for job in overrides]


def failures(jobs: Sequence[tuple[str, Outcome | None, bool]]) -> tuple[str, list[str]]:
    """A line with all counts, and a line for each job that failed or was interrupted.

    Args:
        jobs: Label, outcome if there is one, and whether it was started; a signal may have ended its process before.

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
        one_line(f"{label}: {outcome.message}", _LONGEST)
        for (label, outcome, _), state in zip(jobs, states, strict=True)
        if outcome is not None and state in ("failed", "interrupted")
    ]


def last_words(
    jobs: Sequence[tuple[str, Outcome | None, bool]], folders: Sequence[Path] = (), *, see: str = ""
) -> list[str]:
    """What is said when a sweep ends: how its jobs went; of one that failed why, and where it lies.

    Of several each has had a line of its own when it ended, so only where to look is said.

    Args:
        jobs: As for `failures`.
        folders: Of the jobs, in the same order.
        see: A command that shows all of them, said where several have failed.

    >>> last_words([("seed=0", Outcome(0), False), ("seed=1", Outcome(0), True)])
    ['2 of 2 jobs finished (1 of them before, skipped)']
    >>> last_words([("seed=0", Outcome(4, message="diverged"), True)], [Path("outputs/demo/seed=0")])
    ['1 of 1 jobs failed', 'seed=0: diverged (outputs/demo/seed=0)']
    >>> last_words([("seed=0", Outcome(4), True), ("seed=1", Outcome(4), True)], see="status outputs/demo")
    ['2 of 2 jobs failed; status outputs/demo says why']
    """
    counts, _ = failures(jobs)
    skipped = sum(outcome is not None and outcome.exit_code == 0 and not started for _, outcome, started in jobs)
    said = (counts or f"{len(jobs)} of {len(jobs)} jobs finished") + (
        f" ({skipped} of them before, skipped)" if skipped else ""
    )
    failed = [(label, outcome) for label, outcome, started in jobs if outcome and _state(outcome, started) == "failed"]
    if len(failed) != 1:
        return [one_line(where_to_look(said, see) if failed else said)]
    [(label, outcome)] = failed
    places = [near(folder) for (name, *_), folder in zip(jobs, folders, strict=False) if name == label]
    place = f" ({places[0]})" if places else ""
    return [one_line(said), one_line(one_line(f"{label}: {outcome.message}", _LONGEST) + place)]


def where_to_look(counts: str, see: str) -> str:
    """What is said of several jobs that failed; without a command, where they have said it."""
    return f"{counts}; {see} says why" if see else f"{counts}; their lines above say why"


def in_one_line(
    jobs: Sequence[tuple[str, Outcome | None, bool]], folders: Sequence[Path] = (), *, see: str = ""
) -> str:
    """The last words of a sweep with jobs that failed as one line; empty where every job finished.

    >>> in_one_line([("seed=0", Outcome(4, message="diverged"), True)], [Path("outputs/demo/seed=0")])
    '1 of 1 jobs failed; seed=0: diverged (outputs/demo/seed=0)'
    """
    return "; ".join(last_words(jobs, folders, see=see)) if failures(jobs)[0] else ""


def near(folder: Path) -> str:
    """A folder as it would be typed from here: relative where it lies below the current one."""
    try:
        return folder.relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return str(folder)


def _state(outcome: Outcome | None, is_started: bool) -> str:
    if outcome is None:
        return "interrupted" if is_started else "not started"
    if outcome.exit_code == 0:
        return "finished"
    if not outcome.interrupted:
        return "failed"
    return "interrupted" if is_started else "not started"
