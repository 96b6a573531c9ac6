"""What a command would run, without running it: sizes, lengths, and what is done already."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.text import Text

from vision_baselines.config.plan import Plan
from vision_baselines.data.whole_batch import require_whole_batch
from vision_baselines.errors import ConfigError, VisionBaselinesError
from vision_baselines.fitted_table import FittedTable
from vision_baselines.jobs.job import Packed
from vision_baselines.runs.resumption import Action
from vision_baselines.sweep.sizes_found import Sizes
from vision_baselines.terminal import console, say

_STATE = {
    Action.START: "to be trained",
    Action.RESUME: "to be resumed",
    Action.RETRY: "failed, to be tried again",
    Action.SKIP: "finished",
    Action.PROBE: "finished, to be probed",
}


def show(
    plans: Iterable[tuple[Plan, bytes | Packed]], ask: Callable[..., Any] = lambda *_: None, words: str = ""
) -> None:
    """Build every net that a job has and count its steps, and print one row a job.

    Nothing is trained, downloaded or written. Jobs whose nets are the same but for the seed have it built once.

    Args:
        plans: Of each job its plan, and its packed config.
        ask: Calls a function in a process that has imported torch and returns its answer; None where it has none, and
            the function is called here.
        words: What is said below the rows.

    Raises:
        ConfigError: A job cannot be built; it is named where there are several.
    """
    rows: list[tuple[Plan, str, str]] = []
    nets: dict[str, bytes | Packed] = {}
    sets: dict[str, bytes | Packed] = {}
    for plan, content in plans:
        net, data = _net_key(plan.resolved), _data_key(plan.resolved)
        nets.setdefault(net, content)
        sets.setdefault(data, content)
        rows.append((plan, net, data))
    found = _found(nets, sets, ask)
    if found.refusal is not None:
        done = len(found.parameters), len(found.lengths)
        which = [*nets][done[0]] if done[0] < len(nets) else [*sets][done[1]]
        raise _named(found.refusal, next(plan for plan, *keys in rows if which in keys), len(rows))
    parameters = dict(zip(nets, found.parameters, strict=True))
    images = dict(zip(sets, found.lengths, strict=True))
    table = FittedTable(look=None)
    for heading in ("job", "parameters", "epochs", "steps an epoch", "state"):
        is_text = heading in ("job", "state")
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=not is_text)
    for plan, net, data in rows:
        try:
            steps = _steps(plan.resolved, images[data])
        except ConfigError as error:
            raise _named(error, plan, len(rows)) from error
        table.add_row(
            Text(plan.folder.name),
            f"{parameters[net]:,}",
            str(plan.resolved["trainer"]["max_epochs"]),
            "data not here yet" if steps is None else str(steps),
            _STATE[plan.decision.action] + (", its files of data have changed" if plan.decision.files_changed else ""),
        )
    out = console()
    out.print(table)
    if words:
        say(out, words)


def _named(refusal: VisionBaselinesError, plan: Plan, jobs: int) -> VisionBaselinesError:
    """Why a job cannot be, with its name where there are several."""
    return type(refusal)(f"{plan.folder.name}: {refusal}") if jobs > 1 else refusal


def _found(
    nets: Mapping[str, bytes | Packed], sets: Mapping[str, bytes | Packed], ask: Callable[..., Sizes | None]
) -> Sizes:
    """Parameters of each net, and training images of each data set, up to one that is refused."""
    wanted = list(nets.values()), list(sets.values())
    found = ask(sizes_of, *wanted)
    if found is None:
        found = sizes_of(*wanted)
    for record in found.said:
        logging.getLogger(record.name).handle(record)
    return found


def sizes_of(*wanted: Any) -> Sizes:
    """`sizes.sizes`, in a module that a process without torch can name."""
    from vision_baselines.sweep.sizes import sizes  # it imports torch

    return sizes(*wanted)


def _net_key(config: Mapping[str, Any]) -> str:
    """The same for configs whose nets and optimizers are built alike."""
    classifier = {name: value for name, value in config["classifier"].items() if name != "seed"}
    return json.dumps([classifier, config.get("freeze"), config["trainer"].get("precision")], default=str)


def _data_key(config: Mapping[str, Any]) -> str:
    """The same for configs whose data have as many training images."""
    what = {name: value for name, value in config["data"].items() if name not in ("seed", "batch_size", "augment")}
    return json.dumps(what, default=str, sort_keys=True)


def _steps(config: Mapping[str, Any], length: int | None) -> int | None:
    """Batches of a training epoch of so many images."""
    if length is None:
        return None
    batch_size = config["data"]["batch_size"]
    require_whole_batch(batch_size, length, config["data"].get("train_fraction", 1.0))
    whole, rest = divmod(length, batch_size)
    steps = whole + (rest > 1 or (rest == 1 and batch_size == 1))  # one image alone is left out
    limit = config["trainer"].get("limit_train_batches", 1.0)
    return min(steps, limit) if isinstance(limit, int) else int(steps * limit)
