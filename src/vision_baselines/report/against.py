"""Tables of what an accuracy is read against, and of each class's recall."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from vision_baselines.comparison.formatting import ABSENT, count, one_line
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.read_against import ClassRecall, class_recalls, read_against
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.report.columns import Column, plain_column
from vision_baselines.tasks.names import ACCURACY, is_accuracy

READ_AGAINST = (
    "group", "mean", "largest class", "balanced accuracy", "macro F1", "lowest recall", "calibration error",
    "one test image",
)  # fmt: skip
NARROW_READ_AGAINST = READ_AGAINST[:5]  # in a narrow window
CLASSES_SHOWN = 30


@dataclass(frozen=True)
class RecallRow:
    """A class, and its recall in each group by the group's label; None where a group was not tested on it."""

    name: str
    recalls: dict[str, ClassRecall | None]


def why_not_read_against(table: ComparisonTable) -> str:
    """Why the page has no section on what the accuracy is read against; empty where no accuracy is compared."""
    if table.metric.is_accuracy:
        return "it is computed from the confusion matrix on the test images, and no finished run has one"
    is_share = is_accuracy(f"test/{table.metric.quantity}")
    return f"it is computed from test predictions, and this page compares {table.metric.title}" if is_share else ""


def read_against_columns(table: ComparisonTable) -> list[Column[GroupRow]]:
    """What an accuracy is read against; none where no counted run has a confusion matrix with an image."""
    rows = {row.label: row for row in table.shown()}
    found = cache(lambda label: read_against(rows[label]))  # once, where a column is shown at all
    metric = Metric(ACCURACY)

    def lowest(row: GroupRow) -> str:
        known = found(row.label)
        if known is None:
            return ABSENT
        of = known.lowest
        return f"{one_line(of.name, 24)}: {metric.bare(of.recall)} {metric.interval(of.low, of.high)}"

    def share(name: str, heading: str, part: str, unit: str = metric.unit) -> Column[GroupRow]:
        return plain_column(name, heading, metric.bare, lambda row: getattr(found(row.label), part, None), unit=unit)

    def of_lowest(part: str) -> Callable[[GroupRow], Any]:
        return lambda row: getattr(getattr(found(row.label), "lowest", None), part, None)

    if all(found(label) is None for label in rows):
        return []
    return [
        share("balanced accuracy", "balanced accuracy", "balanced_accuracy"),
        share("largest class", "largest class", "largest_class"),
        share("macro F1", "macro F1", "macro_f1"),
        Column(
            "lowest recall",
            "lowest recall, 95% interval",
            lowest,
            metric.unit,
            {
                "lowest_recall_class": of_lowest("name"),
                "lowest_recall": of_lowest("recall"),
                "lowest_recall ci_low": of_lowest("low"),
                "lowest_recall ci_high": of_lowest("high"),
            },
        ),
        share("calibration error", "calibration error (ECE)", "calibration_error"),
        share("one test image", "one test image", "one_image", unit="points"),
    ]


def recall_rows(shown: Sequence[GroupRow]) -> list[RecallRow]:
    """The classes of some groups, in the order of the first that has them; a class that one lacks is absent there."""
    found = {row.label: {recall.name: recall for recall in class_recalls(row)} for row in shown}
    names = dict.fromkeys(name for recalls in found.values() for name in recalls)
    return [RecallRow(name, {label: recalls.get(name) for label, recalls in found.items()}) for name in names]


def lowest_recalls(rows: Sequence[RecallRow]) -> list[RecallRow]:
    """Of many classes, those that the first group knows worst, in the order of the classes."""

    def recall(row: RecallRow) -> float:
        return next((of.recall for of in row.recalls.values() if of is not None), math.inf)

    kept = {row.name for row in sorted(rows, key=recall)[:CLASSES_SHOWN]}
    return [row for row in rows if row.name in kept]


def recall_columns(shown: Sequence[GroupRow]) -> list[Column[RecallRow]]:
    """A class, its test images, and each group's recall with its interval."""
    metric = Metric(ACCURACY)

    def written(label: str, row: RecallRow) -> str:
        of = row.recalls[label]
        return ABSENT if of is None else f"{metric.bare(of.recall)} {metric.interval(of.low, of.high)}"

    def images(row: RecallRow) -> str:
        counts = {of.n_images for of in row.recalls.values() if of is not None}
        return count(counts.pop()) if len(counts) == 1 else ABSENT

    return [
        Column("class", "class", lambda row: one_line(row.name, 40), is_number=False),
        Column("images", "test images", images),
        *(Column(row.label, row.label, partial(written, row.label), metric.unit) for row in shown),
    ]
