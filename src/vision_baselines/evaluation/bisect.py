"""Where do two runs of one config part? The first step, and in it the first module, whose bits differ.

A run that kept a trace (``trace=true``) is trained once and compared with it; another one is trained twice. A run ends
at the first step that differs; then two more, up to that step, record its operations one by one, and say whether runs
of today agree with each other. Everything is written in a scratch folder.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from vision_baselines.comparison.formatting import plural
from vision_baselines.errors import DataError, TrainingError
from vision_baselines.evaluation.likely_cause import Cause, Evidence, lasting_cause, likely_cause
from vision_baselines.evaluation.reproduce import (
    Point,
    compare_records,
    config_differences,
    manifest_differences,
    run_again,
)
from vision_baselines.runs.code import code_differences
from vision_baselines.runs.record import RunRecord, finished_record, read_record
from vision_baselines.runs.trace import (
    QUANTITIES,
    TRACE_FILE,
    Operation,
    Trace,
    first_difference,
    first_operation,
    read_trace,
    rows_of_both,
)
from vision_baselines.training.trace import StepTrace, TraceEndedError

_START = (0, 0)
_FIRST_BATCHES = 32  # most runs that part do so early, and then no whole run is needed
_MOST_PAIRS = 3


@dataclass(frozen=True)
class Bisection:
    """Where two runs part, and why.

    Attributes:
        name: The run's.
        compared: Which two runs, in words.
        batches: Training batches that are the same in both, from the first on.
        evidence: What differs first; None where nothing does.
        cause: The likely cause.
        points: What the record says and a run made now gives, where the two runs do not part.
        not_comparable: Why the record's bits need not be theirs.
    """

    name: str
    compared: str
    batches: int
    evidence: Evidence | None = None
    cause: Cause | None = None
    points: tuple[Point, ...] = ()
    not_comparable: str = ""

    @property
    def passed(self) -> bool:
        """Whether every step is the same, and the record agrees."""
        return self.evidence is None and all(point.same for point in self.points)

    def lines(self) -> Iterator[str]:
        """What was found, a line for each thing."""
        yield f"{'compared':>9}  {self.compared}"
        if self.batches:
            which = "the first" if self.evidence else "all"
            yield f"{'same':>9}  {which} {plural(self.batches, 'training batch')}"
        if self.evidence is not None:
            row = self.evidence.before
            yield f"{'DIFFERENT':>9}  step {row.step} (epoch {row.epoch}, batch {row.batch}; all from 0): {self.what}"
            yield f"{'where':>9}  {self.where}"
        for point in self.points:
            if not (point.same and point.judged):
                yield f"{point.verdict:>9}  from the record, {point.name}: {point.detail}"
        if self.not_comparable:
            yield f"{'differs':>9}  from the record, which need not have the same bits: {self.not_comparable}"
        if self.cause is not None:
            yield f"{'likely':>9}  {self.cause.text}"
            yield f"{'do':>9}  {self.cause.advice}"

    @property
    def what(self) -> str:
        """What differs first, in words."""
        return QUANTITIES[self.evidence.quantity] if self.evidence else ""

    @property
    def where(self) -> str:
        """Pass and module of the first operation that differs, in words."""
        if self.evidence is None:
            return ""
        if self.evidence.operation is None:
            return {
                "loss": "forward pass; a trace does not keep the module, and two runs made now agree",
                "statistics": "forward pass; a trace does not keep the module, and two runs made now agree",
                "gradients": "backward pass; a trace does not keep the module, and two runs made now agree",
            }.get(self.evidence.quantity, self.what)
        return _in_words(self.evidence.operation[0])


def bisect(
    folder: Path,
    *,
    overrides: Sequence[str] = (),
    trusted_packages: Sequence[str] = (),
    on_training: Callable[[str], None] = lambda line: None,
) -> Bisection:
    """Find where a run parts from its trace, or from itself when it is trained twice.

    Args:
        folder: A finished run's folder; nothing is written there.
        overrides: Changes to the config.
        trusted_packages: Packages whose classes may be instantiated.
        on_training: Told before each training which one it is, of how many at most, and how far it goes.

    Raises:
        DataError: There is no finished run in `folder`, or its trace is damaged.
        ConfigError: An override cannot be applied.
        TrainingError: A run made now fails, and did not part before.
    """
    recorded, kept = finished_record(folder), read_trace(folder)
    most = (4 if kept is None else 1) + 2 * _MOST_PAIRS
    trials = _Trials(recorded, folder, overrides, trusted_packages, on_training, most)
    if kept is not None:
        compared, first = "the recorded run (its trace.npz) and a run made now", _Trial(kept, recorded)
        second = trials.run("until it parts from the trace", reference=kept)
    else:
        compared = "two runs made now of the recorded config"
        early = f"its first {_FIRST_BATCHES} batches"
        first = trials.run(early, most_batches=_FIRST_BATCHES)
        second = trials.run(f"{early}, against those", reference=first.trace, most_batches=_FIRST_BATCHES)
        if len(second.trace.rows) == _FIRST_BATCHES and first_difference(first.trace, second.trace) is None:
            first = trials.run("to its end")
            second = trials.run("until it parts from that one", reference=first.trace)
    if first_difference(first.trace, second.trace) is None:
        if second.error is not None:
            raise second.error
        batches = sum(1 for _ in rows_of_both(first.trace, second.trace))
        if not batches:
            raise DataError(f"{folder / TRACE_FILE} holds no training batch of this run")
        return _against_the_record(Bisection(recorded.name, compared, batches), recorded, second.record)
    evidence, again = _evidence(first, second), None
    if kept is not None or evidence.operation is None:
        again = _once_more(trials, second.trace)
        evidence = replace(evidence, repeatable=again is None and kept is not None)
    if again is not None:
        first, second = again
        evidence = _evidence(first, second)
        if kept is not None:
            compared = "two runs made now: they differ from the trace, and from each other too"
    same = [one.hashes == other.hashes for one, other in rows_of_both(first.trace, second.trace)]
    return Bisection(recorded.name, compared, same.index(False), evidence, likely_cause(evidence))


@dataclass(frozen=True)
class _Trial:
    """A run, as far as it went, and what ended it before its time."""

    trace: Trace
    record: RunRecord
    error: TrainingError | None = None


@dataclass(frozen=True)
class _Trials:
    """Trains a recorded config in scratch folders."""

    recorded: RunRecord
    folder: Path
    overrides: Sequence[str]
    trusted_packages: Sequence[str]
    on_training: Callable[[str], None]
    most: int
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def run(self, how_far: str, **options: Any) -> _Trial:
        """Train it, with the options of a `StepTrace`; `how_far` is said of it."""
        self.on_training(f"training {next(self._numbers)} of at most {self.most}: {how_far}")
        callback = StepTrace(**options)
        with tempfile.TemporaryDirectory(prefix="bisect-") as scratch:
            run_dir = Path(scratch) / self.recorded.name
            try:
                record = run_again(
                    self.recorded, self.folder, run_dir, self.overrides, self.trusted_packages, callbacks=[callback]
                )
            except TraceEndedError:
                return _Trial(callback.trace, read_record(run_dir))
            except TrainingError as error:
                return _Trial(callback.trace, read_record(run_dir), error)
        return _Trial(callback.trace, record)


def _once_more(trials: _Trials, seen: Trace) -> tuple[_Trial, _Trial] | None:
    """Two more runs, up to where a trace that was `seen` ends, with the operations there; None if they do not part."""
    for _ in range(_MOST_PAIRS):
        options: dict[str, Any] = {"detailed": list(seen.rows)[-1], "most_batches": len(seen.rows)}
        n = len(seen.rows)
        how_far = f"its first {plural(n, 'batch')}" if n > 1 else "its first batch"
        first = trials.run(f"{how_far}, with each operation of the last", **options)
        second = trials.run(f"{how_far}, against those", **options, reference=first.trace)
        if first_difference(first.trace, second.trace) is None:
            return None
        if len(second.trace.rows) == len(seen.rows):
            break
        seen = second.trace  # chance struck earlier
    return first, second


def _evidence(first: _Trial, second: _Trial) -> Evidence:
    parted = first_difference(first.trace, second.trace)
    assert parted is not None
    before, after, quantity = parted
    known = first.trace.detailed == before.where == second.trace.detailed
    one, other = first.record, second.record
    return Evidence(
        quantity,
        before,
        after,
        is_first=before.where == _START,
        operation=first_operation(first.trace.operations, second.trace.operations) if known else None,
        repeatable=False,
        data=bool(one.data_sha256 and other.data_sha256 and one.data_sha256 != other.data_sha256),
        config=config_differences(one, other),
        code=code_differences(one.code, other.code),
        manifest=list(manifest_differences(one.environment, other.environment)),
    )


def _against_the_record(found: Bisection, recorded: RunRecord, again: RunRecord) -> Bisection:
    """What is to be said where every step is the same: what the record says of the same run."""
    result = compare_records(recorded, again)
    found = replace(found, points=result.points, not_comparable=result.not_comparable)
    if result.passed:
        return found
    cause = lasting_cause(
        config=config_differences(recorded, again), code=code_differences(recorded.code, again.code), manifest=()
    )
    return replace(found, cause=cause)


def _in_words(operation: Operation) -> str:
    phase, module, name, *_ = operation
    if phase == "batch":
        return "before the forward pass: the batch"
    if phase in ("before", "after"):
        return f"{phase} the step: {name} {module}"
    if phase == "optimizer":
        return f"after the backward pass: clipping and optimizer, in {name}"
    return f"{phase} pass: {module or 'outside of every module (the loss)'}, in {name}"
