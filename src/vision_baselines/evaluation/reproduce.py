"""Run a recorded run again and say, point by point, what is the same.

Under an equal manifest (versions, instruction set, threads, device) only identical bits pass. Under another one bits
cannot be promised, so metrics are held to a prediction interval: of a single run by the size of its test split, of a
published baseline by its recorded spread too.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pytorch_lightning.callbacks import Callback

from vision_baselines.analysis.reproduction import reproduction_margin
from vision_baselines.comparison.metric import Metric
from vision_baselines.config.restore import restored
from vision_baselines.evaluation.data_folder import with_data
from vision_baselines.runs.code import code_differences
from vision_baselines.runs.fingerprint import differences
from vision_baselines.runs.init_source import source_path
from vision_baselines.runs.record import Environment, RunRecord, finished_record
from vision_baselines.training.run import train

_PLACES = frozenset(f"data.source.{key}" for key in ("root", "file", "test_file"))


@dataclass(frozen=True)
class Point:
    """One thing that was compared: whether it agrees, and what was recorded and found.

    One that may differ, for others say whether it matters, is `judged` otherwise.
    """

    name: str
    same: bool
    detail: str
    judged: bool = True

    @property
    def verdict(self) -> str:
        """In a word."""
        return ("same" if self.same else "DIFFERENT") if self.judged else "differs"


@dataclass(frozen=True)
class Reproduction:
    """What a run gave when it was run again; `not_comparable` says why its bits could not be compared."""

    name: str
    points: tuple[Point, ...]
    not_comparable: str = ""

    @property
    def passed(self) -> bool:
        """Whether everything that was compared is the same: bits, or metrics within their interval."""
        return bool(self.points) and all(point.same for point in self.points)


def reproduce(folder: Path, *, overrides: Sequence[str] = (), trusted_packages: Sequence[str] = ()) -> Reproduction:
    """Run the config recorded in `folder` again, in a scratch folder.

    Args:
        folder: A run's folder.
        overrides: Changes to the config, such as ``threads=2`` or ``paths.data_dir=…``.
        trusted_packages: Packages whose classes may be instantiated; a recorded config's own word is not taken for it.

    Raises:
        ConfigError: There is no finished run in `folder`, or an override cannot be applied.
    """
    recorded = finished_record(folder)
    with tempfile.TemporaryDirectory(prefix="reproduce-") as scratch:
        run_dir = Path(scratch) / recorded.name
        return compare_records(recorded, run_again(recorded, folder, run_dir, overrides, trusted_packages))


def run_again(
    recorded: RunRecord,
    folder: Path,
    run_dir: Path,
    overrides: Sequence[str] = (),
    trusted_packages: Sequence[str] = (),
    *,
    callbacks: Sequence[Callback] = (),
) -> RunRecord:
    """Train the config that is recorded in `folder` in `run_dir`, with `callbacks` looking on.

    What it starts from is looked for where `folder` is, unless an override names it.
    """
    cfg = restored(recorded.config, run_dir, overrides, trusted_packages)
    began_with = recorded.config.get("init_from")
    if began_with and not any(text.startswith("init_from=") for text in overrides):
        cfg.init_from = str(source_path(began_with, folder, recorded.overrides))  # it is not in the scratch folder
    found = with_data(cfg, recorded, overrides, partial(train, callbacks=callbacks))
    if began_with:
        found.config["init_from"] = began_with
    return found


def compare_records(recorded: RunRecord, found: RunRecord) -> Reproduction:
    """Hold what was found against what was recorded."""
    manifest = "; ".join(manifest_differences(recorded.environment, found.environment))
    changed = config_differences(recorded, found)
    points = [
        # what was changed on purpose, such as the threads, is a difference of the manifest
        Point("config", bool(manifest) or not changed, "; ".join(changed) or recorded.fingerprint),
        Point("data", recorded.data_sha256 == found.data_sha256, _short(recorded.data_sha256)),
        _code(recorded, found, by="the interval" if manifest else "the bits"),
    ]
    if manifest:
        points.append(_within(recorded, found))
        return Reproduction(recorded.name, tuple(points), not_comparable=manifest)
    points += [
        Point("manifest", True, "equal"),
        Point(
            "weights, first",
            recorded.init_weights_sha256 == found.init_weights_sha256,
            _both(recorded, found, "init_weights_sha256") if recorded.init_weights_sha256 else "drawn by the seed",
        ),
        Point(
            "weights, best epoch",
            recorded.weights_sha256 == found.weights_sha256,
            _both(recorded, found, "weights_sha256"),
        ),
        Point(
            "weights, last step",
            recorded.final_weights_sha256 == found.final_weights_sha256,
            _both(recorded, found, "final_weights_sha256"),
        ),
        Point("metrics", recorded.metrics == found.metrics, _metric_detail(recorded, found)),
    ]
    if recorded.predictions_sha256:
        # of a compressed file, which another zlib may write otherwise: weights and metrics judge
        same = recorded.predictions_sha256 == found.predictions_sha256
        points.append(Point("predictions", True, _both(recorded, found, "predictions_sha256"), judged=same))
    return Reproduction(recorded.name, tuple(points))


def config_differences(recorded: RunRecord, found: RunRecord) -> list[str]:
    """What is not equal in two runs' configs; where the data lies may differ: it is compared by its content."""
    return [text for text in differences(recorded.config, found.config) if text.split(":")[0] not in _PLACES]


