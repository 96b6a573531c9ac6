"""From records to a comparison: a row per group, each paired with a baseline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, combinations, product

from vision_baselines.comparison.ablation import Ablation, settings_of
from vision_baselines.comparison.collection import Collection, Job, Unreadable
from vision_baselines.comparison.control import Control, control_of
from vision_baselines.comparison.errors import UnknownNameError
from vision_baselines.comparison.evidence import examined, over_images
from vision_baselines.comparison.grouping import Group, group_jobs, sweeps_of
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.part_effects import (
    Interaction,
    PartEffect,
    claimed,
    effects_of,
    interactions_of,
    with_interval,
)
from vision_baselines.comparison.reference import DEFAULT_BASELINE, answered_below, baseline_of
from vision_baselines.comparison.repetition import differing_test_sets
from vision_baselines.comparison.rows import GroupRow, paired, row_of
from vision_baselines.comparison.search import Search
from vision_baselines.comparison.selection import (
    best_to_worst,
    compared_metric,
    metric_of,
    metrics_of,
    selection_of,
    tasks_of,
)
from vision_baselines.comparison.sequential import Sequential
from vision_baselines.comparison.series import Series, series_over
from vision_baselines.config.selection import SPLIT


@dataclass(frozen=True, eq=False)
class ComparisonTable:
    """All groups in their order, compared by `metric`, against the group `baseline` if there is one.

    `selection`, a metric of the validation split, ranks them. Where it is None nothing is ranked, and `not_ranked` is
    the reason. `fresh` are the runs of chosen groups on seeds that chose nothing, a row a group; `stale` are such runs
    whose seed has been used by a group since.

    Without a baseline the group that was chosen is what the others are compared with: `reference`. p-values are
    corrected for `family` comparisons, and groups that differ by up to `equivalence` (points of a share, else in the
    metric's unit) can be called equal.

    Where a numeric setting `over` was named, `series` has the metric at each of its values. Where a level of chance was
    named, `controls` has what each group with a finished run says as a control. Where seeds were added until groups
    were decided, `sequential` has the plan and the looks (`decided`). Where settings were searched for, `search`
    has the trials, and `not_candidates` are groups without all seeds of a complete trial, which are not ranked. Where
    parts were left out, `effects` and `interactions` are what these are worth, and nothing is chosen.

    `n_not_begun` are jobs that were planned and have left no record; each belongs to a group only once it has.
    `unread_plans` say why nothing is known of such jobs of a sweep.
    """

    rows: tuple[GroupRow, ...]
    metric: Metric
    selection: Metric | None
    metrics: tuple[str, ...]
    baseline: str | None
    sweeps: tuple[str, ...]
    unreadable: tuple[Unreadable, ...] = field(default=())
    over: str | None = None
    series: tuple[Series, ...] = ()
    controls: tuple[Control, ...] = ()
    not_ranked: str = ""
    sequential: Sequential | None = None
    fresh: tuple[GroupRow, ...] = ()
    stale: tuple[Job, ...] = ()
    equivalence: float | None = None
    search: Search | None = None
    not_candidates: frozenset[str] = frozenset()
    effects: tuple[PartEffect, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    n_not_begun: int = 0
    unread_plans: tuple[str, ...] = ()

    @property
    def n_unfinished(self) -> int:
        """Number of jobs that may yet finish: those that run or were interrupted, and those still to begin."""
        return sum(len(row.pending) for row in self.rows) + self.n_not_begun

    @property
    def groups(self) -> list[tuple[Job, ...]]:
        """Every readable job, group by group, those on fresh seeds last."""
        return [*(row.jobs for row in (*self.rows, *self.fresh)), *([self.stale] if self.stale else [])]

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """The same in one, in the order of groups and seeds."""
        return tuple(chain.from_iterable(self.groups))

    @property
    def n_finished(self) -> int:
        """Number of jobs that count, in all groups."""
        return sum(row.n_finished for row in self.rows)

    @property
    def failed(self) -> tuple[Job, ...]:
        """Failed jobs of all groups."""
        return tuple(chain.from_iterable(row.failed for row in self.rows))

    @property
    def measured(self) -> list[GroupRow]:
        """Groups that have the metric, in the order of the table."""
        return [row for row in self.rows if self.metric.name in row.metrics]

    def ranked(self) -> list[GroupRow]:
        """Groups that have both metrics, the best mean of `selection` first; equals stay in the order of the table.

        Those that were not tested on the baseline's images are left out: other data is no setting to choose.
        """
        return list(self._ranked)

    @cached_property
    def _ranked(self) -> list[GroupRow]:
        selection = self.selection
        if selection is None:
            return []
        measured = [row for row in self.measured if row.label not in self.not_candidates]
        having = [row for row in measured if selection.name in row.metrics and not row.is_tested_elsewhere]
        if self.search is not None and len(front := self.search.front()) == 1:  # of equals, what the search calls best
            best = _holding(having, front[0].folders)
            having.sort(key=lambda row: row.label != best)
        means = [row.metrics[selection.name].mean for row in having]
        return [having[place] for place in best_to_worst(means, lower_is_better=selection.lower_is_better)]

    def best_first(self) -> list[GroupRow]:
        """All groups as tables show them: those that are ranked, the best first, then the rest."""
        ranked = self.ranked()
        known = set(map(id, ranked))
        return [*ranked, *(row for row in self.rows if id(row) not in known)]

    def shown(self) -> list[GroupRow]:
        """All rows of a table: the groups, the best first, and the runs on fresh seeds."""
        return [*self.best_first(), *self.fresh]

    @property
    def reported(self) -> GroupRow | None:
        """The runs of the chosen group on fresh seeds, where there are some with the metric."""
        choice = self.choice
        label = fresh_label(choice.label) if choice else None
        return next((row for row in self.fresh if row.label == label and self.metric.name in row.metrics), None)

    @property
    def best_groups(self) -> list[GroupRow]:
        """The groups with the best mean of `selection`, of at least two that have one."""
        ranked = self.ranked()
        if self.selection is None or len(ranked) < 2:
            return []
        means = [row.metrics[self.selection.name].mean for row in ranked]
        return [row for row, mean in zip(ranked, means, strict=True) if mean == means[0]]

    @property
    def choice(self) -> GroupRow | None:
        """The group that was chosen among several.

        Of two, one of them the baseline, the other was meant beforehand, unless one was trained on fresh seeds.
        """
        ranked = self.ranked()
        is_given = not self.fresh and len(self.measured) == 2 and self.baseline in {row.label for row in self.measured}
        is_given |= bool(self.controls or self.effects)
        return ranked[0] if len(ranked) > 1 and not is_given else None

    @property
    def reference(self) -> str | None:
        """Label of the group that differences are to: the baseline, else the one that was chosen."""
        choice = self.choice if self.baseline is None else None
        return choice.label if choice is not None else self.baseline

    @property
    def family(self) -> int:
        """Comparisons that could have become a claim, for which p-values are corrected; 0 where none was tested."""
        lines = [row for line in self.series for _, row in line.rows]
        lines += [effect.full for effect in self.effects if effect.full]
        return max((row.evidence.family for row in (*self.rows, *lines) if row.evidence), default=0)


def fresh_label(label: str) -> str:
    """What the runs of a group on fresh seeds are called."""
    return f"fresh seeds of {label}"


def tabulate(
    collection: Collection,
    *,
    group_by: Sequence[str] | str | None = None,
    metric: str | None = None,
    select: str | None = None,
    baseline: str | None = None,
    over: str | None = None,
    chance_level: float | str | None = None,
    equivalence: float | None = None,
    search: Search | None = None,
    ablation: Ablation | None = None,
) -> ComparisonTable:
    """Group the jobs, summarise each group and pair it with the baseline, else with the chosen group, seed by seed.

    Args:
        collection: What was found on the disk.
        group_by: See `group_jobs`.
        metric: The metric that is compared; a finished job must have it. None takes the headline metric of their task.
        select: The metric of the validation split that groups are ranked by; None takes the headline metric of their
            task.
        baseline: Label or settings of a group; None takes the group ``model=fc`` if there is one.
        over: A numeric setting that `series` run over.
        chance_level: Makes every group a control, see `control_of`.
        equivalence: Difference within which two groups are equal, in points of a share, else in the metric's unit.
        search: The search that the runs belong to.
        ablation: The parts that some of the runs lack.

    Raises:
        UnknownNameError: A key, metric or baseline that no job has, or an `over` that is no number.
        ConfigError: `select` is no metric of the validation split, or the jobs do not agree which end of the metric is
            better.
    """
    planned = [typed for typed in collection.not_begun if all("=" in text for text in typed)]  # no trial of a search
    groups, fresh, stale = _split(group_jobs(collection.jobs, group_by, planned=planned))
    members = [*(group.jobs for group in (*groups, *fresh)), stale]
    names = metrics_of(members)
    compared = compared_metric(members, metric)
    metric = compared.name
    if names and metric not in names:
        raise UnknownNameError.of("metric", metric, names)
    selection, not_ranked = selection_of(members, select)
    settings = settings_of(ablation, collection.jobs, compared) if ablation is not None else []
    chosen = baseline_of(groups, baseline, settings)
    tasks = tasks_of(members)
    shown = {metric, *(f"{SPLIT}{task.headline}" for task in tasks), selection.name if selection else ""}
    summarised = [name for name in names if not name.startswith("val/") or name in shown]
    modes = {name: metric_of(tasks, name) or Metric(name) for name in summarised}

    def row(group: Group) -> GroupRow:
        found = row_of(group, modes)
        return replace(found, over_images=over_images(found, compared))

    plain = [row(group) for group in groups]
    counted = [job for one in plain for job in one.counted]
    has_reference = any(row.label == chosen and row.counted for row in plain)
    if selection is not None and not has_reference and differing_test_sets(one.counted for one in plain):
        selection, not_ranked = None, "they were not tested on the same images"
    table = ComparisonTable(
        rows=tuple(plain),
        metric=compared,
        selection=selection,
        metrics=tuple(summarised),
        baseline=chosen,
        sweeps=tuple(sorted(set(sweeps_of(collection.jobs)))),
        unreadable=collection.unreadable,
        over=over,
        series=series_over(counted, over, metric=compared, group_by=group_by, baseline=baseline or DEFAULT_BASELINE)
        if over is not None and counted
        else (),
        controls=tuple(found for one in plain if (found := control_of(one, chance_level, compared)))
        if chance_level is not None
        else (),
        not_ranked=not_ranked,
        fresh=tuple(row(group) for group in fresh),
        stale=stale,
        equivalence=equivalence,
        search=search,
        not_candidates=_not_candidates(plain, search),
        effects=tuple(effects_of(ablation, settings, compared)) if ablation is not None else (),
        interactions=tuple(interactions_of(ablation, settings, compared)) if ablation is not None else (),
        n_not_begun=len(collection.not_begun),
        unread_plans=collection.unread_plans,
    )
    return _compared(
        table,
        answered_below(table.rows, chosen, settings, table.effects) if baseline is None else frozenset(),
        ablation.n_claims if ablation is not None else 0,
    )


def _not_candidates(rows: Sequence[GroupRow], search: Search | None) -> frozenset[str]:
    """Groups that hold no trial which came to its end with all its seeds: their mean is of the seeds that they got.

    Where the best trial is in no one group, as when its seeds ran as different code, no group can be chosen for it.
    """
    complete = search.of_state("complete") if search else []
    if search is None or not complete:
        return frozenset()
    whole = {trial.number: label for trial in complete if (label := _holding(rows, trial.folders))}
    front = search.front()
    if len(search.objectives) == 1 and front[0].number not in whole:
        whole = {}
    return frozenset(row.label for row in rows) - frozenset(whole.values())


def _holding(rows: Sequence[GroupRow], folders: Sequence[str]) -> str | None:
    """The group that all these jobs are in."""
    return next((row.label for row in rows if {*folders} <= {job.folder.name for job in row.jobs}), None)


def _compared(table: ComparisonTable, not_here: frozenset[str], n_claims: int) -> ComparisonTable:
    """With the differences of all groups and lines to their references, corrected as the claims of one page.

    Groups of `not_here` are compared with something else, or are a part of another question. `n_claims` effects and
    interactions were planned: what has no runs yet counts, so that no interval widens when they come.
    """
    metric = table.metric
    reference = next((row for row in table.rows if row.label == table.reference), None)
    references = [None if row.label in not_here else reference for row in table.rows]
    rows = [paired(row, metric, other) for row, other in zip(table.rows, references, strict=True)]
    of_parts = [(effect.full, effect.without) for effect in table.effects if effect.full and effect.without]
    lines = {line.label: dict(line.rows) for line in table.series}
    points = [(row, lines.get(line.baseline or "", {}).get(x)) for line in table.series for x, row in line.rows]
    possible: Iterable[tuple[GroupRow, GroupRow]] = ()
    if table.baseline is None and reference is not None:  # any of the ranked could have been chosen, to stand here
        ranked = table.ranked()
        known = set(map(id, ranked))
        rest = [row for row in table.measured if id(row) not in known and not row.is_tested_elsewhere]
        possible = chain(combinations(ranked, 2), product(ranked, rest))
    found = examined(
        [*rows, *(row for row, _ in points), *(full for full, _ in of_parts)],
        [*references, *(other for _, other in points), *(without for _, without in of_parts)],
        metric,
        margin=None if table.equivalence is None else metric.unscaled(table.equivalence),
        possible=possible,
        beside=n_claims - sum(full.difference.is_tested for full, _ in of_parts if full.difference),
        single_step=bool(table.effects),
    )
    along = iter(found[len(rows) :])
    series = tuple(replace(line, rows=tuple((x, next(along)) for x, _ in line.rows)) for line in table.series)
    effects = tuple(with_interval(effect, next(along)) if effect.has_both else effect for effect in table.effects)
    table = replace(table, rows=tuple(found[: len(rows)]), series=series, effects=effects)
    family = max(table.family, n_claims, 1)
    return replace(table, interactions=tuple(claimed(of, family) for of in table.interactions))


def _split(groups: Sequence[Group]) -> tuple[list[Group], list[Group], tuple[Job, ...]]:
    """The groups of the runs that choose, those of the runs that chose nothing, and runs that are neither."""
    if not any(job.is_fresh for group in groups for job in group.jobs):
        return list(groups), [], ()
    ordinary = [replace(group, jobs=tuple(job for job in group.jobs if not job.is_fresh)) for group in groups]
    ordinary = [group for group in ordinary if group.jobs]
    if not ordinary:  # the folder of fresh seeds alone
        return list(groups), [], ()
    used = {job.record.seed for group in ordinary for job in group.jobs}
    fresh, stale = [], []
    for group in groups:
        jobs = [job for job in group.jobs if job.is_fresh]
        stale += [job for job in jobs if job.record.seed in used]
        if kept := tuple(job for job in jobs if job.record.seed not in used):
            fresh.append(replace(group, label=fresh_label(group.label), jobs=kept))
    return ordinary, fresh, tuple(stale)
