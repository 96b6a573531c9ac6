"""The published baselines: what the receipt beside ``conf/experiment/NAME.yaml`` says, run again and compared with it.

An experiment without a receipt may say what it expects in its own file, as older versions printed it.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vision_baselines.analysis.reproduction import reproduction_margin
from vision_baselines.analysis.statistics import summarize
from vision_baselines.comparison.metric import Metric
from vision_baselines.config.compose import conf_dir
from vision_baselines.errors import ConfigError, DataError, TrainingError
from vision_baselines.evaluation.baseline_overrides import require_same_runs
from vision_baselines.evaluation.receipt import read_receipt
from vision_baselines.evaluation.reproduce import manifest_differences, tested_images
from vision_baselines.jobs.child import run_command
from vision_baselines.runs.cost import busy_s
from vision_baselines.runs.fingerprint import group_name
from vision_baselines.runs.places import SOME, not_a_folder, without_a_run
from vision_baselines.runs.record import FRESH_SEEDS, Environment, RunRecord, Status, find_records

QUICK_S = 60.0
# How often a baseline of any number of groups fails by chance alone on another machine.
LEVEL = 0.05
# What is published is rounded to six digits, and a metric is of float32's precision.
_ROUNDING = 1e-6
_EXPECTED = re.compile(r"^expected:", re.MULTILINE)


@dataclass(frozen=True)
class Baseline:
    """A published result.

    `groups` maps a group's label to its mean, std and n; `runs` a run's name to the SHA-256 of its weights;
    `data_sha256` is one for all groups, or one for each.
    """

    name: str
    metric: str
    cost_s: float
    data_sha256: str | Mapping[str, str]
    environment: Environment
    groups: Mapping[str, Mapping[str, float]]
    runs: Mapping[str, str]


@dataclass(frozen=True)
class Verdict:
    """One row of the table of reproduced baselines."""

    baseline: str
    group: str
    expected: str
    found: str
    how: str
    passed: bool


def published_names() -> list[str]:
    """Every experiment that has a receipt, or whose file says what to expect; receipts are not opened."""
    return [
        path.stem
        for path in sorted((conf_dir() / "experiment").glob("*.yaml"))
        if path.with_suffix(".json").is_file() or _EXPECTED.search(path.read_text())
    ]


def published_baseline(name: str) -> Baseline:
    """What is published of an experiment of `published_names`.

    Raises:
        DataError: Its receipt was changed after it was made, or what is expected is damaged.
    """
    path = conf_dir() / "experiment" / f"{name}.yaml"
    beside = path.with_suffix(".json")
    try:
        if beside.is_file():
            expected: Any = expectation_of(list(read_receipt(beside).records.values()))
        else:
            expected = yaml.safe_load(path.read_text())["expected"]
        expected["environment"] = Environment.model_validate(expected["environment"])
        expected["groups"] = {
            label: {key: float(value) for key, value in group.items()} for label, group in expected["groups"].items()
        }
        return Baseline(name=name, **{**expected, "cost_s": float(expected["cost_s"])})
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        where = beside if beside.is_file() else path
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise DataError(f"{where} does not say what to expect: {said}") from error


def published() -> list[Baseline]:
    """All of them.

    Raises:
        DataError: One is damaged.
    """
    return [published_baseline(name) for name in published_names()]


def expectation(folder: Path) -> dict[str, Any]:
    """The ``expected`` block of an experiment, from the records of its sweep, in the metric it is compared by.

    Raises:
        DataError: There is no run, or one is not finished; runs of one group do not share their data, or runs their
            manifest.
    """
    if said := not_a_folder(folder, SOME):
        raise DataError(said)
    try:
        found = find_records([folder])
    except ValueError as error:
        raise DataError(str(error)) from error
    if not found:
        raise DataError(without_a_run([folder], SOME))
    records = [record for path, record in found if path.parent.name != FRESH_SEEDS]
    unfinished = [record.name for record in records if record.status is not Status.FINISHED]
    if unfinished or not records:
        raise DataError(f"{folder} is no finished sweep; not finished: {', '.join(unfinished) or 'everything'}")
    return expectation_of(records)


def expectation_of(records: Sequence[RunRecord]) -> dict[str, Any]:
    """What finished runs of an experiment let expect, in the metric it is compared by; see `Baseline`.

    Raises:
        DataError: Runs of one group do not share their data, or runs their manifest.
    """
    first, data = (
        min(records, key=lambda record: record.started_at),
        {_label(record): record.data_sha256 for record in records},
    )
    for record in records:
        if data[_label(record)] != record.data_sha256:
            raise DataError(f"{record.name} was run on other data than the rest of {_label(record)}")
        if list(manifest_differences(first.environment, record.environment)):
            raise DataError(f"{record.name} and {first.name} were run under different manifests")
    manifest = first.environment.model_dump(exclude={"git_commit", "git_dirty"})
    manifest["versions"] = {k: v for k, v in manifest["versions"].items() if k != "vision-baselines"}
    metric = first.config["comparison"]["metric"] or first.headline_metric
    return {
        "metric": metric,
        "cost_s": round(busy_s(records)),
        "data_sha256": first.data_sha256 if len(set(data.values())) == 1 else data,
        "environment": manifest,
        "groups": {
            label: {"mean": round(summary.mean, 6), "std": round(summary.std, 6), "n": summary.n}
            for label, summary in ((k, summarize(v)) for k, v in _by_group(records, metric).items())
        },
        "runs": {_run_name(record): record.final_weights_sha256 for record in records},
    }


def reproduce_baseline(
    baseline: Baseline, *, overrides: Sequence[str] = (), on_line: Callable[[str], None] | None = None
) -> list[Verdict]:
    """Run a published experiment again in a scratch folder and hold every group against what is expected.

    Args:
        baseline: What is expected.
        overrides: For every run; see `baseline_overrides`.
        on_line: Called with each line that the sweep prints, as it comes.

    Raises:
        ConfigError: An override makes other runs of it.
        TrainingError: A job failed.
        Interrupted: A signal came; the sweep has ended by then.
    """
    require_same_runs(overrides)
    with tempfile.TemporaryDirectory(prefix="baseline-") as scratch:
        command = [sys.executable, "-m", "vision_baselines", "train", "-m", f"experiment={baseline.name}"]
        command += [*overrides, f"paths.output_dir={scratch}"]
        ended = run_command(command, capture=True, on_line=on_line)
        if ended.returncode:
            last = (ended.stderr.strip() or ended.stdout.strip()).splitlines()[-1:]
            raise TrainingError(f"experiment={baseline.name} ended with exit code {ended.returncode}: {''.join(last)}")
        records = [record for _, record in find_records([Path(scratch)])]
    return judge(baseline, records, overrides=overrides)


def damaged(name: str, reason: str) -> list[Verdict]:
    """A failed verdict for a baseline of which nobody can read what is expected."""
    return [Verdict(name, "all", "unreadable", "no run", reason, passed=False)]


def not_run(baseline: Baseline, reason: str) -> list[Verdict]:
    """A failed verdict for each group of a baseline that could not be run."""
    return [
        Verdict(baseline.name, label, _written(baseline, expected), "no run", reason, passed=False)
        for label, expected in baseline.groups.items()
    ]


def judge(baseline: Baseline, records: Sequence[RunRecord], *, overrides: Sequence[str] = ()) -> list[Verdict]:
    """One verdict a group: by bits where the manifest is equal, else by a prediction interval.

    Another machine's mean passes within the interval that all groups together leave by chance in one of twenty tries.

    Args:
        baseline: What is expected.
        records: What was found.
        overrides: Given to every run on top of the experiment, so no part of a group's label.
    """
    verdicts = []
    values = _by_group(records, baseline.metric, overrides)
    for label, expected in baseline.groups.items():
        mine = [record for record in records if _label(record, overrides) == label]
        if not mine:
            verdicts.append(
                Verdict(baseline.name, label, _written(baseline, expected), "no run", "nothing", passed=False)
            )
            continue
        found = summarize(values[label])
        different = sorted({d for r in mine for d in manifest_differences(baseline.environment, r.environment)})
        data = baseline.data_sha256 if isinstance(baseline.data_sha256, str) else baseline.data_sha256.get(label)
        data_same = all(record.data_sha256 == data for record in mine)
        if not different:
            equal = [baseline.runs.get(_run_name(r, overrides)) == r.final_weights_sha256 for r in mine]
            passed = bool(equal) and all(equal) and len(equal) == expected["n"]
            how = f"bits: {sum(equal)} of {expected['n']:.0f} runs identical"
        else:
            margin = reproduction_margin(
                expected["mean"],
                std=expected["std"],
                n=int(expected["n"]),
                n_new=found.n,
                test_size=tested_images(mine[0]) if Metric(baseline.metric).is_share else None,
                level=LEVEL / len(baseline.groups),
            )
            passed = found.n == expected["n"] and abs(found.mean - expected["mean"]) <= (margin or 0.0) + _ROUNDING
            how = f"interval (not comparable by bits: {'; '.join(different)})"
        verdicts.append(
            Verdict(
                baseline.name,
                label,
                _written(baseline, expected),
                _written(baseline, {"mean": found.mean, "std": found.std}),
                how if data_same else f"other data; {how}",
                passed and data_same,
            )
        )
    return verdicts


def select(known: Sequence[str], names: Sequence[str] = ()) -> list[str]:
    """Those of the published baselines that are named, or all of them.

    Raises:
        ConfigError: There is none, or none of a name.
    """
    if unknown := [name for name in names if name not in known]:
        if "," in unknown[0]:
            words = " ".join(filter(None, (word.strip() for word in unknown[0].split(","))))
            raise ConfigError(f"there is no published baseline {unknown[0]!r}; put blanks between the names: {words}")
        raise ConfigError(f"there is no published baseline {unknown[0]!r}; there are: {', '.join(known)}")
    if not known:
        raise ConfigError("no baseline is published in conf/experiment")
    return [name for name in known if not names or name in names]


def _written(baseline: Baseline, expected: Mapping[str, float]) -> str:
    metric = Metric(baseline.metric)
    return f"{metric.written(expected['mean'])} ± {metric.written(expected['std'])}"


def _by_group(records: Sequence[RunRecord], metric: str, overrides: Sequence[str] = ()) -> dict[str, list[float]]:
    groups: dict[str, list[float]] = {}
    for record in records:
        groups.setdefault(_label(record, overrides), []).append(record.metrics[metric])
    return groups


def _run_name(record: RunRecord, overrides: Sequence[str] = ()) -> str:
    return f"{_label(record, overrides)},seed={record.seed}"


def _label(record: RunRecord, overrides: Sequence[str] = ()) -> str:
    """The group's name within its experiment."""
    own = [text for text in record.overrides if not text.startswith(("experiment=", "+experiment="))]
    return group_name([text for text in own if text not in overrides])
