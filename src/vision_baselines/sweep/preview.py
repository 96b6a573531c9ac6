"""What a command would run, without running it: sizes, lengths, and what is done already."""

from __future__ import annotations

import json
from collections.abc import Iterable

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vision_baselines.config.plan import RunPlan
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


def show(plans: Iterable[RunPlan]) -> None:
    """Build every job's net and count its steps, and print one row a job. Nothing is trained, downloaded or written.

    Raises:
        ConfigError: A job cannot be built.
    """
    table = Table(box=None, pad_edge=False)
    for heading in ("job", "parameters", "epochs", "steps an epoch", "state"):
        table.add_column(heading, justify="left" if heading in ("job", "state") else "right", no_wrap=True)
    lengths: dict[str, int | None] = {}
    for plan in plans:
        cfg, decision = plan.cfg, plan.decision
        with torch.device("meta"):  # shapes without memory or random numbers
            net = build.classifier(cfg).net
        steps = _steps(cfg, lengths)
        table.add_row(
            Text(plan.folder.name),
            f"{sum(p.numel() for p in net.parameters()):,}",
            str(cfg.trainer.max_epochs),
            "data not here yet" if steps is None else str(steps),
            _STATE[decision.action] + (", its files of data have changed" if decision.files_changed else ""),
        )
    console = Console(highlight=False, markup=False)
    console.width = max(console.width, console.measure(table, options=console.options.update(width=1000)).maximum)
    console.print(table)


def _steps(cfg: DictConfig, lengths: dict[str, int | None]) -> int | None:
    """Batches of a training epoch; None if the data would have to be fetched first."""
    facts = OmegaConf.to_container(cfg.data, resolve=True)
    assert isinstance(facts, dict)
    what = {name: value for name, value in facts.items() if name not in ("seed", "batch_size", "augment")}
    key = json.dumps(what, default=str, sort_keys=True)
    if key not in lengths:
        datamodule = build.datamodule(cfg)
        try:
            datamodule.setup()
        except DataError:
            lengths[key] = None
        else:
            assert datamodule.splits is not None
            lengths[key] = len(datamodule.splits.train.target)
    length = lengths[key]
    if length is None:
        return None
    whole, rest = divmod(length, cfg.data.batch_size)
    steps = whole + (rest > 1 or (rest == 1 and cfg.data.batch_size == 1))  # one image alone is left out
    limit = cfg.trainer.get("limit_train_batches", 1.0)
    return min(steps, limit) if isinstance(limit, int) else int(steps * limit)
