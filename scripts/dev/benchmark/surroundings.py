"""What surrounds a measurement: the machine, and what else it was busy with before and after."""

from __future__ import annotations

import os
from typing import Any

from vision_baselines.jobs.cores import usable_cores

# A load of other programs above which figures of seconds say little, in running processes.
_QUIET = 0.5


def load() -> float | None:
    """Processes that ran or waited for a core, on average over the last minute; None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def machine(device: str) -> dict[str, Any]:
    """Processor, cores, versions and code, as a run's record has them."""
    from vision_baselines.runs.environment import observe

    return {**observe(device).model_dump(), "cores": usable_cores()}


def in_words(found: dict[str, Any], before: float | None) -> str:
    """One line on the machine and on how busy it was."""
    where = f"{found['cpu']}, {found['cores']} cores, torch {found['versions'].get('torch', '?')}"
    device = "" if found["device"] == "cpu" else f", {found['device']}"
    if before is None:
        return f"{where}{device}"
    busy = "" if before < _QUIET else ": other programs are running, which ratios bear better than seconds"
    return f"{where}{device}; load before {before:.2f}{busy}"
