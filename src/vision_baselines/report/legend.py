"""What a reader needs to read the table of groups: how its numbers are meant, and what guessing would reach."""

from __future__ import annotations

from vision_baselines.comparison.chance import largest_class_share
from vision_baselines.comparison.table import ComparisonTable


def legend(table: ComparisonTable) -> str:
    """Two to five sentences."""
    said = [
        "± is the standard deviation over finished jobs.",
        "95% intervals are Student's t over seeds: they say where the mean of many more seeds would be, and nothing "
        "about other test images.",
        "Costs are medians over finished jobs.",
    ]
    if table.best_groups:
        said.insert(0, "Groups are sorted by their mean, the best is bold.")
    if table.baseline is not None:
        unit = "percentage points" if table.metric.is_share else "the metric's unit"
        said.append(f"Differences are paired by seed and in {unit}.")
    shares = {share for row in table.rows for job in row.counted if (share := largest_class_share(job.record))}
    if shares and table.metric.is_accuracy:
        low, high = (f"{100 * share:.2f}%" for share in (min(shares), max(shares)))
        guessed = low if low == high else f"{low} to {high}"
        said.append(f"Always guessing the largest class would be right for {guessed} of the test images.")
    return " ".join(said)
