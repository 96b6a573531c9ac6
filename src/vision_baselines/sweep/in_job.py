"""What a job's process needs before it can read and run a run of this project."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from vision_baselines.config.compose import register_resolvers
from vision_baselines.config.packages import find_in_start_folder


def prepare(config: DictConfig) -> None:
    """Register the resolvers that configs use; find the packages that the command line trusts."""
    register_resolvers()
    trusted = [str(name) for name in config.get("trusted_packages") or ()]  # the command line's: files cannot set it
    find_in_start_folder(trusted, Path(config.hydra.runtime.cwd))
