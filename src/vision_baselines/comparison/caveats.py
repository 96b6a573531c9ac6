"""What a reader must know before believing the table: one sentence each, most serious first.

Nothing here changes a number. A caveat is for what the numbers cannot show: that a mean is one of
survivors, that runs saw different data or versions, that pairs are missing.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from vision_baselines.comparison.chance import balanced_accuracy, is_guessing
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.control import CONTROL_WORDS
from vision_baselines.comparison.decided import is_looked_at, looks
from vision_baselines.comparison.formatting import capital, listed, one_line, plural
from vision_baselines.comparison.grouping import changed_modules, experiment_of, experiment_overrides
from vision_baselines.comparison.kept import kept, kept_with_record
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.outcomes import Outcome, faults, has_predictions, outcomes_of, usable_outcomes
from vision_baselines.comparison.provenance import commits, differing, environments
from vision_baselines.comparison.repetition import Part, differing_test_sets, repetition_of
from vision_baselines.comparison.sequential import Sequential
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.runs.record import RunRecord

_ROUNDING = 1e-6  # of a share in 32 bits


@lru_cache(maxsize=1)  # the page, Markdown and the terminal each ask for those of one table
def caveats(table: ComparisonTable) -> tuple[str, ...]:
    """Every caveat that applies."""
    kinds = (
        _about_controls,
        _about_choice,
        _about_settings_typed_twice,
        _about_fresh_seeds,
        _about_looks,
        _about_data,
        _about_folds,
        _about_guessing,
        _about_jobs,
        _about_predictions,
        _about_pairs,
        _about_surroundings,
    )
    return tuple(caveat for about in kinds for caveat in about(table))


def _about_controls(table: ComparisonTable) -> Iterator[str]:
    for found in table.controls:
        if found.outcome != "at chance":
            yield f"{found.label} {CONTROL_WORDS[found.outcome]}: {found.reason}."


def _about_choice(table: ComparisonTable) -> Iterator[str]:
    choice, selection = table.choice, table.selection
    if len(table.rows) > 1 and table.n_finished and table.not_ranked and not table.controls:
        yield f"Groups are not ranked, and none was chosen: {table.not_ranked}."
    if selection is None:
        return
    unranked = [row.label for row in table.measured if selection.name not in row.metrics]
    if unranked and table.best_groups:
        yield f"Not ranked, since no run has a finite {selection.name}: {listed(unranked, 3)}."
    if choice is None:
        return
    if len(table.best_groups) > 1:
        equal = listed([row.label for row in table.best_groups], 3)
        yield f"{capital(selection.title)} is the same for {equal}; the first of them in the table counts as chosen."
    if table.metric == selection:
        yield f"{choice.label} was chosen by the {table.metric.title} that is shown, so that it is too good."
    elif table.reported is None:
        yield (
            f"{choice.label} was chosen by the runs that its {table.metric.title} is of: a seed's luck is in both "
            "splits, so some optimism about the setting stays (see comparison.fresh_seeds)."
        )
    if table.stale:
        yield f"{plural(len(table.stale), 'run')} on fresh seeds left out: their seeds have chosen since."


def _about_settings_typed_twice(table: ComparisonTable) -> Iterator[str]:
    alike: dict[tuple[str, str], dict[tuple[str, ...], str]] = {}
    for row in table.rows:
        record = row.jobs[0].record
        typed = tuple(experiment_overrides(record).values())
        alike.setdefault((record.sweep, _experiment(record)), {}).setdefault(typed, row.label)
    for labels in alike.values():
        if len(labels) > 1:
            yield (
                f"{listed(list(labels.values()), 4)} are one setting, typed in {len(labels)} ways: they count as "
                f"{len(labels)} settings, and their runs are not put together."
            )


@kept_with_record
def _experiment(record: RunRecord) -> str:
    return json.dumps(experiment_of(record), sort_keys=True, default=str)


def _about_fresh_seeds(table: ComparisonTable) -> Iterator[str]:
    if table.fresh or not table.n_finished or len(table.ranked()) > 1:
        return
    if any((job.record.config.get("comparison") or {}).get("fresh_seeds") for job in table.jobs):
        yield (
            "comparison.fresh_seeds: no setting is trained on fresh seeds, since none was chosen: "
            f"{why_none_is_chosen(table)}."
        )


def why_none_is_chosen(table: ComparisonTable) -> str:
    """Why no group of a table is chosen that has fewer than two to choose among."""
    n = len(table.ranked())
    if table.search is not None and table.rows and table.not_candidates == {row.label for row in table.rows}:
        best = table.search.front()[0].number
        return (
            f"the jobs of trial {best}, the best, are not all in one group, as when their code differs; "
            "rerun=true runs them again"
        )
    return table.not_ranked or f"{n} of {plural(len(table.rows), 'group')} can be ranked, and a choice needs two"


def _about_looks(table: ComparisonTable) -> Iterator[str]:
    found = table.sequential
    if found is None:
        return
    tested = {row.label for row in table.rows if row.difference and row.difference.is_tested}
    if not is_looked_at(table) or table.series or tested:
        yield (
            f"Seeds were added until comparisons with {found.baseline} by {found.metric} were decided; p-values and "
            "intervals of other comparisons do not account for that, so they look surer than they are."
        )
    yield from _about_missing_pairs(table, found)


def _about_missing_pairs(table: ComparisonTable, found: Sequential) -> Iterator[str]:
    """What was decided stays decided; but runs that a look was at may be gone since, or be of other code now."""
    baseline = next((row.values(table.metric.name) for row in table.rows if row.label == found.baseline), {})
    fewer = []
    for look in looks(table):
        values = next(row.values(table.metric.name) for row in table.rows if row.label == look.comparison)
        here = sum(key in baseline and key.seed < look.seeds for key in values)
        if here < look.n:
            fewer.append(f"{look.comparison} ({here} of {plural(look.n, 'pair')})")
    if fewer:
        yield (
            f"Differences to {found.baseline} are what was decided, though not all of its pairs are among these runs: "
            f"{listed(fewer, 3)}."
        )


def _about_data(table: ComparisonTable) -> Iterator[str]:
    found = differing_test_sets(table.groups)
    if found:
        is_known = found[0].facts[0][0] == "test SHA-256"
        verb, kind = ("were tested on", "test sets") if is_known else ("ran on", "data sets")
        examples = listed([f"{variant.facts[0][1][:12]} ({variant.example})" for variant in found], 3)
        yield f"Jobs {verb} {len(found)} different {kind}, told apart by SHA-256: {examples}."
    for row in table.rows:
        if copies := _most_copies(row.counted):
            what = "test image" if row.counted[0].record.headline_split == "test" else "validation image"
            yield f"{row.label}: {plural(copies, what)} {'is' if copies == 1 else 'are'} in train too."
        if row.is_tested_elsewhere:
            yield f"{row.label} and {table.reference} were not tested on the same images: no difference is computed."


@kept()
def _most_copies(jobs: tuple[Job, ...]) -> int:
    """The most pictures of the test split that a run of a group was trained on."""
    return max((job.record.copies_of_test for job in jobs), default=0)


def _about_folds(table: ComparisonTable) -> Iterator[str]:
    for row in table.rows:
        folds: dict[Part, set[int | None]] = {}
        for part in _parts(row.counted):
            folds.setdefault(part._replace(fold=None), set()).add(part.fold)
        for part, found in folds.items():
            if part.folds is not None and len(found) < part.folds:
                cut = "" if part.split_seed is None else f" of split seed {part.split_seed}"
                yield f"{row.label}: only {len(found)} of {plural(part.folds, 'fold')}{cut} stand in its numbers."
    is_choice = table.selection is not None and len(table.ranked()) > 1
    if is_choice and any(map(_tests_folds, table.groups)):
        yield (
            "Images that are tested in one fold took part in the choice by validation in others: the figures of what "
            "was chosen are a little too good."
        )
    if table.metric.name.startswith("val/") and any(map(_is_cross_validated, table.groups)):
        yield (
            f"{capital(table.metric.title)} is cross-validated: each fold of train and val is measured by nets that "
            "were trained on the others. The test split took no part; report the choice made here on it."
        )


@kept()
def _tests_folds(jobs: tuple[Job, ...]) -> bool:
    return any(repetition_of(job.record).part.folds and job.record.headline_split == "test" for job in jobs)


@kept()
def _is_cross_validated(jobs: tuple[Job, ...]) -> bool:
    return any(job.record.headline_split == "val" for job in jobs)


@kept()
def _parts(jobs: tuple[Job, ...]) -> frozenset[Part]:
    return frozenset(repetition_of(job.record).part for job in jobs)


def _about_guessing(table: ComparisonTable) -> Iterator[str]:
    metric = table.metric
    if table.controls:  # that is what it is for
        return
    rows = [*table.measured, *(row for row in table.fresh if metric.name in row.metrics)]
    guessing = [row for row in rows if metric.is_accuracy and is_guessing(row, row.metrics[metric.name].mean)]
    if guessing:
        labels = [
            f"{row.label} ({metric.written(row.metrics[metric.name].mean)}, "
            f"balanced accuracy {metric.written(balanced_accuracy(row) or 0)})"
            for row in guessing
        ]
        title = capital(metric.title)
        yield (
            f"{title} is no better than always guessing the largest class, to two standard errors over the test "
            f"images, for {listed(labels, 3)}."
        )


def _about_jobs(table: ComparisonTable) -> Iterator[str]:
    metrics = {found.name: found for found in (table.metric, table.selection) if found}
    for row in table.rows:
        if row.failed and row.counted:
            yield (
                f"{row.label}: {len(row.failed)} of {plural(len(row.jobs), 'job')} failed; "
                "its numbers speak of the survivors only."
            )
        if row.repeated:
            yield (
                f"{row.label}: {plural(len(row.repeated), 'job')} repeat a run that is already counted "
                "(same fingerprint and seed) and are left out."
            )
        if row.partial:
            options = listed(sorted({option for job in row.partial for option in job.record.partial}), 3)
            yield f"{row.label}: {plural(len(row.partial), 'partial run')} left out ({options})."
        for name in metrics:
            missing = row.n_finished - (row.metrics[name].n if name in row.metrics else 0)
            if missing and (name == table.metric.name or name in row.metrics):
                yield f"{row.label}: {plural(missing, 'finished job')} without a finite {name}."
            if wrong := _n_impossible(row.counted, metrics[name]):
                yield f"{row.label}: {name} of {plural(wrong, 'job')} is not from 0 to 1, as a share is: it is wrong."
        for caveat, details in _said_of_runs(row.counted).items():
            told = listed(
                [f"{text} ({plural(n, 'job')})" if len(details) > 1 else text for text, n in details.items()], 3
            )
            of = f"in {details.total()} of {plural(len(row.counted), 'job')}"
            yield f"{row.label}: {of}, {caveat}{f': {told}' if told else ''}."
        if mixed := _mixed_settings(row.counted):
            yield f"{row.label} mixes runs that differ in {listed(mixed)}."
    yield from (f"{one_line(fault, length=400)}." for fault in table.unread_plans)
    if unfinished := table.n_unfinished:
        yield f"{plural(unfinished, 'job')} not finished; the numbers change once all are."
    if table.unreadable:
        places = listed([f"{found.place} ({one_line(found.reason)})" for found in table.unreadable], 3)
        yield f"{plural(len(table.unreadable), 'record')} cannot be read: {places}."


def _about_predictions(table: ComparisonTable) -> Iterator[str]:
    if unusable := faults(row.counted for row in table.rows):
        told = listed([one_line(fault, length=300) for fault in unusable], 3)
        yield f"Predictions of {plural(len(unusable), 'run')} cannot be used: {told}."
    if not table.metric.is_accuracy:
        return
    rows = [row.having(table.metric.name) for row in table.measured]
    images: dict[Part, set[bytes]] = {}
    for row in rows if has_predictions(*rows) else ():
        usable = usable_outcomes(row)
        if missing := _n_without_predictions(row.counted):
            of = f"{missing} of {plural(row.n_finished, 'run')} {'has' if missing == 1 else 'have'}"
            rest = f"; its calibration error is of the other {len(usable)} alone" if usable else ""
            yield f"{row.label}: {of} no predictions, so nothing is said of it on other test images{rest}."
        for part, found in _images(row.counted, outcomes_of(row.counted)):
            images.setdefault(part, set()).add(found)
    several = max(map(len, images.values()), default=0)
    if several > 1 and not differing_test_sets(table.groups):
        yield (
            f"Predictions are of {several} different sets of test images though the runs name one: nothing is said of "
            "other test images where they differ."
        )


@kept()
def _n_without_predictions(jobs: tuple[Job, ...]) -> int:
    return sum(job.record.predictions_sha256 is None for job in jobs)


@kept()
def _images(jobs: tuple[Job, ...], outcomes: tuple[Outcome | None, ...]) -> frozenset[tuple[Part, bytes]]:
    """Which images each part of a group was tested on, as far as its predictions say."""
    found = zip(jobs, outcomes, strict=True)
    return frozenset((repetition_of(job.record).part, outcome.images) for job, outcome in found if outcome is not None)


@kept()
def _n_impossible(jobs: tuple[Job, ...], metric: Metric) -> int:
    """How many runs have a value beyond what the metric can be; one that is not finite is another matter."""
    low, high = metric.bounds
    values = [job.record.metrics.get(metric.name, math.nan) for job in jobs]
    return sum(math.isfinite(value) and not low - _ROUNDING <= value <= high + _ROUNDING for value in values)


@kept()
def _said_of_runs(jobs: tuple[Job, ...]) -> dict[str, Counter[str]]:
    """The caveats of a group's runs, those that differ in their details only, which a colon precedes, as one."""
    found: dict[str, Counter[str]] = {}
    for record, caveat in ((job.record, one_line(caveat)) for job in jobs for caveat in job.record.caveats):
        said = caveat
        if record.headline_split == "val":  # what was measured is a fold of validation
            said = caveat.replace("test images", "validation images").replace("test prediction", "prediction")
        head, _, detail = said.partition(": ")
        found.setdefault(head, Counter())[detail] += 1
    return found


