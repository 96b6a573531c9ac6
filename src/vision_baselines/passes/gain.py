"""Whether training in one pass is faster, by what was measured; see docs/performance.md, "Many seeds in one pass".

On a CPU what is saved is what a step costs beside its arithmetic: the calls of Python and torch. So it is worth it
where that is most of a step. An accelerator is as busy with many copies of a small net as with one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from vision_baselines.analysis.net_size import net_size
from vision_baselines.passes.errors import NotInOnePassError

_MOST_FLOPS_ON_CPU = 100_000_000
_PASSES = 3  # forward, and backward to inputs and to weights


def require_gain(net: nn.Module, config: Mapping[str, Any], image_shape: tuple[int, ...]) -> None:
    """Look at the work of a training step of one copy.

    Raises:
        NotInOnePassError: One by one is as fast.
    """
    if str(config["trainer"].get("accelerator")) != "cpu":
        return
    flops = _PASSES * int(config["data"]["batch_size"]) * net_size(net, image_shape).flops
    if flops > _MOST_FLOPS_ON_CPU:
        most = _MOST_FLOPS_ON_CPU / 1e6
        raise NotInOnePassError(
            f"a step of {flops / 1e6:,.0f} MFLOP keeps a core busy by itself; up to {most:.0f} gain"
        )
