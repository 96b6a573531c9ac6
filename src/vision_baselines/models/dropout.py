"""Dropout whose mask is drawn sixteen bits an element, for CPUs.

torch draws a Bernoulli variable for each element on a CPU, one at a time; at two hidden layers of 512 and 256 that is a
sixth of a fully connected net's training step. Here four elements share one 64-bit draw, or eight where the probability
is a multiple of 1/256. The function is the same, with the probability rounded to a multiple of 1/65536; the draws are
others. On an accelerator, and in a compiled net, it is torch's own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, faster on a CPU.

    Args:
        p: Probability of zeroing an element, in [0, 1].
    """

    def forward(self, input: Tensor) -> Tensor:
        """Zero elements at random and scale the others by 1/(1 - p); of the same shape as `input`."""
        dtype, bits = (torch.int8, 8) if float(self.p * 256).is_integer() else (torch.int16, 16)
        levels = 2**bits
        zeroed = round(self.p * levels)
        on_cpu = input.device.type == "cpu" and not torch.compiler.is_compiling()  # a compiler makes its own draws
        if not self.training or self.inplace or not on_cpu or not 0 < zeroed < levels:
            plain: Tensor = super().forward(input)
            return plain
        draws = torch.empty(-(-input.numel() * bits // 64), dtype=torch.int64).random_(-(2**63), None)
        drawn = draws.view(dtype)[: input.numel()].view(input.shape)
        mask = (drawn >= zeroed - levels // 2).to(input.dtype)
        dropped: Tensor = input * mask.mul_(levels / (levels - zeroed))
        return dropped
