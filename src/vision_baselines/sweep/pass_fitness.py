"""Whether jobs of a config can be trained in one pass, looked at before the first one starts."""

from __future__ import annotations

from omegaconf import OmegaConf

from vision_baselines.config.checks import checked_config
from vision_baselines.jobs.job import Packed, unpacked
from vision_baselines.passes.errors import NotInOnePassError
from vision_baselines.passes.fitness import require_config, require_net, require_task
from vision_baselines.passes.gain import require_gain
from vision_baselines.seeding import default_generators_kept
from vision_baselines.sweep.in_job import prepare
from vision_baselines.training import build


def reason_against(packed_config: bytes | Packed, *, only_faster: bool) -> str:
    """Why not, as the end of a sentence; empty where they can be.

    Args:
        packed_config: Of one of the jobs.
        only_faster: Whether it must be worth it too.
    """
    cfg = unpacked(packed_config)
    prepare(cfg)
    config = checked_config(cfg)
    try:
        require_config(config)
        with default_generators_kept():
            task, net = build.task(cfg), build.net(cfg)
        require_task(task)
        image_shape = tuple(OmegaConf.select(cfg, "data.image_shape"))
        require_net(net, image_shape)
        if only_faster:
            require_gain(net, config, image_shape)
    except NotInOnePassError as error:
        return str(error)
    return ""
