"""Hydra's side of ``hydra/sweeper=search``; the work is done in `vision_baselines.search`.

Hydra reads this namespace at every start, so little is imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class SearchSweeper(Sweeper):
    """Searches on Optuna for what is given a range or several values; its options stand in ``search``.

    Args:
        params: What is searched, where it stands in the config: ``{optimizer.lr: "tag(log,interval(1e-4,1e-1))"}``.
    """

    def __init__(self, params: dict[str, str] | None = None) -> None:
        self.params = params or {}
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None
        self.hydra_context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over."""
        from hydra.core.plugins import Plugins

        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Search; a preview leaves the folder as it was."""
        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        typed = {text.partition("=")[0].lstrip("+~") for text in arguments}
        params = [f"{key}={value}" for key, value in self.params.items() if key.lstrip("+~") not in typed]
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*params, *arguments])
        from vision_baselines.search.run import run_search
        from vision_baselines.sweep.untouched import untouched

        folder = Path(str(self.config.hydra.sweep.dir))
        if self.config.preview:
            with untouched(folder):
                return run_search(overrides, self.launcher, config=self.config, hydra_context=self.hydra_context)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        return run_search(overrides, self.launcher, config=self.config, hydra_context=self.hydra_context)