def _about_pairs(table: ComparisonTable) -> Iterator[str]:
    compared = [row for row in table.rows if row.difference and row.difference.n]
    for row in compared:
        if row.difference and row.difference.unpaired:
            what = "run" if row.difference.over else "seed"
            yield (
                f"{row.label} against {table.reference}: {plural(row.difference.unpaired, what)} finished on one "
                f"side only and left out of the {plural(row.difference.n, 'pair')}."
            )
    for row in table.measured:
        seeds, runs = len(row.values(table.metric.name)), row.metrics[table.metric.name].n
        if seeds < runs:
            what = "seed" if not row.averaged_over(table.metric.name) else "repetition"
            yield (
                f"{row.label} has several runs of one seed: its {runs} runs are of {plural(seeds, what)}, and those of "
                "one are averaged before intervals and pairs."
            )


def _about_surroundings(table: ComparisonTable) -> Iterator[str]:
    # A job that failed while it was built had not set its threads yet, and stands in no number.
    groups = [row.counted for row in table.rows]
    if facts := differing(environments(groups)):
        shown = listed([f"{name} ({listed([one_line(v, 40) for v in found], 3)})" for name, found in facts.items()])
        yield f"Environments differ in {shown}; results are not comparable bit for bit."
    if facts := differing(commits(groups)):
        yield f"Jobs ran at {len(facts['git commit'])} different states of the code."
    if changed := changed_modules(groups):
        names = sorted(module.removeprefix("vision_baselines.") for module in changed)
        yield f"Jobs ran different code in {listed(names, 5)}."
    if dirty := sum(map(_n_dirty, groups)):
        yield f"{plural(dirty, 'job')} ran with uncommitted changes; the commit alone does not reproduce them."


@kept()
def _n_dirty(jobs: tuple[Job, ...]) -> int:
    return sum(bool(job.record.environment.git_dirty) for job in jobs)


@kept()
def _mixed_settings(jobs: tuple[Job, ...]) -> list[str]:
    """Override keys that do not have one value in all of a group's counted jobs."""
    settings = [experiment_overrides(job.record) for job in jobs]
    keys = sorted({key for overrides in settings for key in overrides})
    return [key for key in keys if len({overrides.get(key) for overrides in settings}) > 1]
