"""Which pixels of an image speak for an answer: integrated gradients, and how far they are from complete.

The gradient of the answer is averaged over the straight line from a baseline to the image and multiplied by their
difference. Along that line a net of ReLUs is piecewise linear, so the average is taken at the middles of equal steps;
what the steps miss shows as a violation of completeness: attributions should sum to the change of the answer.

Source: Sundararajan, Taly & Yan 2017, arXiv:1703.01365.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Score = Callable[[Tensor], Tensor]
"""A number for each image: ``(B, C, H, W)`` to ``(B,)``."""


@dataclass(frozen=True)
class Attribution:
    """What each input number of an image adds to the answer.

    Attributes:
        values: float64 ``(C, H, W)``, on the CPU.
        difference: The answer to the image minus that to the baseline.
        steps: Steps that the line was cut into.
    """

    values: Tensor
    difference: float
    steps: int

    @property
    def violation(self) -> float:
        """How far the attributions are from summing to `difference`, as a share of their absolute sum, from 0 to 1.

        Where `difference` is larger than that sum, it is the share of `difference`: 1 where there is no gradient at
        all. The share of `difference` alone, as in the source, is of no use where an image and its baseline are
        answered alike.
        """
        whole = max(float(self.values.abs().sum()), abs(self.difference))
        return abs(float(self.values.sum()) - self.difference) / whole if whole else 0.0


def integrated_gradients(
    score: Score, image: Tensor, baseline: Tensor, *, steps: int, max_steps: int, tolerance: float, batch_size: int
) -> Attribution:
    """Attributions of an image, with twice as many steps until completeness holds.

    Args:
        score: The answer, of images that do not depend on each other.
        image: ``(C, H, W)``, as the net takes it.
        baseline: The same without what is asked about, such as a black picture.
        steps: Steps at first, at least 1.
        max_steps: Steps at most, whatever the violation.
        tolerance: Largest violation that is good enough.
        batch_size: Images a call of `score`.

    Raises:
        RuntimeError: The answer has no gradient with respect to the image.

    >>> weights = torch.tensor([[[1.0, -2.0]]])
    >>> found = integrated_gradients(
    ...     lambda images: (images * weights).sum(dim=(1, 2, 3)) + 5,
    ...     torch.tensor([[[3.0, 4.0]]]), torch.zeros(1, 1, 2), steps=1, max_steps=1, tolerance=0.0, batch_size=8)
    >>> found.values.tolist(), found.difference
    ([[[3.0, -8.0]]], -5.0)
    """
    with torch.no_grad():
        ends = score(torch.stack([image, baseline])).double().cpu()
    difference = float(ends[0] - ends[1])
    while True:
        values = _attributed(score, image, baseline, steps, batch_size)
        found = Attribution(values, difference, steps)
        if found.violation <= tolerance or steps >= max_steps:
            return found
        steps = min(2 * steps, max_steps)


def _attributed(score: Score, image: Tensor, baseline: Tensor, steps: int, batch_size: int) -> Tensor:
    """Float64 ``(C, H, W)``: the difference times the mean gradient at the middles of the steps."""
    difference = image - baseline
    middles = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    total = torch.zeros(image.shape, dtype=torch.float64)
    for part in torch.split(middles, batch_size):
        along = part.to(image.device, image.dtype).view(-1, 1, 1, 1)
        points = (baseline + along * difference).requires_grad_()
        with torch.enable_grad():
            # a copy, because a net may change its input in place
            [gradient] = torch.autograd.grad(score(points.clone()).sum(), points)
        total += gradient.sum(dim=0).cpu().double()
    return total / steps * difference.cpu().double()
