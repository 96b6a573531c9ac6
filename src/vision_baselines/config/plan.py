"""What a run will be, decided before anything is built: its config is resolved and checked here, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vision_baselines.config.checks import check_channels_of, checked_config
from vision_baselines.config.comparison_options import check_fresh_seeds
from vision_baselines.config.data_facts import data_listing
from vision_baselines.config.references import override_texts, recorded_config
from vision_baselines.runs.fingerprint import fingerprint
from vision_baselines.runs.init_source import source_path
from vision_baselines.runs.resumption import Decision, decide


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run before it is started, as far as a sweep needs to know it.

    Attributes:
        resolved: Its config as plain data, references to `paths` excepted.
        config: `resolved` as it is recorded: what it took from the environment is a reference.
        folder: The run's folder; it need not exist.
        overrides: As typed.
        fingerprint: Of everything in the config that can change a result.
        listing_sha256: Of the files of data as they are; None where the source has none.
        decision: What the folder called for when it was last looked at.
        starts_from: The run's folder or the checkpoint that its first weights come from.
    """

    resolved: Mapping[str, Any]
    config: Mapping[str, Any]
    folder: Path
    overrides: tuple[str, ...]
    fingerprint: str
    listing_sha256: str | None
    decision: Decision
    starts_from: Path | None


@dataclass(frozen=True, kw_only=True)
class RunPlan(Plan):
    """A run before it is started.

    Attributes:
        cfg: What its parts are built from; `resolved` is the same.
    """

    cfg: DictConfig

    def renewed(self) -> RunPlan:
        """The same with the folder and the files of data looked at again, as whoever holds the folder must do.

        Raises:
            ConfigError: The folder holds a run of another config.
        """
        listing = data_listing(self.cfg)
        return replace(
            self,
            listing_sha256=listing,
            decision=decide(
                self.folder,
                self.config,
                rerun=self.cfg.rerun,
                listing_sha256=listing,
                identity=self.fingerprint,
                resolved=self.resolved,
            ),
        )


def planned(cfg: DictConfig, folder: Path | None = None) -> RunPlan:
    """Check a config, and decide what its run's folder calls for.

    Args:
        cfg: As Hydra composed it; with Hydra's own part it is a job's of a sweep, and `folder` is needed.
        folder: The run's folder; None takes ``paths.run_dir``.

    Raises:
        ConfigError: It cannot be run, or the folder holds a run of another config; nothing was written.
    """
    resolved = checked_config(cfg)
    check_channels_of(resolved)
    if "hydra" in cfg:
        check_fresh_seeds(cfg)
    folder = Path(cfg.paths.run_dir) if folder is None else folder
    hydra = cfg.get("hydra") or (HydraConfig.get() if HydraConfig.initialized() else None)
    overrides = tuple(override_texts(hydra.overrides.task)) if hydra is not None else ()
    config, identity, listing = recorded_config(cfg, resolved), fingerprint(resolved), data_listing(cfg)
    starts_from = source_path(cfg.init_from, folder, overrides) if cfg.get("init_from") else None
    decision = decide(folder, config, rerun=cfg.rerun, listing_sha256=listing, identity=identity, resolved=resolved)
    return RunPlan(
        cfg=cfg,
        resolved=resolved,
        config=config,
        folder=folder,
        overrides=overrides,
        fingerprint=identity,
        listing_sha256=listing,
        decision=decision,
        starts_from=starts_from,
    )
