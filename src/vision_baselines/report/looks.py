"""The table of comparisons that seeds were added for until they were decided, and how to read it."""

from __future__ import annotations

import math

from vision_baselines.analysis.sequential import look_sizes
from vision_baselines.comparison.decided import looks
from vision_baselines.comparison.formatting import ABSENT
from vision_baselines.comparison.sequential import SequentialLook
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.report.columns import Column, plain_column

TITLE = "Seeds until decided"
_TONES = {"better": "good", "worse": "bad"}


def look_columns(table: ComparisonTable) -> list[Column[SequentialLook]]:
    """What the last look at each group showed; empty where no seeds were added until decided."""
    found, metric = table.sequential, table.metric
    if found is None or not looks(table):
        return []
    margin = f" within {metric.margin(found.equivalence)}" if found.equivalence else ""
    words: dict[str, str] = {"equal": f"equal{margin}", "undecided": "cannot tell"}

    def interval(look: SequentialLook) -> str:
        return ABSENT if look.low is None or look.high is None else metric.interval(look.low, look.high, signed=True)

    parts = {
        row.label: row.evidence.over_images.images_part
        for row in table.rows
        if row.evidence and row.evidence.over_images
    }

    def images_part(look: SequentialLook) -> str:
        part = parts.get(look.comparison, math.nan)
        return f"{part:.0%}" if math.isfinite(part) else ABSENT

    columns: list[Column[SequentialLook]] = [
        Column("group", "group", lambda look: look.comparison, is_number=False),
        Column(
            "verdict",
            f"vs {found.baseline}",
            lambda look: words.get(look.decision, look.decision),
            is_number=False,
            tone=lambda look: _TONES.get(look.decision, "quiet"),
        ),
        plain_column("seeds", "after seeds", str, lambda look: look.seeds),
        plain_column("pairs", "pairs", str, lambda look: look.n),
        Column("difference", "difference", lambda look: metric.signed(look.mean)),
        Column("interval", "interval at every look", interval),
    ]
    images = Column[SequentialLook]("images", "images' share of variance", images_part)
    return [*columns, images] if any(map(math.isfinite, parts.values())) else columns


def look_note(table: ComparisonTable) -> str:
    """How the looks are meant, in a few sentences."""
    found = table.sequential
    if found is None:
        return ""
    n = len(found.comparisons)
    of = "all looks" if n == 1 else f"all looks at {n} comparisons"
    sizes = ", ".join(map(str, look_sizes(found.max_seeds)))
    return (
        f"Seeds were added to the groups that were not decided after {sizes} seeds. Each look is a paired t test at "
        f"{found.level:.2%}, with which {of} together err in at most {found.alpha:.0%} of sweeps; the intervals hold "
        "at every look at once. This is about these test images; for others, the images' share of the variance stays "
        "however many seeds there are."
    )
