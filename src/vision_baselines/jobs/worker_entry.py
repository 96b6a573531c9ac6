"""The function a job's process starts with, in a module that imports nothing.

The process that starts jobs must name it without importing more; the job's process finds `worker` imported already.
"""

from __future__ import annotations

from typing import Any


def run(*arguments: Any) -> None:
    """Run a job, or several where there is a list of folders; see `vision_baselines.jobs.worker`."""
    from vision_baselines.jobs import worker

    (worker.run if isinstance(arguments[2], str) else worker.run_together)(*arguments)
