"""What reproducibility checklists ask of an experiment (those of NeurIPS, say), filled in from the records.

What records cannot know is left open, in words, rather than guessed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from statistics import median
from typing import Any

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.configuration import ABSENT, leaf, sections_of
from vision_baselines.comparison.formatting import listed, number, one_line, plural, size
from vision_baselines.comparison.grouping import experiment_overrides
from vision_baselines.comparison.kept import each_once, kept
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
    sections: Mapping[str, Iterable[str]] = {
        "How was each setting chosen, and within which bounds?": _settings(table),
        "What else must be known to train the same?": _fixed(table),
        "Which data, how split, under which licence?": _data(table),
        "What are the error bars over?": _error_bars(table),
        "How much was computed, on what?": _compute(table),
        "Which runs were made and thrown away?": _thrown_away(table),
        "How is it run again?": _again(table),
        "Left to the authors": _open(),
    }
    blocks = [f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines) for title, lines in sections.items()]
    return (
        "\n\n".join([f"# Reproducibility: {escaped(' + '.join(table.sweeps) or 'no readable record')}", *blocks]) + "\n"
    )


def _settings(table: ComparisonTable) -> Iterable[str]:
    values: dict[str, dict[str, None]] = {}
    for key, text in dict.fromkeys(found for jobs in table.groups for found in _overridden(jobs)):
        values.setdefault(key, {})[text.partition("=")[2]] = None
    swept = {key: list(found) for key, found in values.items() if len(found) > 1}
    for key, found in swept.items():
        numbers = _numbers(found)
        bounds = f", from {min(numbers):g} to {max(numbers):g}" if numbers else ""
        yield f"`{one_line(key)}`: {plural(len(found), 'value')}{bounds}: {escaped(listed(found, 12))}"
    if not swept:
        yield "no setting was varied but the seed"
    yield f"{plural(len(table.rows), 'group')} in all: {escaped(headline(table))}"
    tested = dict(chain.from_iterable(_tested_epochs(jobs).items() for jobs in table.groups))
    ways = ["the last one" if way == "last" else f"the best by {metric}" for way, metric in sorted(tested.items())]
    yield f"the epoch that is tested: {escaped(listed(ways))}; the test split decides nothing within a run"


@kept()
def _overridden(jobs: tuple[Job, ...]) -> list[tuple[str, str]]:
    """The settings of a group's jobs by key, each once."""
    return list(dict.fromkeys(found for job in jobs for found in experiment_overrides(job.record).items()))


@kept()
def _tested_epochs(jobs: tuple[Job, ...]) -> dict[str, str]:
    """How the epoch that is tested was chosen, and the metric that chooses it."""
    return {job.record.config.get("checkpoint", "best"): job.record.selection_metric for job in jobs}


def _fixed(table: ComparisonTable) -> Iterable[str]:
    for key in _FIXED:
        found = list(dict.fromkeys(chain.from_iterable(_fixed_values(jobs)[key] for jobs in table.groups)))
        if found and found != [""]:
            yield f"`{key}`: {escaped(listed(found, 4))}"


@kept()
def _fixed_values(jobs: tuple[Job, ...]) -> dict[str, list[str]]:
    """What the configs of a group's jobs have at each of these keys, each once."""
    found = {}
    for key in _FIXED:
        name, _, below = key.partition(".")
        values = [select(section, below, None) if below else section for section in _sections(jobs, name)]
        found[key] = list(dict.fromkeys(_plain(value) for value in each_once(values)))
    return found


def _data(table: ComparisonTable) -> Iterable[str]:
    for name in dict.fromkeys(chain.from_iterable(map(_sources, table.groups))):
        yield f"{escaped(name)}: {KNOWN.get(name, UNKNOWN).cited}"
    for variant in datasets(table.groups):
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
        seeds = sorted(frozenset().union(*(_seeds(row.counted) for row in mine)))
        labels = listed([row.label for row in mine], 6)
        yield escaped(f"n = {what} (seeds {listed([str(seed) for seed in seeds], 12)}): {labels}")
    if note := look_note(table):
        yield escaped(note)


