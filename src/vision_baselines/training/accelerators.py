"""Whether the device that a config names is there, asked before a run writes or trains anything."""

from __future__ import annotations

from typing import Any

import torch

from vision_baselines.errors import ConfigError


def require_accelerator(accelerator: Any, devices: int = 1) -> None:
    """Refuse an accelerator that this machine, or this build of torch, does not have.

    Args:
        accelerator: ``trainer.accelerator``; what Lightning finds by itself (auto) is never refused.
        devices: ``trainer.devices``, how many of it.

    Raises:
        ConfigError: It is not there.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    there = {"gpu": cuda or mps, "cuda": cuda, "mps": mps}
    if there.get(str(accelerator), True):
        if devices > 1 and accelerator in ("gpu", "cuda") and devices > torch.cuda.device_count():
            found = torch.cuda.device_count()
            raise ConfigError(f"trainer.devices is {devices}; expected at most {found}, the CUDA devices visible here")
        return
    wanted = {"gpu": "no GPU", "cuda": "no CUDA device", "mps": "no GPU of Apple's"}[str(accelerator)]
    build = ", whose build has no CUDA," if accelerator != "mps" and torch.version.cuda is None else ""
    raise ConfigError(
        f"trainer.accelerator is {accelerator!r}, and torch {torch.__version__}{build} finds {wanted} here; "
        "expected trainer=cpu, or trainer=auto for what there is"
    )
