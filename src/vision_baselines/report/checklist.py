"""What reproducibility checklists ask of an experiment (those of NeurIPS, say), filled in from the records.

What records cannot know is left open, in words, rather than guessed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.configuration import leaf
from vision_baselines.comparison.formatting import listed, number, one_line, plural, size
from vision_baselines.comparison.grouping import experiment_overrides
from vision_baselines.comparison.provenance import commands, commits, datasets, environments
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.comparison.verdict import headline
from vision_baselines.data.known_data import KNOWN, UNKNOWN
from vision_baselines.report.legend import legend, sureness_legend
from vision_baselines.report.looks import look_note
from vision_baselines.report.markdown import escaped
from vision_baselines.runs.dotted import select
from vision_baselines.runs.record import Status

_FIXED = (
    "optimizer",
    "scheduler",
    "task",
    "augment",
    "data.batch_size",
    "trainer.max_epochs",
    "trainer.precision",
    "checkpoint",
)


def checklist(table: ComparisonTable) -> str:
    """Every question that the records answer, as Markdown; ends with a newline."""
    jobs = table.jobs
    sections: Mapping[str, Iterable[str]] = {
        "How was each setting chosen, and within which bounds?": _settings(table),
        "What else must be known to train the same?": _fixed(jobs),
        "Which data, how split, under which licence?": _data(jobs),
        "What are the error bars over?": _error_bars(table),
        "How much was computed, on what?": _compute(jobs),
        "Which runs were made and thrown away?": _thrown_away(table),
        "How is it run again?": _again(jobs),
        "Left to the authors": _open(),
    }
    blocks = [f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines) for title, lines in sections.items()]
    return (
        "\n\n".join([f"# Reproducibility: {escaped(' + '.join(table.sweeps) or 'no readable record')}", *blocks]) + "\n"
    )


def _settings(table: ComparisonTable) -> Iterable[str]:
    values: dict[str, dict[str, None]] = {}
    for job in table.jobs:
        for key, text in experiment_overrides(job.record).items():
            values.setdefault(key, {})[text.partition("=")[2]] = None
    swept = {key: list(found) for key, found in values.items() if len(found) > 1}
    for key, found in swept.items():
        numbers = _numbers(found)
        bounds = f", from {min(numbers):g} to {max(numbers):g}" if numbers else ""
        yield f"`{one_line(key)}`: {plural(len(found), 'value')}{bounds}: {escaped(listed(found, 12))}"
    if not swept:
        yield "no setting was varied but the seed"
    yield f"{plural(len(table.rows), 'group')} in all: {escaped(headline(table))}"
    kept = {job.record.config.get("checkpoint", "best"): job.record.selection_metric for job in table.jobs}
    ways = ["the last one" if way == "last" else f"the best by {metric}" for way, metric in sorted(kept.items())]
    yield f"the epoch that is tested: {escaped(listed(ways))}; the test split decides nothing within a run"


def _fixed(jobs: Sequence[Job]) -> Iterable[str]:
    for key in _FIXED:
        name, _, below = key.partition(".")
        sections = _each_once(job.record.config.get(name) for job in jobs)
        values = [select(section, below, None) if below else section for section in sections]
        found = list(dict.fromkeys(_plain(value) for value in _each_once(values)))
        if found and found != [""]:
            yield f"`{key}`: {escaped(listed(found, 4))}"


def _data(jobs: Sequence[Job]) -> Iterable[str]:
    names = dict.fromkeys(_source(data) for data in _each_once(job.record.config.get("data") for job in jobs))
    for name in names:
        yield f"{escaped(name)}: {KNOWN.get(name, UNKNOWN).cited}"
    for variant in datasets(jobs):
        yield escaped(
            f"{plural(variant.n_jobs, 'job')}: " + "; ".join(f"{key} {value}" for key, value in variant.facts)
        )


def _error_bars(table: ComparisonTable) -> Iterable[str]:
    yield escaped(legend(table))
    if found := sureness_legend(table):
        yield escaped(found)
    rows = [row for row in table.shown() if row.counted]
    by_number: dict[str, list[GroupRow]] = {}
    for row in rows:
        by_number.setdefault(row.averaged_over(table.metric.name) or plural(row.n_finished, "run"), []).append(row)
    for what, mine in by_number.items():
        seeds = sorted({job.record.seed for row in mine for job in row.counted})
        labels = listed([row.label for row in mine], 6)
        yield escaped(f"n = {what} (seeds {listed([str(seed) for seed in seeds], 12)}): {labels}")
    if note := look_note(table):
        yield escaped(note)


def _compute(jobs: Sequence[Job]) -> Iterable[str]:
    for variant in environments(jobs):
        facts = dict(variant.facts)
        shown = [f"{key} {facts[key]}" for key in ("device", "cpu capability", "threads", "platform") if key in facts]
        yield escaped(f"{plural(variant.n_jobs, 'job')} on {', '.join(shown)}")
    spent = [job.record.timings.setup_s + job.record.timings.fit_s + job.record.timings.test_s for job in jobs]
    if spent:
        yield (
            f"{number(sum(spent))} s in all for {plural(len(jobs), 'job')}, those that failed too; "
            f"median {number(median(spent))} s, longest {number(max(spent))} s"
        )
    if memory := [job.record.peak_memory_bytes for job in jobs if job.record.peak_memory_bytes]:
        yield f"most memory of a job: {size(max(memory))}"
    yield "what was computed before these runs and is not among these records is not counted"


def _thrown_away(table: ComparisonTable) -> Iterable[str]:
    jobs = table.jobs
    counted = sum(row.n_finished for row in table.shown())
    yield f"{plural(len(jobs), 'job')}, of which {counted} stand in the numbers"
    others = {
        "failed": sum(job.record.status is Status.FAILED for job in jobs),
        "diverged": sum(job.record.status is Status.DIVERGED for job in jobs),
        "not finished": sum(len(row.pending) for row in table.rows),
        "a repetition of a run that is counted": sum(len(row.repeated) for row in table.rows),
        "of a part of the data only": sum(len(row.partial) for row in table.rows),
        "unreadable": len(table.unreadable),
    }
    yield from (f"{n} {reason}" for reason, n in others.items() if n)
    if again := sum(job.record.attempts > 1 for job in jobs):
        yield f"{plural(again, 'job')} took more than one attempt, each going on from the last checkpoint"
    yield "a folder that was deleted leaves no trace here"


def _again(jobs: Sequence[Job]) -> Iterable[str]:
    for variant in commands(jobs)[:6]:
        yield f"`{one_line(variant.facts[0][1]).replace('`', '')}` ({plural(variant.n_jobs, 'job')})"
    for variant in commits(jobs):
        yield escaped(f"{plural(variant.n_jobs, 'job')} at {variant.facts[0][0]} {variant.facts[0][1]}")
    yield "one run again, compared bit by bit: `python scripts/reproduce.py RUN`"


def _open() -> Iterable[str]:
    yield "where the claims end, and what was not tried"
    yield "consent and personal data in data of one's own"
    yield "compute that was spent before these runs"


def _source(data: Any) -> str:
    target = leaf({"data": data}, "data.source._target_")
    return one_line(target.rpartition(".")[2]) if isinstance(target, str) else "data without a named source"


def _each_once(values: Iterable[Any]) -> list[Any]:
    """Sections of configs, which records of a cache share."""
    return list({id(value): value for value in values}.values())


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        parts = {str(key): found for key, found in value.items() if key != "_partial_"}
        return ", ".join(
            _plain(found).rpartition(".")[2] if key == "_target_" else f"{key}={_plain(found)}"
            for key, found in parts.items()
        )
    return "" if value is None else one_line(value)


def _numbers(texts: Sequence[str]) -> list[float]:
    try:
        found = [float(text) for text in texts]
    except ValueError:
        return []
    return found if all(math.isfinite(value) for value in found) else []
