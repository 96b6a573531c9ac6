"""What this project adds to a sweeper: previews that leave no trace, parts that are left out, and fresh seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from vision_baselines.config.ablation import ABLATE, MOST_IN_A_BATCH
from vision_baselines.runs.fingerprint import key_of
from vision_baselines.sweep.checks import require_possible_number
from vision_baselines.sweep.launcher import Launch
from vision_baselines.sweep.untouched import untouched

if TYPE_CHECKING:
    from vision_baselines.comparison.ablation import Ablation


class AroundRuns:
    """What this project adds to a sweeper; ``hydra.sweeper.runs`` in its configs.

    Attributes:
        ablation: The parts that some of the sweep's runs lack, known once its jobs are; None where none lacks any.
        hydra_context: Composes jobs; known once the sweep begins.
    """

    def __init__(self) -> None:
        self.ablation: Ablation | None = None
        self.hydra_context: HydraContext | None = None

    def around(
        self, sweep: Callable[[], Any], *, launch: Launch, config: DictConfig, hydra_context: HydraContext
    ) -> Any:
        """Run the sweep; a preview leaves its folder as it was."""
        self.hydra_context = hydra_context
        if config.get(ABLATE) is None:
            return self._around(sweep, launch=launch, config=config, hydra_context=hydra_context)
        from vision_baselines.sweep.ablation import noted

        with noted(self, config):
            return self._around(sweep, launch=launch, config=config, hydra_context=hydra_context)

    def _around(
        self, sweep: Callable[[], Any], *, launch: Launch, config: DictConfig, hydra_context: HydraContext
    ) -> Any:
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

    def spread(
        self, overrides: Sequence[Override], groups: list[list[str]], config: DictConfig | None
    ) -> tuple[list[Override], list[list[str]]]:
        """The overrides that all jobs get, and the groups that span grids with them: those of ``ablate`` too.

        Raises:
            ConfigError: What is to be left out cannot be.
        """
        says_so = any(key_of(override.get_key_element()).split(".")[0] == ABLATE for override in overrides)
        if config is None or not (says_so or config.get(ABLATE) is not None):
            return list(overrides), groups
        from vision_baselines.sweep.ablation import is_of_ablation, require_no_sweep_of_ablations, spread

        require_no_sweep_of_ablations(overrides)
        if config.get(ABLATE) is None:
            return [override for override in overrides if not is_of_ablation(override)], groups
        self.ablation, kept, groups = spread(overrides, groups, config)
        return kept, groups

    def look_at_number(self, jobs: int, config: DictConfig | None) -> None:
        """Refuse more jobs than a sweep or its preview can have.

        Raises:
            ConfigError: So many.
        """
        if config is not None:
            require_possible_number(jobs, is_preview=bool(config.preview))

    def look_at(self, jobs: Sequence[Sequence[str]], config: DictConfig | None, *, are_composed: bool = True) -> None:
        """Refuse fresh seeds of a sweep that would choose nothing, and parts whose absence changes nothing.

        Args:
            jobs: The overrides of each.
            config: The sweep's.
            are_composed: Whether the launcher composes and checks all of them before it starts one.

        Raises:
            ConfigError: There is nothing to choose, or nothing is left out.
        """
        if config is not None and config.comparison.get("fresh_seeds"):
            from vision_baselines.sweep.fresh import require_a_choice

            require_a_choice(jobs, config)
        if config is not None and self.ablation is not None:
            from vision_baselines.comparison.ablation import read_ablation
            from vision_baselines.sweep.ablation import require_parts_that_matter

            folder = Path(config.hydra.sweep.dir)
            self.ablation = self.ablation.of_jobs(jobs, read_ablation(folder))
            in_batches = OmegaConf.select(config, MOST_IN_A_BATCH)
            if (in_batches or not are_composed) and self.hydra_context is not None:
                require_parts_that_matter(jobs, config, self.hydra_context)
            if not config.preview and not config.get("list"):
                self.ablation.write(folder)
