"""Hydra's side of a sweep: after every job a line and an up-to-date comparison, at the end the table.

Hydra's basic launcher raises for a failed job before it calls `on_multirun_end`, so the end is told by `finish`, which
the command line's frame calls however the sweep ended.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

log = logging.getLogger("vision_baselines.sweep")


class SweepCallback(Callback):
    """Keeps ``comparison/`` in the sweep's folder up to date."""

    current: ClassVar[SweepCallback | None] = None

    def __init__(self) -> None:
        self.folder: Path | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Remember where the sweep's jobs lie."""
        self.folder = Path(config.hydra.sweep.dir)
        SweepCallback.current = self

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Compare what is there, after every job of a launcher that runs them in this process."""
        self.update()

    def __getstate__(self) -> dict[str, Any]:
        """In a job's own process there is nothing to compare: the sweep's process does that."""
        return {"folder": None}

    @classmethod
    def update(cls) -> None:
        """Compare what is there, without the pictures, which take longer."""
        sweep = cls.current
        if sweep is not None and sweep.folder is not None and any(sweep.folder.glob("*/run.json")):
            from vision_baselines.comparison.compare import compare

            compare([sweep.folder], pictures=False)

    @classmethod
    def finish(cls) -> None:
        """Compare once more, with pictures, and show the table and how to look at it."""
        sweep, cls.current = cls.current, None
        if sweep is None or sweep.folder is None or not any(sweep.folder.glob("*/run.json")):
            return
        from rich.console import Console

        from vision_baselines.comparison.compare import compare

        comparison = compare([sweep.folder])
        console = Console()
        console.print(comparison.rich_table())
        console.print(f"\nLook at it:  tensorboard --logdir {sweep.folder}", soft_wrap=True)
        console.print(f"             {sweep.folder / 'comparison'}", soft_wrap=True)
