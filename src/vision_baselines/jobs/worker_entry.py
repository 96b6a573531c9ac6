"""The functions that processes of jobs start with, in a module that imports nothing.

The process that starts jobs must name it without importing more; the job's process finds `worker` imported already.
"""

from __future__ import annotations

from typing import Any


def run(*arguments: Any) -> None:
    """Run a job, or several where there is a list of folders; see `vision_baselines.jobs.worker`."""
    from vision_baselines.jobs import worker

    (worker.run if isinstance(arguments[2], str) else worker.run_together)(*arguments)


def answer(connection: Any, function: Any, *arguments: Any) -> None:
    """Send what a function returns; see `vision_baselines.jobs.asking`."""
    try:
        made = function(*arguments)
    except Exception:  # nobody's run depends on it
        made = None
    try:
        connection.send(made)
    except OSError:  # who asked has ended
        pass
    except Exception:  # it cannot be sent
        connection.send(None)
    finally:
        connection.close()
