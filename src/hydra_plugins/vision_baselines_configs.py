"""Lets every application find ``hydra/launcher=local``, ``hydra/sweeper=paired`` and ``until_decided`` by these names.

An application may have a config of the same name: Hydra would check it against the one of here and warn, so those are
left out which its own folders have. Rejected: a folder on Hydra's search path, which every config would show.
"""

from __future__ import annotations

from typing import Any

from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.plugins.search_path_plugin import SearchPathPlugin

_PACKAGE = "hydra_plugins.vision_baselines_local"
_PROVIDER = "vision_baselines"
_CONFIGS: dict[tuple[str, str], dict[str, Any]] = {
    ("hydra/launcher", "local"): {
        "_target_": f"{_PACKAGE}.LocalLauncher",
        "n_jobs": None,
        "fail_fast": False,
        "output": "output.txt",
        "preload": [],
        "jobs": None,
    },
    ("hydra/launcher", "slurm"): {"_target_": "hydra_plugins.vision_baselines_slurm.SlurmLauncher", "jobs": None},
    ("hydra/sweeper", "paired"): {
        "_target_": f"{_PACKAGE}.PairedSweeper",
        "max_batch_size": None,
        "params": None,
        "groups": [],
        "runs": None,
    },
    ("hydra/sweeper", "until_decided"): {
        "_target_": f"{_PACKAGE}.UntilDecidedSweeper",
        "params": None,
        "groups": [],
        "runs": None,
    },
}


class Configs(SearchPathPlugin):
    """Stores the configs; the search path stays as it is."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra when an application starts, with the folders that the application's configs lie in."""
        own = ConfigRepository(config_search_path=search_path)
        store = ConfigStore.instance()
        for (group, name), content in _CONFIGS.items():
            if not own.config_exists(f"{group}/{name}"):
                store.store(group=group, name=name, node=content, provider=_PROVIDER)
                continue
            stored = store.repo.get("hydra", {}).get(group.partition("/")[2], {})
            if getattr(stored.get(f"{name}.yaml"), "provider", None) == _PROVIDER:  # of this process's last application
                del stored[f"{name}.yaml"]
