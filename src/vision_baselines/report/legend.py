"""What a reader needs to read the table of groups: how its numbers are meant, and what guessing would reach."""

from __future__ import annotations

import math
from functools import lru_cache

from vision_baselines.analysis.multiple import LEVEL
from vision_baselines.comparison.chance import compared_images, largest_class_share, records_alike
from vision_baselines.comparison.evidence import Evidence
from vision_baselines.comparison.formatting import listed, plural
from vision_baselines.comparison.selection import settings_tested
from vision_baselines.comparison.table import ComparisonTable

# An effect is full − without, a group's difference is the group − the full run.
OTHER_SIGN = (
    "The difference of a group without a part to the full run is minus what the part is worth: −1 in the table of "
    "groups is +1 in that of parts, and the interval is turned round with it."
)


@lru_cache(maxsize=2)  # the page, Markdown and the checklist each ask for that of one table
def legend(table: ComparisonTable, best: str = "bold") -> str:
    """Two to eight sentences; `best` is how the table shows the best group, in words."""
    is_resampled = any(row.averaged_over(table.metric.name) for row in table.rows)
    said = [
        "± is the standard deviation over finished jobs.",
        "95% intervals are Student's t over folds or split seeds, the seeds of each averaged, with a variance that is "
        "corrected for the images that they share (see Statistics in the project's documentation)."
        if is_resampled
        else "95% intervals are Student's t over seeds: they say where the mean of many more seeds would be on these "
        f"{table.metric.images} images, and nothing about others.",
        "Costs are medians over finished jobs.",
    ]
    if table.best_groups and table.selection is not None:
        shown = "" if table.selection == table.metric else f"; {table.metric.title} ranks nothing"
        said.insert(
            0, f"Groups are sorted by their mean {table.selection.title}, the best first, its value {best}{shown}."
        )
    elif len(table.measured) > 1 and table.not_ranked:
        said.insert(0, f"Groups are not ranked: {table.not_ranked}.")
    if table.reference is not None:
        unit = "percentage points" if table.metric.is_share else "the metric's unit"
        pairs = "paired by seed" + (", split seed and fold" if is_resampled else "")
        if any(row.difference and not row.difference.is_paired for row in table.rows):
            pairs += ", except where groups share none (Welch's t test),"
        said.append(f"Differences are {pairs} and in {unit}.")
    if table.effects and any(row.difference is None for row in table.measured if row.label != table.baseline):
        said.append(
            "Groups without a difference lack several parts, or a part of another setting: what they say stands below."
        )
    if table.family > 1:
        how = "Bonferroni" if table.effects else "Holm"
        said.append(
            f"p-values are corrected ({how}) for the {table.family} comparisons that could have become a claim, and "
            "verdicts follow them."
            + (" So are the intervals of differences, which hold all at once." if table.effects else "")
        )
    if table.effects:
        said.append(OTHER_SIGN)
    counted = [records_alike(row.counted) for row in table.rows]
    shares = {share for records in counted for record in records if (share := largest_class_share(record))}
    if shares and table.metric.is_accuracy:
        low, high = (f"{100 * share:.2f}%" for share in (min(shares), max(shares)))
        guessed = low if low == high else f"{low} to {high}"
        said.append(f"Always guessing the largest class would be right for {guessed} of the test images.")
    if table.metric.images == "test" and (tested := settings_tested(table.groups)):
        where = "this sweep" if len(table.sweeps) == 1 else "these sweeps"
        if len(tested) == 1:
            verb = "has" if tested[0] == 1 else "have"
            said.append(f"{plural(tested[0], 'setting')} {verb} been tested on this test split in {where}.")
        else:
            counts = listed([str(n) for n in tested])
            said.append(f"Settings tested on each of {len(tested)} test splits in {where}: {counts}.")
    images = {size for records in counted for record in records if (size := compared_images(record, table.metric))}
    if images:
        points = " to ".join(dict.fromkeys(f"{100 / size:.2g}" for size in (max(images), min(images))))
        said.append(f"One {table.metric.images} image is {points} points.")
    return " ".join(said)


def sureness_legend(table: ComparisonTable) -> str:
    """What the tables of "How sure" say."""
    said = []
    if any(row.over_images for row in table.rows):
        said.append(
            "Over images: the interval is over seeds and test images together, for other images of this kind. More "
            "seeds cannot shrink the images' share of the variance, only more test images can. Better or worse is said "
            "of other images only where it is said of these."
        )
    elif table.metric.is_accuracy and not any(row.averaged_over(table.metric.name) for row in table.rows):
        said.append("What other test images would say is unknown: it takes 3 runs with predictions.npz.")
    tested = [row.difference for row in table.rows if row.difference and row.difference.is_tested and row.evidence]
    if any(row.evidence and row.evidence.beats for row in table.rows):
        together, apart = (any(of.is_paired is wanted for of in tested) for wanted in (True, False))
        seed = "both get the same new seed" if together else "each gets a new seed of its own"
        if together and apart:
            seed += " (each its own, if groups share none)"
        said.append(
            f"P(beats): the chance that a new run is the better one where {seed}. g: the difference in standard "
            "deviations of a run."
        )
    if any(not difference.over for difference in tested):
        level = f" at the level of {LEVEL:g}"
        if table.family > 1:
            level += f" / {table.family}, the first step of the correction"
        unpaired = " They are not given where groups share no seed." if any(not of.is_paired for of in tested) else ""
        said.append(
            f"Could find: the smallest true difference that so many seeds find{level} with 80% power. Seeds needed: "
            "how many seeds find a difference as large as the one named beside it with that power, if pairs spread as "
            f"these do; with few seeds that is known badly.{unpaired}"
        )
    if any(row.evidence and row.evidence.comparisons > 1 and _has_plain_p(row.evidence) for row in table.rows):
        said.append(
            "p-values that are headed as not corrected are each of one comparison alone; no verdict follows them."
        )
    said.append("What each number means is in the project's documentation, under Statistics (docs/statistics.md).")
    return " ".join(said)


def _has_plain_p(evidence: Evidence) -> bool:
    return math.isfinite(evidence.welch_p) or math.isfinite(evidence.mcnemar_p)
