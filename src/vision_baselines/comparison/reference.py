"""What the groups of a table are compared with: the baseline, or something that another table of the page shows."""

from __future__ import annotations

from collections.abc import Sequence

from vision_baselines.comparison.ablation import Setting
from vision_baselines.comparison.grouping import Group, find_group
from vision_baselines.comparison.part_effects import PartEffect
from vision_baselines.comparison.rows import GroupRow

DEFAULT_BASELINE = "model=fc"


def baseline_of(groups: Sequence[Group], wanted: str | None, settings: Sequence[Setting]) -> str | None:
    """The group that is asked for, else ``model=fc`` if it is there; in an ablation it is one of full runs."""
    if wanted is not None:
        return find_group(groups, wanted).label
    full = {job.folder for setting in settings if setting.full is not None for job in setting.full.jobs}
    of_full = [group.label for group in groups if all(job.folder in full for job in group.jobs)]
    if DEFAULT_BASELINE in (of_full or [group.label for group in groups]):
        return DEFAULT_BASELINE
    return of_full[0] if of_full else None


def answered_below(
    rows: Sequence[GroupRow], baseline: str | None, settings: Sequence[Setting], effects: Sequence[PartEffect]
) -> frozenset[str]:
    """Groups that lack parts, but for those whose effect is their difference to the baseline.

    What they are compared with is the full run of their own setting, or they are one of the four of an interaction.
    """
    of_baseline = {job.folder for row in rows if row.label == baseline for job in row.jobs}
    shown = {(effect.setting, frozenset(effect.parts)) for effect in effects}
    elsewhere = set()
    for setting in settings:
        is_baseline = setting.full is not None and {job.folder for job in setting.full.jobs} <= of_baseline
        for lacking, row in setting.rows.items():
            if lacking and not (is_baseline and (setting.label, lacking) in shown):
                elsewhere |= {job.folder for job in row.jobs}
    return frozenset(row.label for row in rows if all(job.folder in elsewhere for job in row.jobs))
