"""What a command would run, without running it: sizes, lengths, and what is done already."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vision_baselines.config.plan import Plan
from vision_baselines.errors import DataError
from vision_baselines.runs.resumption import Action
from vision_baselines.training import build

_STATE = {
    Action.START: "to be trained",
    Action.RESUME: "to be resumed",
    Action.RETRY: "failed, to be tried again",
    Action.SKIP: "finished",
    Action.PROBE: "finished, to be probed",
}


def show(plans: Iterable[tuple[Plan, Callable[[], DictConfig]]]) -> None:
    """Build every net that a job has and count its steps, and print one row a job.

    Nothing is trained, downloaded or written. Jobs whose nets are the same but for the seed have it built once.

    Args:
        plans: Of each job its plan, and what gives its config.

    Raises:
        ConfigError: A job cannot be built.
    """
    table = Table(box=None, pad_edge=False)
    for heading in ("job", "parameters", "epochs", "steps an epoch", "state"):
        table.add_column(heading, justify="left" if heading in ("job", "state") else "right", no_wrap=True)
    sizes: dict[str, int] = {}
    lengths: dict[str, int | None] = {}
    for plan, cfg in plans:
        net, data = _net_key(plan.resolved), _data_key(plan.resolved)
        if net not in sizes:
            with torch.device("meta"):  # shapes without memory or random numbers
                sizes[net] = sum(p.numel() for p in build.classifier(cfg()).net.parameters())
        if data not in lengths:
            lengths[data] = _length(cfg())
        steps = _steps(plan.resolved, lengths[data])
        table.add_row(
            Text(plan.folder.name),
            f"{sizes[net]:,}",
            str(plan.resolved["trainer"]["max_epochs"]),
            "data not here yet" if steps is None else str(steps),
            _STATE[plan.decision.action] + (", its files of data have changed" if plan.decision.files_changed else ""),
        )
    console = Console(highlight=False, markup=False)
    console.width = max(console.width, console.measure(table, options=console.options.update(width=1000)).maximum)
    console.print(table)


def _net_key(config: Mapping[str, Any]) -> str:
    """The same for configs whose nets and optimizers are built alike."""
    classifier = {name: value for name, value in config["classifier"].items() if name != "seed"}
    return json.dumps([classifier, config.get("freeze"), config["trainer"].get("precision")], default=str)


def _data_key(config: Mapping[str, Any]) -> str:
    """The same for configs whose data have as many training images."""
    what = {name: value for name, value in config["data"].items() if name not in ("seed", "batch_size", "augment")}
    return json.dumps(what, default=str, sort_keys=True)


def _length(cfg: DictConfig) -> int | None:
    """Training images; None if the data would have to be fetched first."""
    datamodule = build.datamodule(cfg)
    try:
        datamodule.setup()
    except DataError:
        return None
    assert datamodule.splits is not None
    return len(datamodule.splits.train.target)


def _steps(config: Mapping[str, Any], length: int | None) -> int | None:
    """Batches of a training epoch of so many images."""
    if length is None:
        return None
    batch_size = config["data"]["batch_size"]
    whole, rest = divmod(length, batch_size)
    steps = whole + (rest > 1 or (rest == 1 and batch_size == 1))  # one image alone is left out
    limit = config["trainer"].get("limit_train_batches", 1.0)
    return min(steps, limit) if isinstance(limit, int) else int(steps * limit)
