"""Dropout whose mask is drawn apart from its product, sixteen bits an element on CPUs.

torch draws a Bernoulli variable for each element on a CPU, one at a time; at two hidden layers of 512 and 256 that is a
sixth of a fully connected net's training step. Here four elements share one 64-bit draw, or eight where the probability
is a multiple of 1/256. The function is the same, with the probability rounded to a multiple of 1/65536; the draws are
others. On an accelerator torch draws an element at a time, the same masks for seeds that are trained in one pass as for
a run alone. In a compiled net dropout is torch's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, faster on a CPU, whose masks can be drawn from any generators.

    Args:
        p: Probability of zeroing an element, in [0, 1].
    """

    def forward(self, input: Tensor) -> Tensor:
        """Zero elements at random and scale the others by 1/(1 - p); of the same shape as `input`."""
        compiling = torch.compiler.is_compiling()  # a compiler makes its own draws
        noise = None if not self.training or self.inplace or compiling else self.noise(input.shape, input)
        if noise is None:
            plain: Tensor = super().forward(input)
            return plain
        dropped: Tensor = input * noise
        return dropped

    def noise(self, shape: torch.Size, like: Tensor) -> Tensor | None:
        """What an input of this shape is multiplied by: 0 or 1/(1 - p); None where torch's own dropout draws it.

        Args:
            shape: Of the input.
            like: A tensor of its type, on its device.
        """
        found = self.noises(shape, like, [None])
        return None if found is None else found[0]

    def noises(self, shape: torch.Size, like: Tensor, generators: Sequence[torch.Generator | None]) -> Tensor | None:
        """The noise that each of G generators draws, None being torch's default one: (G, *shape), or None as above."""
        dtype, bits = (torch.int8, 8) if float(self.p * 256).is_integer() else (torch.int16, 16)
        levels = 2**bits
        zeroed = round(self.p * levels)
        if not 0 < zeroed < levels:
            return None
        if like.device.type != "cpu":
            return bernoulli_noises(1 - self.p, shape, like, generators)
        draws = torch.empty(len(generators), -(-shape.numel() * bits // 64), dtype=torch.int64)
        for own, generator in zip(draws.unbind(0), generators, strict=True):
            own.random_(-(2**63), None, generator=generator)
        drawn = draws.view(dtype)[:, : shape.numel()].view(len(generators), *shape)
        kept: Tensor = drawn >= zeroed - levels // 2
        return kept.to(like.dtype).mul_(levels / (levels - zeroed))


def bernoulli_noises(
    keep: float, shape: torch.Size, like: Tensor, generators: Sequence[torch.Generator | None]
) -> Tensor:
    """1/keep with probability `keep`, in (0, 1], and else 0: (G, *shape) of the type of `like` and on its device."""
    noise = torch.empty((len(generators), *shape), dtype=like.dtype, device=like.device)
    for own, generator in zip(noise.unbind(0), generators, strict=True):
        own.bernoulli_(keep, generator=generator)
    return noise.div_(keep)
