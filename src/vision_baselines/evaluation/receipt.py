"""A receipt: one small file by which a stranger checks a sweep, with nothing but this package and the data.

It holds for each run what went in (data, code, config, manifest) and what came out (weights, predictions, metrics), and
for each group the row of the table that follows. Each run's links are chained by SHA-256: data, code, config, weights,
predictions, row; each hash is of the link and of the hash before it, so a figure that was changed afterwards is found,
and where. A receipt is no signature: who makes all of it up makes up the hashes too, but no training that gives them.

Paths and file names are left out, unless they are asked for; of the samples there is the SHA-256 alone.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vision_baselines.analysis.statistics import summarize
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.errors import DataError
from vision_baselines.evaluation.receipt_shape import fault_of_shape
from vision_baselines.runs.dotted import walk
from vision_baselines.runs.factored import factored, merged
from vision_baselines.runs.fingerprint import is_irrelevant, job_name
from vision_baselines.runs.init_source import JOB
from vision_baselines.runs.record import RunRecord, first_fault
from vision_baselines.storage.reading import read_regular, why_no_json

RECEIPT_FILE = "receipt.json"
LINKS = ("data", "code", "config", "weights", "predictions", "row")
PATH = "<path>"

_SCHEMA = 1
_MOST_BYTES = 2**26
_LINK_FIELDS: Mapping[str, tuple[str, ...]] = {
    "data": ("data_sha256", "test_sha256", "data"),
    "code": ("code", "environment"),
    "config": ("name", "sweep", "overrides", "config", "fingerprint", "seed"),
    "weights": ("init_weights_sha256", "weights_sha256", "final_weights_sha256", "best_epoch"),
    "predictions": ("predictions_sha256", "metrics", "task", "partial"),
}
_REQUIRED = ("status", "started_at", "ended_at", "schema_version", "environment")
_UNSHOWN = {"data": ("notes", "left_out", "duplicates")}  # they name files
# A value that is a path on some machine: absolute, of a home folder, or of a drive.
_IS_PATH = re.compile(r"""^['"]?(?:/|~|\.{1,2}/|[A-Za-z]:[\\/])""")
_PLACES = re.compile(r"(^|\.)(root|file|test_file|root_dir|data_dir|output_dir|cache_dir|dirpath|save_dir)$")


@dataclass(frozen=True)
class Row:
    """A row of the table: a group, its runs by name, and mean, std (``ddof=1``) and number of the metric's values."""

    group: str
    runs: tuple[str, ...]
    mean: float
    std: float
    n: int


@dataclass(frozen=True)
class Receipt:
    """What a receipt says; its hashes have been checked."""

    sweep: str
    metric: str
    rows: tuple[Row, ...]
    records: Mapping[str, RunRecord]
    sha256: str


def receipt(table: ComparisonTable, *, names: bool = False) -> dict[str, Any]:
    """The receipt of a comparison, as plain data.

    Args:
        table: The comparison; the runs that it counts are in the receipt.
        names: Whether paths and file names stay in it.

    Raises:
        DataError: No run is finished, or one has no weights that it could be held against.
    """
    counted = [(row, [job.record for job in row.counted]) for row in table.shown() if table.metric.name in row.metrics]
    if not counted:
        raise DataError(f"{' + '.join(table.sweeps) or 'the folder'} has no finished run; there is nothing to certify")
    rows: list[dict[str, Any]] = []
    runs: dict[str, dict[str, Any]] = {}
    for row, records in counted:
        made = dict(_named(_run(record, names), len(table.sweeps) > 1) for record in records)
        if len(made) < len(records) or made.keys() & runs.keys():
            raise DataError(
                f"{row.label}: runs differ in their paths alone, which a receipt leaves out unless asked for"
            )
        label = row.label if names else ", ".join(without_paths(row.label.split(", "), "overrides"))
        values = [run["metrics"][table.metric.name] for run in made.values()]
        rows.append({"group": label, "runs": sorted(made), **_numbers(values)})
        for name, run in made.items():
            runs[name] = run | {"chain": _chain(run, rows[-1])}
    shared, own = factored([runs[name] for name in sorted(runs)])
    content: dict[str, Any] = {
        "receipt": _SCHEMA,
        "sweep": " + ".join(table.sweeps),
        "metric": table.metric.name,
        "rows": rows,
        "shared": shared,
        "runs": dict(zip(sorted(runs), own, strict=True)),
    }
    return content | {"sha256": _sha256(content)}


def read_receipt(path: Path) -> Receipt:
    """A receipt, checked link by link.

    Raises:
        DataError: It cannot be read, is of a newer version, or does not fit its own hashes.
    """
    try:
        content = json.loads(read_regular(path, most_bytes=_MOST_BYTES))
    except FileNotFoundError as error:
        raise DataError(f"no file {path}; expected a receipt, which vision-baselines receipt SWEEP writes") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a receipt: {why_no_json(error, path)}") from error
    if not isinstance(content, dict) or "receipt" not in content:
        raise DataError(f"{path} is not a receipt; vision-baselines receipt SWEEP writes one")
    if content["receipt"] != _SCHEMA:
        raise DataError(f"{path} is a receipt of version {content['receipt']!r}; this version reads {_SCHEMA}")
    if fault := fault_of_shape(content, LINKS):
        raise DataError(f"{path} is not a whole receipt: {fault}")
    rows = [Row(**{**row, "runs": tuple(row["runs"])}) for row in content["rows"]]
    try:
        runs = {name: merged(content["shared"], own) for name, own in content["runs"].items()}
        row_of = {name: row for row in content["rows"] for name in row["runs"]}
        for name, run in runs.items():
            for link, said, found in zip(LINKS, run["chain"], _chain(run, row_of[name]), strict=True):
                if said != found:
                    raise DataError(f"{path} was changed after it was made: {link} of {name} does not fit its hash")
        if content["sha256"] != _sha256({key: value for key, value in content.items() if key != "sha256"}):
            raise DataError(f"{path} was changed after it was made: the whole does not fit its hash")
        records = {name: _record(name, run) for name, run in runs.items()}
        _check_rows(path, rows, records, content["metric"])
    except RecursionError as error:
        raise DataError(f"{path} is not a whole receipt: it nests too deeply") from error
    except ValueError as error:
        raise DataError(f"{path} is not a whole receipt: {error}") from error
    return Receipt(content["sweep"], content["metric"], tuple(rows), records, content["sha256"])


def without_paths(node: Any, key: str = "") -> Any:
    """Plain data with every path as `PATH`.

    >>> without_paths({"data": {"source": {"root": "pictures"}}, "overrides": ["data.source.root=/home/me", "seed=0"]})
    {'data': {'source': {'root': '<path>'}}, 'overrides': ['data.source.root=<path>', 'seed=0']}
    """
    if isinstance(node, Mapping):
        return {name: without_paths(value, f"{key}.{name}" if key else str(name)) for name, value in node.items()}
    if isinstance(node, list):
        return [without_paths(value, key) for value in node]
    if not isinstance(node, str) or node.startswith("${"):
        return node
    if key == "overrides" or key.endswith(".overrides"):
        name, is_one, value = node.partition("=")
        return f"{name}={without_paths(value, name)}" if is_one else node
    is_place = _PLACES.search(key) or (key == "init_from" and not node.startswith(JOB))
    return PATH if is_place or _IS_PATH.match(node) else node


def missing_paths(record: RunRecord) -> list[str]:
    """Keys of a run's config whose path was left out of its receipt and has to be given."""
    found = [key for key, value in walk(record.config) if value == PATH and not is_irrelevant(key)]
    return [key for key in found if not key.startswith("callbacks.")]  # what those write lies in the run's folder


def _run(record: RunRecord, names: bool) -> dict[str, Any]:
    fields = {*_REQUIRED, *(field for found in _LINK_FIELDS.values() for field in found)}
    run = record.model_dump(mode="json", include=fields)
    for field, parts in _UNSHOWN.items():
        run[field] = {key: value for key, value in (run.get(field) or {}).items() if key not in parts} or None
    if not record.weights_sha256:
        raise DataError(f"{record.name} has no SHA-256 of its weights; it is of an old version: train it again")
    run["metrics"] = {key: value for key, value in record.metrics.items() if math.isfinite(value)}
    if names:
        return run
    shown: dict[str, Any] = without_paths(run)
    if shown["overrides"] != run["overrides"]:
        shown["name"] = job_name(shown["overrides"])  # a folder's name says what the path was
    return shown


def _record(name: str, run: Mapping[str, Any]) -> RunRecord:
    try:
        return RunRecord.model_validate({key: value for key, value in run.items() if key != "chain"})
    except ValidationError as error:
        raise ValueError(f"run {name} is no run: {first_fault(error)}") from error


def _chain(run: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """One hash a link, each of the link's content and of the hash before it."""
    found, last = [], ""
    for link in LINKS:
        content = row if link == "row" else {field: run.get(field) for field in _LINK_FIELDS[link]}
        last = _sha256([last, link, content])
        found.append(last)
    return found


def _check_rows(path: Path, rows: Iterable[Row], records: Mapping[str, RunRecord], metric: str) -> None:
    for row in rows:
        without = [name for name in row.runs if metric not in records[name].metrics]
        if without:
            raise ValueError(f"run {without[0]} has no {metric}, which row {row.group} is about")
        numbers = _numbers([records[name].metrics[metric] for name in row.runs])
        if numbers != {"mean": row.mean, "std": row.std, "n": row.n}:
            raise DataError(f"{path} is not right: the row {row.group} does not follow from its runs")


def _numbers(values: Sequence[float]) -> dict[str, Any]:
    found = summarize(values)
    return {"mean": found.mean, "std": found.std if found.n > 1 else 0.0, "n": found.n}


def _named(run: dict[str, Any], several: bool) -> tuple[str, dict[str, Any]]:
    return f"{run['sweep']}/{run['name']}" if several else run["name"], run


def _sha256(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
