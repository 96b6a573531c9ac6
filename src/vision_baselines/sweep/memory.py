"""How much memory a run needs, as far as its config tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vision_baselines.data.listing import estimated_bytes

# What a job takes beside its images and what it shares with the server it is forked from: an estimate for a small net
# trained on a CPU.
PROCESS_BYTES = 250 * 2**20


def job_bytes(config: Mapping[str, Any]) -> int:
    """Memory that a job needs on the host, in bytes, as far as its plain config tells: its images and a process."""
    data = config.get("data")
    trainer = config.get("trainer")
    processes = int(trainer.get("devices") or 1) if isinstance(trainer, Mapping) else 1  # each reads the data
    return processes * (PROCESS_BYTES + ((estimated_bytes(data) or 0) if isinstance(data, Mapping) else 0))
