"""Whether training in one pass is faster, by what was measured; see docs/performance.md, "Many seeds in one pass".

On a CPU what is saved is what a step costs beside its arithmetic: the calls of Python, Lightning and torch. So it is
worth it where that is a good part of a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from vision_baselines.analysis.net_size import net_size
from vision_baselines.passes.errors import NotInOnePassError

_MOST_FLOPS = (
    50_000_000  # a step of an fc of 512 units for digits has 52 million, of a cnn of 8 and 16 channels 42 million
)
_PASSES = 3  # forward, and backward to inputs and to weights


def require_gain(net: nn.Module, config: Mapping[str, Any], image_shape: tuple[int, ...]) -> None:
    """Look at the work of a training step of one copy.

    Raises:
        NotInOnePassError: One by one is about as fast, or nothing is known.
    """
    if str(config["trainer"].get("accelerator")) != "cpu":
        raise NotInOnePassError(
            "auto knows of CPUs alone; a number such as seeds_per_pass=32 asks for it on an accelerator"
        )
    flops = _PASSES * int(config["data"]["batch_size"]) * net_size(net, image_shape).flops
    if flops > _MOST_FLOPS:
        most = _MOST_FLOPS / 1e6
        raise NotInOnePassError(f"a step has {flops / 1e6:,.0f} MFLOP, and it is worth it up to {most:.0f}")
