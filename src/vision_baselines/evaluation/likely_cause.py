"""Why two runs part where they do: the likely cause in a sentence, and what to do about it.

What is hashed in a step comes about in a fixed order, so what differs first leaves few causes; what else is known to
differ (config, data, code, versions), whether a global generator was drawn from, and the first operation that differs
decide among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vision_baselines.comparison.formatting import listed
from vision_baselines.runs.trace import Operation, Row

_SEEDED = "draw from vision_baselines.seeding.generator(seed, epoch, step, …)"
_IN_TORCH = "draw with torch in forward: its global generator is seeded anew in each step"
_AUGMENT = "draw from the generator that an augmentation is given"


class Cause(NamedTuple):
    """The likely cause, and what to do."""

    text: str
    advice: str


@dataclass(frozen=True)
class Evidence:
    """What is known of two runs that part.

    Attributes:
        quantity: A key of `runs.trace.QUANTITIES`: what differs first.
        before: The first run's row.
        after: The second run's.
        is_first: Whether it is the first step of the run.
        operation: The first operation that differs, and how (`runs.trace.first_operation`); None where it is not known.
        repeatable: Whether two runs of today agree with each other, so that chance is not the cause.
        data: Whether the data differs.
        config: Differences of the config, as ``key: before → after``.
        code: Modules whose code differs.
        manifest: Differences of versions, processor, threads, device.
    """

    quantity: str
    before: Row
    after: Row
    is_first: bool
    operation: tuple[Operation, str] | None
    repeatable: bool
    data: bool = False
    config: Sequence[str] = ()
    code: Sequence[str] = ()
    manifest: Sequence[str] = ()

    def drawn_from(self, moment: str) -> str:
        """The global generator that was drawn from before (`moment` ``0``) or within (``2``) the step, in words."""
        first = {"before": 0, "within": 2}[moment]
        numpy, python = (self.before.draws[i] or self.after.draws[i] for i in (first, first + 1))
        return "NumPy's global generator" if numpy else "Python's global generator (random)" if python else ""


def likely_cause(found: Evidence) -> Cause:
    """The likely cause of what is found."""
    if found.quantity in ("targets", "images"):
        return _of_the_batch(found)
    if found.quantity in ("weights", "buffers"):
        return _of_what_a_step_begins_with(found)
    if found.quantity == "settings":
        before, after = found.before.lr, found.after.lr
        what = (
            f"another learning rate: {before:g} ≠ {after:g}" if before != after else "another setting of the optimizer"
        )
        return Cause(_with_config(what, found), "compare optimizer and scheduler, and callbacks that change them")
    if found.quantity == "moments":
        what = "the optimizer's state was changed between two steps, or was not restored when a run was resumed"
        return Cause(what, "look at the callbacks, and at what the optimizer's state_dict leaves out")
    return _of_the_step(found)


def _of_the_batch(found: Evidence) -> Cause:
    if found.data:
        return Cause("other data: its SHA-256 is not the same", "put the data back, or train anew with rerun=true")
    if found.config:
        return Cause(_with_config("another config", found), "leave the change out, or take it for another run")
    if found.code:
        return _other_code(found.code)
    if found.quantity == "targets":
        what = "the same data in another order: the order is not a function of seed and epoch"
        return Cause(what, _SEEDED)
    if generator := found.drawn_from("before"):
        return Cause(f"a stray draw: augmentation draws from {generator}", _AUGMENT)
    return Cause("augmentation goes by the clock, or draws from a generator without a seed", _AUGMENT)


def _of_what_a_step_begins_with(found: Evidence) -> Cause:
    if not found.is_first:
        who = "a callback, or validation with a net in training mode"
        return Cause(f"they were changed between two steps: by {who}", "look at the callbacks and at Module.eval()")
    if found.config:
        return Cause(
            _with_config("other initial weights, by another config", found), "compare seed, model and init_from"
        )
    if found.code:
        return _other_code(found.code, "other initial weights: ")
    if found.manifest:
        return Cause(f"other initial weights, by {listed(found.manifest)}", "set it as in the record")
    what = "other initial weights: the net draws them from a generator that the seed does not reach"
    return Cause(what, "draw them from torch's global generator, which is seeded before the net is built")


def _of_the_step(found: Evidence) -> Cause:
    if found.before.threads != found.after.threads:
        what = f"another number of threads: {found.before.threads} ≠ {found.after.threads}"
        return Cause(f"{what}; sums are split otherwise", "set threads=… alike, and leave torch.set_num_threads alone")
    if found.repeatable:
        return lasting_cause(config=found.config, code=found.code, manifest=found.manifest)
    if found.operation is None:
        what = "chance, and not every time: two more runs agreed up to there"
        return Cause(
            f"{what}; a race of threads, or a draw without a seed", "the same command again, then with threads=1"
        )
    operation, how = found.operation
    generator = found.drawn_from("within")
    if how in ("argument", "path") and generator:
        return Cause(f"a stray draw from {generator}", _IN_TORCH)
    if how == "draw":
        return Cause(
            f"a stray draw: {operation.name} draws from a generator without a seed, or one seeded anew", _IN_TORCH
        )
    if how == "path":
        return Cause("the code takes another path, by the clock or by a draw without a seed", _IN_TORCH)
    if how == "argument":
        what = "a number that torch did not make: from the clock, or a NumPy or Python generator without a seed"
        return Cause(what, _IN_TORCH)
    what = f"a nondeterministic kernel: {operation.name} makes other bits of the same numbers"
    return Cause(what, "+trainer.deterministic=true (it names kernels that cannot be), or threads=1")


def lasting_cause(*, config: Sequence[str], code: Sequence[str], manifest: Sequence[str]) -> Cause:
    """The likely cause where runs made now agree with each other, and not with an older one."""
    if config:
        return Cause(f"another config ({listed(config)})", "leave the change out, or take it for another run")
    if code:
        return _other_code(code)
    if manifest:
        return Cause(f"another environment: {listed(manifest)}", "set it as in the record to get the same bits")
    what = (
        "a change that no record shows: code of a package that is not followed, an environment variable, the order of "
    )
    return Cause(f"{what}a set (PYTHONHASHSEED)", "train with trace=true before and after such a change")


def _other_code(code: Sequence[str], before: str = "") -> Cause:
    return Cause(f"{before}other code: {listed(code)}", "git log of these files since the recorded commit")


def _with_config(what: str, found: Evidence) -> str:
    return what + (f" ({listed(found.config)})" if found.config else "")
