"""The clock that variants are timed by: seconds, or the seconds that this process had a core."""

from __future__ import annotations

import time

import torch


def now(clock: str, device: torch.device) -> float:
    """Seconds on a clock, ``wall`` or ``cpu``, once the device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.process_time() if clock == "cpu" else time.perf_counter()
