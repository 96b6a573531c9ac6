"""A recorded config made ready to be run again: with this machine's paths, and with changes where they can be made."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf, read_write

from vision_baselines.config.compose import composed, conf_dir, project_root
from vision_baselines.config.packages import trust_packages
from vision_baselines.config.written_paths import confine_written_paths
from vision_baselines.errors import ConfigError
from vision_baselines.runs.migrations import current_target, with_old_defaults
from vision_baselines.runs.targets import targets

log = logging.getLogger(__name__)

_ABSENT = object()
# Parts of a config that repeat what stands under a key of its own, which is the one to change. A recorded config, whose
# references are resolved, is built from the copies alone.
COPIES = {
    "classifier.net": "model",
    "classifier.optimizer": "optimizer",
    "classifier.scheduler": "scheduler.schedule",
    "classifier.task": "task",
    "data.augment": "augment",
    "data.mix": "mix",
}
_COPIED = {own.split(".")[0]: copy for copy, own in COPIES.items()} | {"seed": "data.seed and classifier.seed"}


def restored(
    config: Mapping[str, Any],
    run_dir: Path,
    overrides: Sequence[str] = (),
    trusted_packages: Sequence[str] = (),
    *,
    writes: bool = True,
) -> DictConfig:
    """A recorded config with this machine's paths, these probes and these changes.

    Args:
        config: As recorded; nobody vouches for it.
        run_dir: Where the run is, or will be.
        overrides: Changes.
        trusted_packages: Packages of one's own whose classes it may name.
        writes: Whether something will be run from it: then all that it would write lies in `run_dir`.

    Raises:
        ConfigError: An override would change nothing that is built from it.
    """
    paths = OmegaConf.load(conf_dir() / "paths" / "default.yaml")
    cfg = OmegaConf.create({**with_old_defaults(config), "paths": paths})
    cfg.paths.root_dir, cfg.paths.run_dir = project_root(), str(run_dir)
    cfg.trusted_packages, cfg.rerun, cfg.preview, cfg.trace = list(trusted_packages), False, False, False
    if writes:
        cfg.name = "restored"
        confine_written_paths(cfg)
    for chosen in [text for text in overrides if text.startswith("probe=")]:
        cfg.probe = OmegaConf.to_container(composed([chosen]).probe, resolve=False)
        cfg.setdefault("init_from", None)  # of records from before there was such a key
    changes = [text for text in overrides if not text.startswith("probe=")]
    for change in changes:
        key, found, value = change.partition("=")
        group, _, rest = key.partition(".")
        if group in _COPIED:
            place = _COPIED[group] + (f".{rest}" if rest else "")
            raise ConfigError(
                f"{change!r} changes nothing in a recorded config, which holds {place}={value} in its place; "
                f"use {'those keys' if ' and ' in place else 'that key'}"
            )
        if not found or OmegaConf.select(cfg, key, default=_ABSENT, throw_on_resolution_failure=False) is _ABSENT:
            raise ConfigError(
                f"{change!r} changes nothing in the recorded config; expected probe=… or key=value, such as "
                "trainer.accelerator=cpu"
            )
        if OmegaConf.is_dict(OmegaConf.select(cfg, key)) and re.fullmatch(r"[\w/-]+", value) and value != "null":
            raise ConfigError(
                f"{change!r} chooses a group's option, of which a recorded config has the keys alone; expected one of "
                f"these, {key}.…=…"
            )
    merged = OmegaConf.merge(cfg, OmegaConf.from_dotlist(changes))
    assert isinstance(merged, DictConfig)
    trust_packages(str(name) for name in merged.trusted_packages)  # the caller's: what was recorded is gone
    return merged


def rename_moved(node: DictConfig | ListConfig) -> None:
    """Give the classes that a config names by an old name today's, in place, and say so."""
    raw = OmegaConf.to_container(node, resolve=False)  # plain data is walked in a hundredth of the time
    if any(current_target(target) != target for _, target in targets(raw, "")):
        _rename_moved(node)


def _rename_moved(node: DictConfig | ListConfig) -> None:
    keys = list(node) if isinstance(node, DictConfig) else range(len(node))
    for key in keys:
        if OmegaConf.is_missing(node, key) or OmegaConf.is_interpolation(node, key):
            continue
        value = node[key]
        if isinstance(value, DictConfig | ListConfig):
            _rename_moved(value)
        elif key == "_target_" and isinstance(value, str) and (today := current_target(value)) != value:
            log.warning("%s is now %s; the old name goes with the next version", value, today)
            with read_write(node):
                node[key] = today
