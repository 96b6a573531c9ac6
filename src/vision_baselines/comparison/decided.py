"""A comparison whose seeds were added until its groups were decided: its differences say what the looks said.

A t test of all seeds would be wrong here: the seeds ended when the results were clear, so its p-values are too small.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from vision_baselines.analysis.statistics import Conclusion, PairedDifference
from vision_baselines.comparison.part_effects import Interaction, PartEffect
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.sequential import Sequential, SequentialLook
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.errors import ConfigError


def decided(table: ComparisonTable, found: Sequential | None) -> ComparisonTable:
    """The table with what was planned and looked at, if anything was.

    Differences to the baseline that were looked at are those of the last look: its interval, which holds at every look,
    its decision, and no p-value.
    """
    if found is None or not found.looks:
        return table
    table = replace(table, sequential=found)
    if not is_looked_at(table):
        return table
    table = replace(table, equivalence=found.equivalence)
    rows = tuple(_looked_at(row, found.last(row.label), table) for row in table.rows)
    by_runs = {_folders(row): row for row in rows}
    baseline = next((_folders(row) for row in rows if row.label == table.baseline), None)
    effects = tuple(
        _decided_effect(effect, by_runs.get(_folders(effect.without)) if effect.without is not None else None)
        if effect.full is not None and _folders(effect.full) == baseline
        else effect
        for effect in table.effects
    )
    untested = tuple(_untested(interaction) for interaction in table.interactions)
    return replace(table, rows=rows, effects=effects, interactions=untested)


def require_planned_margin(table: ComparisonTable, equivalence: float | None) -> None:
    """Refuse another margin than the looks decided by, which would not be heeded; null asks for none.

    Raises:
        ConfigError: What was planned.
    """
    found = table.sequential
    if found is None or equivalence is None or not is_looked_at(table) or equivalence == found.equivalence:
        return
    planned = "without a margin" if found.equivalence is None else f"with equivalence={found.equivalence:g}"
    raise ConfigError(
        f"equivalence is {equivalence:g}, and seeds were added until comparisons with {found.baseline} were decided "
        f"{planned}, which cannot be changed afterwards; leave equivalence out"
    )


def is_looked_at(table: ComparisonTable) -> bool:
    """Whether the table compares by the metric and with the baseline that seeds were added for."""
    found = table.sequential
    return found is not None and found.metric == table.metric.name and found.baseline == table.baseline


def looks(table: ComparisonTable) -> list[SequentialLook]:
    """The last look at every group of the table that was looked at."""
    found = table.sequential if is_looked_at(table) else None
    latest = [found.last(row.label) for row in table.rows] if found else []
    return [look for look in latest if look is not None]


def _folders(row: GroupRow) -> frozenset[Path]:
    return frozenset(job.folder for job in row.counted)


def _decided_effect(effect: PartEffect, row: GroupRow | None) -> PartEffect:
    """The effect that the last look showed at the group without it, whose difference is the other way round."""
    found = row.difference if row is not None else None
    if effect.full is None or effect.difference is None or found is None or math.isfinite(found.p_value):
        return effect
    conclusion: Conclusion = found.conclusion
    if conclusion in ("larger", "smaller"):
        conclusion = "smaller" if conclusion == "larger" else "larger"
    difference = replace(found, mean=-found.mean, ci_low=-found.ci_high, ci_high=-found.ci_low, conclusion=conclusion)
    full = replace(effect.full, difference=difference, evidence=row.evidence if row is not None else None)
    return replace(effect, full=full, low=-found.ci_high, high=-found.ci_low, is_decided=True)


def _untested(interaction: Interaction) -> Interaction:
    """The interaction without its test: its seeds ended when something else was clear."""
    difference = replace(
        interaction.difference, ci_low=math.nan, ci_high=math.nan, p_value=math.nan, p_corrected=math.nan
    )
    if difference.conclusion in ("larger", "smaller"):
        difference = replace(difference, conclusion="not distinguishable")
    return replace(interaction, difference=difference, low=math.nan, high=math.nan, is_decided=True)


def _looked_at(row: GroupRow, look: SequentialLook | None, table: ComparisonTable) -> GroupRow:
    before = row.difference
    if look is None or before is None or look.low is None or look.high is None or look.mean is None:
        return row
    conclusion: Conclusion = "equal" if look.decision == "equal" else "not distinguishable"
    if look.decision in ("better", "worse"):
        conclusion = "larger" if (look.decision == "better") is not table.metric.lower_is_better else "smaller"
    found: PairedDifference = replace(
        before,
        n=look.n,
        unpaired=look.seeds - look.n,
        mean=look.mean,
        ci_low=look.low,
        ci_high=look.high,
        p_value=math.nan,
        p_corrected=math.nan,
        conclusion=conclusion,
    )
    margin = None if table.equivalence is None else table.metric.unscaled(table.equivalence)
    evidence = row.evidence and replace(row.evidence.without_tests(), margin=margin)
    return replace(row, difference=found, evidence=evidence)
