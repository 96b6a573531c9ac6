"""What this project adds to a sweeper: previews that leave no trace, and the chosen setting on fresh seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.types import HydraContext
from omegaconf import DictConfig

from vision_baselines.sweep.launcher import Launch
from vision_baselines.sweep.untouched import untouched


class AroundRuns:
    """What this project adds to a sweeper; ``hydra.sweeper.runs`` in its configs."""

    def around(
        self, sweep: Callable[[], Any], *, launch: Launch, config: DictConfig, hydra_context: HydraContext
    ) -> Any:
        """Run the sweep; a preview leaves its folder as it was."""
        wants_fresh = bool(config.comparison.get("fresh_seeds"))
        if config.get("list"):
            with untouched(Path(config.hydra.sweep.dir)):
                return sweep()
        if not config.preview:
            if not wants_fresh:
                return sweep()
            from vision_baselines.sweep.fresh import with_fresh_seeds

            return with_fresh_seeds(sweep, launch, config=config, hydra_context=hydra_context)
        with untouched(Path(config.hydra.sweep.dir)):
            returned = sweep()
        if wants_fresh:
            from vision_baselines.sweep.fresh import preview

            preview(config)
        return returned

    def look_at(self, jobs: Sequence[Sequence[str]], config: DictConfig | None) -> None:
        """Refuse fresh seeds of a sweep that would choose nothing.

        Raises:
            ConfigError: There is nothing to choose.
        """
        if config is not None and config.comparison.get("fresh_seeds"):
            from vision_baselines.sweep.fresh import require_a_choice

            require_a_choice(jobs, config)
