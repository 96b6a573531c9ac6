"""What docs/results/NAME.json keeps of an experiment's records; `results` reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from vision_baselines.comparison.grouping import latest_overrides
from vision_baselines.runs.cost import busy_s
from vision_baselines.runs.record import Curve, RunRecord

_DIGITS = 6


def kept(
    name: str, records: Iterable[RunRecord], *, receipt_sha256: str, commit: str, picture_sha256: str = ""
) -> dict[str, Any]:
    """What docs/results/NAME.json says of an experiment's finished runs, as plain data.

    Args:
        name: The experiment.
        records: Its runs.
        receipt_sha256: Of its receipt, which the figures belong to.
        commit: The commit that trained them.
        picture_sha256: Of the picture that the page shows, where it shows one.
    """
    runs = list(records)
    first = min(runs, key=lambda record: record.started_at)
    data = first.data
    return {
        "experiment": name,
        "receipt_sha256": receipt_sha256,
        "commit": commit,
        "picture_sha256": picture_sha256,
        "cpu": first.environment.cpu,
        "cost_s": round(busy_s(runs)),
        "metric": first.config["comparison"]["metric"] or first.headline_metric,
        "test_images": data.splits["test"].size if data is not None and "test" in data.splits else 0,
        "classes": data.num_classes if data is not None else 0,
        "runs": [_run(record) for record in runs],
    }


def _run(record: RunRecord) -> dict[str, Any]:
    own = [text for text in record.overrides if not text.startswith(("experiment=", "+experiment=", "paths."))]
    sizes = record.parameters
    return {
        "group": ", ".join(latest_overrides(own).values()) or "default",
        "seed": record.seed,
        "metrics": {key: round(value, _DIGITS) for key, value in record.metrics.items()},
        "epochs": [{key: round(value, _DIGITS) for key, value in row.metrics.items()} for row in record.history],
        "parameters": sizes.total if sizes else None,
        "flops": sizes.flops_per_image if sizes else None,
        "receptive_field_px": sizes.receptive_field_px if sizes else None,
        "fit_s": round(record.timings.fit_s, 1),
        "curves": {name: found for name, curve in record.curves.items() if (found := _whole_points(curve))},
    }


def _whole_points(curve: Curve) -> dict[str, float]:
    """Values of a curve at whole numbers: layers, blocks, distances in px; texts such as ``5``, as JSON has them."""
    return {f"{x:.0f}": round(y, _DIGITS) for x, y in zip(curve.x, curve.y, strict=True) if x == int(x)}


def compact(content: Mapping[str, Any]) -> str:
    """JSON with a line for each run, so that a change shows which runs it is of."""
    head = json.dumps({**content, "runs": []}, indent=1).removesuffix("[]\n}")
    rows = ",\n  ".join(json.dumps(run) for run in content["runs"])
    return f"{head}[\n  {rows}\n ]\n}}\n"
