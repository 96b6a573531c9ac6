"""What travels with an exported net: facts of its run, as the file's metadata and for its model card."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy import special

from vision_baselines.analysis.per_class import recalls
from vision_baselines.analysis.two_way import wilson_interval
from vision_baselines.comparison.grouping import experiment_of, experiment_overrides
from vision_baselines.comparison.read_against import ClassRecall
from vision_baselines.evaluation.export_formats import INPUT, OUTPUT
from vision_baselines.evaluation.receipt import without_paths
from vision_baselines.runs.dotted import select
from vision_baselines.runs.environment import package_versions
from vision_baselines.runs.fingerprint import job_name, key_of
from vision_baselines.runs.record import RECORD_FILE, RunRecord, finished_record

_Z = float(special.ndtri(0.975))
# Metrics that are the share of images that are right, by their name in a config; the interval is of such a share.
_SHARES_OF_IMAGES = {"accuracy": "acc", "acc": "acc"}
_TOP = re.compile(r"top[1-9]\d*")


@dataclass(frozen=True)
class Measured:
    """A metric of a run; the ends are those of Wilson's 95% interval over images, NaN where it is no share of them."""

    name: str
    value: float
    low: float = math.nan
    high: float = math.nan
    images: int = 0


def measured(record: RunRecord, name: str) -> Measured:
    """A metric of the record with its interval over the images that it was measured on; NaN where it has none."""
    value, (split, _, quantity) = record.metrics.get(name, math.nan), name.partition("/")
    specs = [spec for spec in (record.config.get("task") or {}).get("metrics") or () if isinstance(spec, str)]
    is_share = quantity in {_SHARES_OF_IMAGES.get(spec, spec if _TOP.fullmatch(spec) else "") for spec in specs}
    images = _images(record, split)
    if not is_share or not images or not 0 <= value <= 1:
        return Measured(name, value, images=images)
    return Measured(name, value, *wilson_interval(value, float(images), _Z), images)


def class_recalls(record: RunRecord) -> list[ClassRecall]:
    """Each class's share of right answers on the test split, in the order of the outputs; empty where unknown."""
    if record.confusion is None:
        return []
    found = []
    names = record.class_names or [str(index) for index in range(len(record.confusion))]
    for name, row, share in zip(names, record.confusion, recalls(record.confusion), strict=True):
        ends = wilson_interval(float(share), float(sum(row)), _Z) if sum(row) else (math.nan, math.nan)
        found.append(ClassRecall(name, sum(row), float(share), *ends))
    return found


def repetitions(folder: Path, record: RunRecord) -> list[RunRecord]:
    """The finished runs of the sweep that differ in their seed or split alone, this one among them, by seed."""
    wanted, whole, found = experiment_overrides(record), experiment_of(record), {record.name: record}
    for path in sorted(folder.resolve().parent.glob(f"*/{RECORD_FILE}")):
        try:
            other = finished_record(path.parent)
        except Exception:  # a folder beside it that cannot be read is no run of this sweep
            continue
        is_same = other.sweep == record.sweep or experiment_of(other) == whole  # the sweep may have a new name
        if is_same and experiment_overrides(other) == wanted and other.task == record.task:
            found[other.name] = other
    return sorted(found.values(), key=lambda one: (one.seed, one.name))


def shown_overrides(record: RunRecord) -> list[str]:
    """The overrides of a run without this machine's paths, which an exported file's reader has no use for."""
    found: list[str] = without_paths(
        [text for text in record.overrides if not key_of(text).startswith("paths.")], "overrides"
    )
    return found


def title(record: RunRecord) -> str:
    """Sweep and name of a run, without this machine's paths."""
    shown, whole = shown_overrides(record), [text for text in record.overrides if not key_of(text).startswith("paths.")]
    return f"{record.sweep}/{record.name if shown == whole else job_name(shown)}"


def metadata(record: RunRecord, image_shape: Sequence[int], class_names: Sequence[str]) -> dict[str, str]:
    """What the file says of itself: text by name; lists and numbers as JSON."""
    headline = measured(record, record.headline_metric)
    value = headline.value if math.isfinite(headline.value) else None
    metric: dict[str, Any] = {"name": headline.name, "value": value, "images": headline.images}
    if math.isfinite(headline.low):
        metric |= {"interval_95": [headline.low, headline.high], "interval_of": "Wilson, over images"}
    versions = {"export": package_versions(), "training": record.environment.versions}
    return {
        "producer": f"vision-baselines {package_versions().get('vision-baselines', '')}".strip(),
        "run": title(record),
        "seed": str(record.seed),
        "class_names": _json(list(class_names)),
        "input": _json({"name": INPUT, "dtype": "uint8", "shape": ["batch", *image_shape], "range": [0, 255]}),
        "output": _json({"name": OUTPUT, "dtype": "float32", "shape": ["batch", len(class_names)]}),
        "metric": _json(metric),
        "fingerprint": record.fingerprint,
        "weights_sha256": record.weights_sha256 or "",
        "data_sha256": record.data_sha256 or "",
        "versions": _json(versions),
    }


def _images(record: RunRecord, split: str) -> int:
    """How many images a split's metrics are of; 0 where it is not known."""
    if split == "test" and record.confusion is not None:
        return sum(map(sum, record.confusion))
    if record.partial or record.data is None or split not in record.data.splits:
        return 0
    return record.data.splits[split].size


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def source_target(record: RunRecord) -> str:
    """The class that the data come from, as the config names it; empty where it names none."""
    return str(select(record.config, "data.source._target_", "") or "")
