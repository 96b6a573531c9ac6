"""What the page says of a search: what was chosen on what, and its trials, the best first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from vision_baselines.comparison.formatting import ABSENT, listed, plural
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.search import Search, SearchTrial, settings_text
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.report.columns import Column, plain_column

TITLE = "Search"
_TONES = {"failed": "bad", "pruned": "quiet", "running": "quiet"}
_SAMPLERS = {
    "tpe": "a tree-structured Parzen estimator",
    "gp": "a Gaussian process",
    "random": "chance",
    "grid": "going through the grid",
}
_PRUNERS = {
    "median": "a run or a trial was stopped where it was behind the median of the trials before it, at the same epoch "
    "of the same seed, or after the same number of seeds",
    "wilcoxon": "a trial was stopped where Wilcoxon's signed-rank test over its seeds put it behind the best trial",
    "none": "no trial was stopped",
}


@dataclass(frozen=True)
class SearchSection:
    """What the template is filled with."""

    note: str
    columns: list[Column[SearchTrial]]
    trials: list[SearchTrial]
    narrow: tuple[str, ...]


def search_section(table: ComparisonTable) -> SearchSection | None:
    """The section of a sweep that searched; None for another."""
    search = table.search
    if search is None or not search.trials:
        return None
    narrow = ("trial", next(iter(search.objectives)), "settings")
    return SearchSection(search_note(table), trial_columns(search), trials_best_first(search), narrow)


def search_note(table: ComparisonTable) -> str:
    """What was searched, how, and what was chosen on what, in a few sentences."""
    search = table.search
    if search is None:
        return ""
    counts = Counter(trial.state for trial in search.trials)
    states = ", ".join(f"{n} {state}" for state, n in sorted(counts.items()))
    goals = listed(
        [f"{name} ({'higher' if mode == 'max' else 'lower'} is better)" for name, mode in search.objectives.items()]
    )
    said = [
        f"{plural(len(search.trials), 'trial')} of {search.wanted} ({states}), chosen by {_SAMPLERS[search.sampler]} "
        f"(sampler_seed={search.sampler_seed}) for {goals}",
        f"A trial is {_a_trial(search)}; {_PRUNERS[search.pruner]}",
        _choice(table, search),
    ]
    return ". ".join(said) + "."


def _a_trial(search: Search) -> str:
    if len(search.seeds) == 1:
        return f"a run on seed {search.seeds[0]}"
    return f"the mean over seeds {listed([str(seed) for seed in search.seeds])}"


def _choice(table: ComparisonTable, search: Search) -> str:
    front = search.front()
    if not front:
        return "Nothing is chosen: no trial is complete"
    if len(search.objectives) > 1:
        numbers = listed([str(trial.number) for trial in front], 10)
        count = plural(len(front), "trial")
        return f"Nothing is chosen: {count} ({numbers}) are on the front, where no other is better in every objective"
    [(name, _)] = search.objectives.items()
    n = len(search.of_state("complete"))
    if table.choice is None:
        return f"Trial {front[0].number} is the best by {name}, but nothing is chosen: {table.not_ranked}"
    fresh = sorted({job.record.seed for job in table.reported.counted}) if table.reported else []
    reported = (
        f"; it was then trained on seeds {listed([str(seed) for seed in fresh])}, which chose nothing, and these are "
        "what its test metric is reported of"
        if fresh
        else ""
    )
    among = plural(n, "complete trial")
    return f"Trial {front[0].number} was chosen by {name} among {among}, and no test metric chose{reported}"


def trials_best_first(search: Search) -> list[SearchTrial]:
    """Complete trials by the first objective, the best first, those of a front before them; then the others."""
    front = {trial.number for trial in search.front()}
    sign = -1 if next(iter(search.objectives.values())) == "max" else 1
    complete = sorted(search.of_state("complete"), key=lambda one: (one.number not in front, sign * one.values[0]))
    order = ("running", "pruned", "failed")
    rest = [trial for trial in search.trials if trial.state != "complete"]
    return complete + sorted(rest, key=lambda one: (order.index(one.state), one.number))


def trial_columns(search: Search) -> list[Column[SearchTrial]]:
    """Number, state, objectives, settings, and why a trial did not come to its end."""
    front = {trial.number for trial in search.front()}
    columns = [
        plain_column("trial", "trial", str, lambda trial: trial.number),
        Column[SearchTrial](
            "state",
            "state",
            lambda trial: trial.state,
            is_number=False,
            tone=lambda trial: "best" if trial.number in front else _TONES.get(trial.state, ""),
        ),
    ]
    for place, (name, mode) in enumerate(search.objectives.items()):
        columns.append(_value_column(place, Metric(name, mode)))
    if len(search.seeds) > 1:
        columns.append(plain_column("seeds", "seeds", str, lambda trial: len(trial.seeds)))
    columns.append(Column("settings", "settings", lambda trial: settings_text(trial.settings), is_number=False))
    if any(trial.reason for trial in search.trials):
        columns.append(Column("reason", "why it ended", lambda trial: trial.reason or ABSENT, is_number=False))
    return columns


def _value_column(place: int, metric: Metric) -> Column[SearchTrial]:
    def value(trial: SearchTrial) -> float | None:
        return trial.values[place] if place < len(trial.values) else None

    return Column(metric.name, metric.title, lambda trial: metric.bare(value(trial)), metric.unit, {metric.name: value})
