"""Whether an exported file answers what the net answers, and how long each takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vision_baselines.comparison.formatting import plural
from vision_baselines.errors import ConfigError, StorageError

Answer = Callable[[Tensor], Tensor]

# How far a probability may be off. Another order of the same float32 operations moves one by some 1e-6; a net that
# computes in two bytes rounds after every layer, and its float32 copy does not.
TOLERANCES = {torch.float64: 1e-4, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
BATCHES = (1, 64)
_ALONE = 4  # pictures that are also given one by one
_WARM_UP, _FEWEST_CALLS, _MOST_CALLS, _SECONDS = 2, 5, 100, 1.0


@dataclass(frozen=True)
class Agreement:
    """An exported file beside its net.

    Attributes:
        images: Number of pictures.
        of: What they are: ``test images``, or ``random pictures``.
        largest_difference: Of two probabilities.
        tolerance: The largest difference that is accepted.
        same_class: Pictures whose likeliest class is the same.
        ties: Of the others, those whose two classes the net gives the same probability, to within the tolerance.
        depends_on_batch: Whether the net's answer for a picture depends on the others in its batch.
        accuracy: Share of the pictures whose likeliest class in the file is the right one; None without targets.
    """

    images: int
    of: str
    largest_difference: float
    tolerance: float
    same_class: int
    ties: int
    depends_on_batch: bool
    accuracy: float | None


@torch.inference_mode()
def agreement(
    net: Answer,
    file: Answer,
    images: Tensor,
    target: Tensor | None,
    *,
    classes: int,
    batch_size: int,
    tolerance: float,
    of: str = "test images",
) -> Agreement:
    """Give both the same pictures: in the batches of a test, the last of which is smaller, and some one by one.

    Args:
        net: Pictures (N, C, H, W) uint8 to probabilities (N, K): the net as it was tested.
        file: The same, of the exported file.
        images: (N, C, H, W), uint8, N >= 1.
        target: Their classes (N,), if they have any.
        classes: K.
        batch_size: Pictures at a time.
        tolerance: See `Agreement`.
        of: What the pictures are.

    Raises:
        ConfigError: The net gives the same pictures other answers each time, or no numbers.
        StorageError: The file answers otherwise than the net.
    """
    first = images[:batch_size]
    if not torch.equal(again := net(first), net(first)) and not bool(again.isnan().any()):
        raise ConfigError(
            "this net cannot be exported: it answers the same pictures otherwise each time, also in evaluation mode"
        )
    alone = torch.split(images[:_ALONE], 1)
    ours = torch.cat([net(batch) for batch in torch.split(images, batch_size)])
    ours_alone = torch.cat([net(batch) for batch in alone])
    if broken := int((~ours.isfinite()).any(dim=1).sum()):
        raise ConfigError(f"this net cannot be exported: its answers for {plural(broken, of[:-1])} are not numbers")
    theirs = torch.cat([file(batch) for batch in torch.split(images, batch_size)])
    theirs_alone = torch.cat([file(batch) for batch in alone])
    if theirs.shape != (len(images), classes) or theirs.shape != ours.shape or theirs.dtype != torch.float32:
        raise StorageError(
            f"the exported net answers {tuple(theirs.shape)} {theirs.dtype}; expected ({len(images)}, {classes}) "
            "float32; nothing was written"
        )
    largest = max(_largest(ours, theirs), _largest(ours_alone, theirs_alone))
    ours_class, theirs_class = ours.argmax(dim=1), theirs.argmax(dim=1)
    other = (ours_class != theirs_class).nonzero().flatten()
    gap = ours[other, ours_class[other]] - ours[other, theirs_class[other]]
    ties = int((gap <= 2 * tolerance).sum())
    found = Agreement(
        images=len(images),
        of=of,
        largest_difference=largest,
        tolerance=tolerance,
        same_class=len(images) - len(other),
        ties=ties,
        depends_on_batch=_largest(ours[: len(ours_alone)], ours_alone) > tolerance,
        accuracy=None if target is None else float((theirs_class == target).double().mean()),
    )
    if not largest <= tolerance or ties < len(other):
        raise StorageError(
            f"the exported net is not the net: probabilities differ by up to {largest:.2g} (at most {tolerance:g} is "
            f"rounding), and the class is the same for {found.same_class:,} of {found.images:,} {of}; nothing was "
            "written"
        )
    return found


def _largest(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).abs().max())


@torch.inference_mode()
def latency_s(nets: Mapping[str, Answer], images: Tensor) -> dict[str, float]:
    """Median seconds of a call of each net on the same pictures (N, C, H, W), in turns, after some to warm up."""
    for _ in range(_WARM_UP):
        for net in nets.values():
            net(images)
    seconds: dict[str, list[float]] = {name: [] for name in nets}
    begun = time.perf_counter()
    for call in range(_MOST_CALLS):
        if call >= _FEWEST_CALLS and time.perf_counter() - begun > _SECONDS:
            break
        for name, net in nets.items():
            before = time.perf_counter()
            net(images)
            seconds[name].append(time.perf_counter() - before)
    return {name: statistics.median(of) for name, of in seconds.items()}
