"""The function a job's process starts with, in a module that imports nothing.

The sweep's own process must name it without importing torch; the job's process finds `worker` imported already.
"""

from __future__ import annotations

from typing import Any


def run(*arguments: Any) -> None:
    """Run a job; see `vision_baselines.sweep.worker.run`."""
    from vision_baselines.sweep import worker

    worker.run(*arguments)