def tested_images(record: RunRecord) -> int | None:
    """Number of images in a run's test split, where its record says."""
    if record.data and "test" in record.data.splits:
        return record.data.splits["test"].size
    return sum(map(sum, record.confusion)) if record.confusion else None


def _within(recorded: RunRecord, found: RunRecord) -> Point:
    """The headline metric held to what runs of the same accuracy differ by on as many images."""
    metric = Metric(recorded.headline_metric)
    before, after = (record.metrics.get(metric.name, math.nan) for record in (recorded, found))
    margin = reproduction_margin(before, test_size=tested_images(recorded) if metric.is_share else None)
    if margin is None:
        return Point("metrics", False, f"{_metric_detail(recorded, found)}; no interval is known for this metric")
    low, high = (metric.precise(min(max(value, 0.0), 1.0)) for value in (before - margin, before + margin))
    is_within = abs(after - before) <= margin
    where = "within" if is_within else "outside"
    return Point("metrics", is_within, f"{metric.name} {metric.precise(after)} is {where} {low} to {high}")


def manifest_differences(recorded: Environment, found: Environment) -> Iterator[str]:
    """What is not equal, as ``threads 1 ≠ 2``; the commit of the code is not part of the manifest."""
    for key in ("threads", "seeds_per_pass", "cpu", "cpu_capability", "device", "platform", "python"):
        before, after = getattr(recorded, key), getattr(found, key)
        if before != after:
            yield f"{key} {before} ≠ {after}"
    ours = {"vision-baselines"}
    for package in sorted((recorded.versions.keys() | found.versions.keys()) - ours):
        before, after = recorded.versions.get(package, "absent"), found.versions.get(package, "absent")
        if before != after:
            yield f"{package} {before} ≠ {after}"


def _code(recorded: RunRecord, found: RunRecord, *, by: str) -> Point:
    """What is not the same in the code; no failure, since what comes out says whether it matters."""
    changed = code_differences(recorded.code, found.code) if recorded.code else []
    if changed:
        return Point("code", True, f"{', '.join(changed)}; judged by {by}", judged=False)
    return Point("code", True, "same" if recorded.code else "not recorded")


def _short(sha256: str | None) -> str:
    return sha256[:12] if sha256 else "not recorded"


def _both(recorded: RunRecord, found: RunRecord, key: str) -> str:
    before, after = _short(getattr(recorded, key)), _short(getattr(found, key))
    return before if before == after else f"{before} ≠ {after}"


def _metric_detail(recorded: RunRecord, found: RunRecord) -> str:
    name = recorded.headline_metric
    before, after = (Metric(name).precise(record.metrics.get(name, math.nan)) for record in (recorded, found))
    return f"{name} {before}" if recorded.metrics == found.metrics else f"{name} {before} ≠ {after}"
