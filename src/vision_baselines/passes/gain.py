"""Whether training in one pass is faster, by what was measured; see docs/performance.md, "Many seeds in one pass".

What is saved is what a step costs beside its arithmetic: the calls of Python, torch and a GPU's driver. So it is worth
it where that is a good part of a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from vision_baselines.analysis.net_size import net_size
from vision_baselines.passes.errors import NotInOnePassError

# Of a step, by `trainer.accelerator`: for digits the fc has 102 million, one of 512 units 52 million, a cnn of 8 and 16
# channels 42 million. Larger nets have not been measured on a GPU.
_MOST_FLOPS = {"cpu": 50e6, "gpu": 110e6, "cuda": 110e6}
_PASSES = 3  # forward, and backward to inputs and to weights


def require_gain(net: nn.Module, config: Mapping[str, Any], image_shape: tuple[int, ...]) -> None:
    """Look at the work of a training step of one copy.

    Raises:
        NotInOnePassError: One by one is about as fast, or nothing is known.
    """
    accelerator = str(config["trainer"].get("accelerator"))
    if accelerator not in _MOST_FLOPS:
        raise NotInOnePassError(
            f"auto knows nothing of trainer.accelerator={accelerator}; a number such as seeds_per_pass=32 asks for it"
        )
    flops = _PASSES * int(config["data"]["batch_size"]) * net_size(net, image_shape).flops
    if flops > (most := _MOST_FLOPS[accelerator]):
        raise NotInOnePassError(f"a step has {flops / 1e6:,.0f} MFLOP, and it is worth it up to {most / 1e6:.0f}")
