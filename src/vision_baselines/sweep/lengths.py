"""How long a sweep's jobs take, as far as that is known before they run: so that the longest start first.

A run of the same config but for its seed took so many seconds; where there is none, the work is known: floating-point
operations of an image, images of an epoch, and epochs. Where some jobs have seconds and others have not, the seconds
of the others are estimated from their work at the pace of the first.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vision_baselines.data.listing import image_count
from vision_baselines.jobs.job import Packed, unpacked
from vision_baselines.runs.record import RunRecord, Status

_LONG = ("model", "optimizer", "parameter_groups", "data", "augment", "mix", "trainer", "callbacks", "probe", "freeze")
_SEEDS = ("seed", "split_seed", "fold")
_NO_SIZE = ("seed", "batch_size", "augment", "mix", "mean", "std")  # of a data set: what its size does not depend on


@dataclass(frozen=True)
class Length:
    """What is known of how long a job takes.

    Attributes:
        kind: The same for jobs that differ in their seeds alone.
        net: The same for jobs whose nets are alike.
        data: The same for jobs that have as many training images.
        epochs: That it trains for; None where it may end before them.
        images: That it trains on over all epochs; None where that is not known.
        seconds: That an earlier run of it took; None where there was none that finished.
    """

    kind: str
    net: str
    data: str
    epochs: float | None
    images: float | None
    seconds: float | None

    @classmethod
    def of(cls, config: Mapping[str, Any], previous: RunRecord | None) -> Length:
        """Of a plain config, and the record that its folder holds."""
        data = config["data"]
        net = {key: data.get(key) for key in ("image_shape", "num_classes")} | {"model": config["model"]}
        took = previous.timings if previous is not None and previous.status is Status.FINISHED else None
        seconds = took.total_s if took is not None else None
        images, epochs = _images(config), config["trainer"].get("max_epochs")
        limits = [config["trainer"].get(name) for name in ("limit_train_batches", "max_steps")]
        is_whole = limits[0] in (None, 1.0) and limits[1] in (None, -1)
        return cls(
            kind=_digest({key: _unseeded(config.get(key)) for key in _LONG}),
            net=_digest(net),
            data=_digest({key: _unseeded(value) for key, value in data.items() if key not in _NO_SIZE}),
            epochs=float(epochs) if is_whole and isinstance(epochs, int | float) and epochs > 0 else None,
            images=images,
            seconds=seconds,
        )


def lengths(jobs: Sequence[Length], known: Sequence[Length], flops: Callable[[list[int]], Any]) -> list[float | None]:
    """How long each job takes, in one unit; None for all where it is not known of one.

    Args:
        jobs: Those that are to be run.
        known: Of these and of others that are done.
        flops: Gives the operations of an image, or None, of the nets of `jobs` at some places.
    """
    took: dict[str, list[float]] = {}
    for length in known:
        if length.seconds is not None:
            took.setdefault(length.kind, []).append(length.seconds)
    seconds = [statistics.median(took[job.kind]) if job.kind in took else None for job in jobs]
    if None not in seconds:
        return seconds
    many = [job.images for job in jobs]
    if None in many and len({job.data for job in jobs}) == 1:
        many = [job.epochs for job in jobs]
    if None in many or len({(job.net, count) for job, count in zip(jobs, many, strict=True)}) == 1:
        return [None] * len(jobs)
    first: dict[str, int] = {}
    for place, job in enumerate(jobs):
        first.setdefault(job.net, place)
    answer = flops(list(first.values())) or [None] * len(first)
    of_net = dict(zip(first, answer, strict=True))
    work = [
        None if flops_each is None or count is None else flops_each * count
        for flops_each, count in zip((of_net[job.net] for job in jobs), many, strict=True)
    ]
    if None in work:
        return [None] * len(jobs)
    known_work = [one for one in work if one is not None]
    paces = [second / one for second, one in zip(seconds, known_work, strict=True) if second is not None and one]
    pace = statistics.median(paces) if paces else 1.0
    return [one * pace if second is None else second for second, one in zip(seconds, known_work, strict=True)]


def flops_of(contents: Sequence[bytes | Packed]) -> list[float | None]:
    """Floating-point operations of an image in the nets of packed configs; called in a process of the jobs' server."""
    import torch

    from vision_baselines.analysis.net_size import net_size
    from vision_baselines.sweep.in_job import prepare
    from vision_baselines.training import build

    found: list[float | None] = []
    for content in contents:
        cfg = unpacked(content)
        prepare(cfg)
        try:
            with torch.device("meta"):
                found.append(float(net_size(build.net(cfg), tuple(cfg.data.image_shape)).flops))
        except Exception:  # whoever runs it says what is wrong with it
            found.append(None)
    return found


def _images(config: Mapping[str, Any]) -> float | None:
    trainer, data = config["trainer"], config["data"]
    epochs, limit = trainer.get("max_epochs"), trainer.get("limit_train_batches", 1.0)
    there = image_count(data)
    count = there * float(data.get("train_fraction") or 1.0) if there is not None else None
    if isinstance(limit, int):
        most = limit * data["batch_size"]
        count = most if count is None else min(count, most)
    elif isinstance(limit, float) and count is not None:
        count *= limit
    steps = trainer.get("max_steps")
    total = count * epochs if count is not None and isinstance(epochs, int | float) and epochs > 0 else None
    if isinstance(steps, int) and steps > 0:
        most = steps * data["batch_size"]
        total = most if total is None else min(total, most)
    return total


def _unseeded(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _unseeded(value) for key, value in node.items() if key not in _SEEDS}
    return node


def _digest(facts: Mapping[str, Any]) -> str:
    content = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:16]
