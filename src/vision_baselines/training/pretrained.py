"""Starting from another run's weights: what ``init_from`` does to a net before it is trained."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from vision_baselines.errors import ConfigError, DataError, StorageError
from vision_baselines.models.transfer import head_name, load_backbone
from vision_baselines.runs.migrations import current_config
from vision_baselines.runs.record import finished_record
from vision_baselines.storage import checkpoint_file
from vision_baselines.training.best_weights import BEST
from vision_baselines.training.results import weights_sha256

log = logging.getLogger(__name__)

_BEST = Path("checkpoints") / BEST
_NET = "net."


def start_from(source: Path, net: nn.Module, config: Mapping[str, Any]) -> str:
    """Fill a net with another run's best weights; its head too, if both tell the same classes apart.

    Args:
        source: The folder of a finished run, or a checkpoint file.
        net: The net to fill.
        config: The plain config of the run that starts.

    Returns:
        SHA-256 of the weights that the net starts from, its head as it is.

    Raises:
        ConfigError: There is nothing to start from at `source`, or the weights do not fit the net.
        StorageError: The checkpoint is missing or damaged.
    """
    state = checkpoint_file.load(_checkpoint_at(source), checksum_needed=source.is_dir())
    weights = {
        name.removeprefix(_NET): value for name, value in state["state_dict"].items() if name.startswith(_NET)
    } or state["state_dict"]
    with_head = _classes(state.get("config") or {}) == _classes(config)
    try:
        load_backbone(net, weights, with_head=with_head)
    except ValueError as error:
        raise ConfigError(f"init_from is {source}: {error}") from error
    log.info("weights from %s%s", source, "" if with_head else f"; {head_name(net)} is new, for other classes")
    return weights_sha256(net)


def _checkpoint_at(source: Path) -> Path:
    if not source.exists():
        raise ConfigError(f"init_from: there is no {source}; expected the folder of a finished run, or a checkpoint")
    if not source.is_dir():
        return source
    try:
        finished_record(source)
    except DataError as error:
        raise ConfigError(f"init_from: {error}") from error
    if not (source / _BEST).is_file():
        raise StorageError(f"init_from: {source} has no {_BEST}; name the checkpoint file itself")
    return source / _BEST


def _classes(config: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells which classes a run's logits are for; empty configs are equal to none."""
    data = current_config(config).get("data") or {}
    source = data.get("source") or {}
    return (source.get("_target_"), source.get("root"), data.get("classes"), data.get("num_classes", object()))
