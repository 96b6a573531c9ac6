"""Processes that are measured: what they find to import, and what is said where one fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from vision_baselines.errors import TrainingError
from vision_baselines.jobs.child import run_command

_MOST_SAID = 500


def import_path(folder: Path) -> str:
    """``PYTHONPATH`` of this process with a folder before it."""
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


def printed(
    arguments: Sequence[str], *, name: str = "", env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """What Python prints that is started with these arguments.

    Args:
        arguments: Of the interpreter, such as ``-m MODULE``.
        name: What it is called where it fails; by default the first arguments.
        env: Its environment; by default this process's.
        cwd: Where it starts.

    Raises:
        TrainingError: It did not end well; the end of what it said is in the message.
        Interrupted: A signal came; the process has ended by then.
    """
    ended = run_command([sys.executable, *arguments], env=env, cwd=cwd, capture=True)
    if ended.returncode:
        said = ended.stderr.strip()[-_MOST_SAID:]
        raise TrainingError(f"{name or ' '.join(arguments[:3])} ended with {ended.returncode}: {said}")
    return ended.stdout