@kept()
def _seeds(jobs: tuple[Job, ...]) -> frozenset[int]:
    return frozenset(job.record.seed for job in jobs)


def _compute(table: ComparisonTable) -> Iterable[str]:
    for variant in environments(table.groups):
        facts = dict(variant.facts)
        shown = [f"{key} {facts[key]}" for key in ("device", "cpu capability", "threads", "platform") if key in facts]
        yield escaped(f"{plural(variant.n_jobs, 'job')} on {', '.join(shown)}")
    spent = list(chain.from_iterable(map(_spent, table.groups)))
    if spent:
        yield (
            f"{number(sum(spent))} s in all for {plural(len(spent), 'job')}, those that failed too; "
            f"median {number(median(spent))} s, longest {number(max(spent))} s"
        )
    if memory := max(map(_most_memory, table.groups), default=0):
        yield f"most memory of a job: {size(memory)}"
    yield "what was computed before these runs and is not among these records is not counted"


@kept()
def _spent(jobs: tuple[Job, ...]) -> list[float]:
    """Seconds of each job."""
    return [job.record.timings.total_s for job in jobs]


@kept()
def _most_memory(jobs: tuple[Job, ...]) -> int:
    return max((job.record.peak_memory_bytes or 0 for job in jobs), default=0)


def _thrown_away(table: ComparisonTable) -> Iterable[str]:
    counted = sum(row.n_finished for row in table.shown())
    states = sum(map(_states, table.groups), Counter())
    yield f"{plural(states.total() + table.n_not_begun, 'job')}, of which {counted} stand in the numbers"
    others = {
        "failed": states[Status.FAILED],
        "diverged": states[Status.DIVERGED],
        "not finished": table.n_unfinished,
        "a repetition of a run that is counted": sum(len(row.repeated) for row in table.rows),
        "of a part of the data only": sum(len(row.partial) for row in table.rows),
        "unreadable": len(table.unreadable),
    }
    yield from (f"{n} {reason}" for reason, n in others.items() if n)
    if again := sum(map(_n_resumed, table.groups)):
        yield f"{plural(again, 'job')} took more than one attempt, each going on from the last checkpoint"
    yield "a folder that was deleted leaves no trace here"


@kept()
def _states(jobs: tuple[Job, ...]) -> Counter[Status]:
    return Counter(job.record.status for job in jobs)


@kept()
def _n_resumed(jobs: tuple[Job, ...]) -> int:
    return sum(job.record.attempts > 1 for job in jobs)


def _again(table: ComparisonTable) -> Iterable[str]:
    for variant in commands(table.groups)[:6]:
        yield f"`{one_line(variant.facts[0][1]).replace('`', '')}` ({plural(variant.n_jobs, 'job')})"
    for variant in commits(table.groups):
        yield escaped(f"{plural(variant.n_jobs, 'job')} at {variant.facts[0][0]} {variant.facts[0][1]}")
    yield "one run again, compared bit by bit: `python scripts/reproduce.py RUN`"


def _open() -> Iterable[str]:
    yield "where the claims end, and what was not tried"
    yield "consent and personal data in data of one's own"
    yield "compute that was spent before these runs"


@kept()
def _sources(jobs: tuple[Job, ...]) -> list[str]:
    """What the sources of a group's data are called, each once."""
    targets = [leaf({"data": data}, "data.source._target_") for data in _sections(jobs, "data")]
    return [
        one_line(target.rpartition(".")[2]) if isinstance(target, str) else "data without a named source"
        for target in dict.fromkeys(targets)
    ]


def _sections(jobs: tuple[Job, ...], key: str) -> list[Any]:
    """The distinct sections at a key of some jobs' configs, None where one has none."""
    return [None if section is ABSENT else section for section in sections_of(jobs).get(key, (ABSENT,))]


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
