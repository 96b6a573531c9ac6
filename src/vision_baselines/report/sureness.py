"""The columns of "How sure": what a difference says beyond its paired test, for other test images and for a single run.

Verdicts are those of `comparison.verdict`; docs/statistics.md says what each number means.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from vision_baselines.analysis.multiple import LEVEL
from vision_baselines.analysis.two_way import OverImages
from vision_baselines.comparison.evidence import Evidence
from vision_baselines.comparison.formatting import ABSENT, is_nonzero, probability
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.comparison.verdict import on_other_images
from vision_baselines.report.columns import Column, p_text

OTHER_IMAGES = (
    "group", "images verdict", "images interval", "images difference interval", "images p",
    "images part",
)  # fmt: skip
SIZE = (
    "group", "verdict", "equal", "p", "raw p", "welch p", "mcnemar p", "correlation", "effect", "beats", "detectable",
    "needed",
)  # fmt: skip
NARROW_SURENESS = ("images verdict", "images interval", "p", "beats", "needed")  # in a narrow window
TERMINAL_SURENESS = ("group", "verdict", "images verdict", "beats", "equal", "detectable", "needed")


def image_columns(table: ComparisonTable) -> list[Column[GroupRow]]:
    """The accuracy and the difference for other test images; none where no group has predictions."""
    metric = table.metric
    if not any(row.over_images or _images(row) for row in table.rows):
        return []
    columns = [
        Column[GroupRow](
            "images interval",
            "95% interval over images",
            lambda row: metric.interval(row.over_images.low, row.over_images.high) if row.over_images else ABSENT,
            metric.unit,
            _fields(f"{metric.name} images", lambda row: row.over_images, ci_low="low", ci_high="high"),
        )
    ]
    if not any(row.evidence and row.difference and row.difference.is_tested for row in table.rows):
        part = _share(f"{metric.name} images", lambda row: row.over_images.images_part if row.over_images else None)
        return [*columns, part]
    name = f"{metric.name} images difference"
    return [
        *columns,
        Column(
            "images verdict",
            "on other images",
            lambda row: on_other_images(row, metric),
            fields={f"{name} conclusion": lambda row: on_other_images(row, metric)},
            is_number=False,
            tone=lambda row: {"better": "good", "worse": "bad"}.get(on_other_images(row, metric), "quiet"),
        ),
        Column(
            "images difference interval",
            "difference, 95% interval over images" + (", not corrected" if table.family > 1 else ""),
            lambda row: metric.interval(found.low, found.high, signed=True) if (found := _images(row)) else ABSENT,
            fields=_fields(name, _images, ci_low="low", ci_high="high", p_value="p_value"),
        ),
        Column(
            "images p",
            "p",
            _p("images_p"),
            fields={f"{name} p_corrected": lambda row: _evidence(row, "images_p")},
        ),
        _share(name, lambda row: found.images_part if (found := _images(row)) else None),
    ]


def size_columns(table: ComparisonTable) -> list[Column[GroupRow]]:
    """How large, how likely and how equal; what so many seeds could have found."""
    metric = table.metric
    points = "points" if metric.is_share else ""
    name = f"{metric.name} difference"

    def of(field: str) -> dict[str, Callable[[GroupRow], Any]]:
        return {f"{name} {field}": lambda row: _evidence(row, field)}

    columns: list[Column[GroupRow]] = []
    several = any(row.evidence and row.evidence.comparisons > 1 for row in table.rows)
    plain = ", not corrected" if several else ""
    if any(row.evidence and math.isfinite(row.evidence.mcnemar_p) for row in table.rows):
        columns.append(
            Column(
                "mcnemar p",
                f"McNemar's p{plain}",
                _p("mcnemar_p"),
                fields=of("mcnemar_p"),
            )
        )
    if not any(row.difference and row.difference.is_tested for row in table.rows):
        return columns
    if table.family > 1:
        columns.append(
            Column("raw p", "p, not corrected", lambda row: p_text(row.difference.p_value if row.difference else None))
        )
    columns += [
        Column("welch p", f"p without pairs{plain}", _p("welch_p"), fields=of("welch_p")),
        Column(
            "correlation",
            "correlation of pairs",
            lambda row: _two(_evidence(row, "correlation")),
            fields=of("correlation"),
        ),
        Column("effect", "effect size g", lambda row: _two(_evidence(row, "effect")), fields=of("effect")),
        Column(
            "beats",
            "P(beats)",
            _beats,
            fields=_fields(
                f"{name} beats",
                lambda row: row.evidence and row.evidence.beats,
                p="probability",
                ci_low="low",
                ci_high="high",
            ),
        ),
        Column(
            "detectable", "could find", lambda row: metric.bare(_evidence(row, "detectable")), points, of("detectable")
        ),
        Column("needed", "seeds needed", lambda row: _needed(row.evidence, metric), fields=of("needed") | of("wanted")),
    ]
    if table.equivalence is not None:
        head = f"equal within {metric.margin(table.equivalence)}"
        columns.append(Column("equal", head, _equal, fields=of("equivalence_p"), is_number=False))
    return [column for column in columns if any(column.write(row) != ABSENT for row in table.rows)]


def is_shown(columns: Sequence[Column[GroupRow]]) -> bool:
    """Whether a table has a column that no other one has."""
    return bool({column.name for column in columns} - {"group", "verdict", "p"})


def _images(row: GroupRow) -> OverImages | None:
    return row.evidence.over_images if row.evidence else None


def _evidence(row: GroupRow, field: str) -> Any:
    return getattr(row.evidence, field, None)


def _fields(name: str, of: Callable[[GroupRow], Any], **attributes: str) -> dict[str, Callable[[GroupRow], Any]]:
    def value(attribute: str) -> Callable[[GroupRow], Any]:
        return lambda row: getattr(of(row), attribute, None)

    return {f"{name} {field}": value(attribute) for field, attribute in attributes.items()}


def _share(name: str, part: Callable[[GroupRow], float | None]) -> Column[GroupRow]:
    def write(row: GroupRow) -> str:
        found = part(row)
        return ABSENT if found is None or not math.isfinite(found) else f"{found:.0%}"

    return Column("images part", "images' share of variance", write, fields={f"{name} part": part})


def _p(field: str) -> Callable[[GroupRow], str]:
    return lambda row: p_text(_evidence(row, field))


def _two(value: float | None) -> str:
    return ABSENT if value is None or not math.isfinite(value) else f"{value:.2f}".replace("-", "−")


def _beats(row: GroupRow) -> str:
    found = row.evidence.beats if row.evidence else None
    if found is None or not math.isfinite(found.probability):
        return ABSENT
    return f"{found.probability:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _needed(evidence: Evidence | None, metric: Metric) -> str:
    """The seeds, and the difference that they find."""
    if evidence is None or not is_nonzero(metric.bare(evidence.wanted)):
        return ABSENT
    seeds = "over 100,000" if evidence.needed is None else f"{evidence.needed:,}"
    return f"{seeds} to find {metric.written_difference(evidence.wanted)}"


def _equal(row: GroupRow) -> str:
    p_value = _evidence(row, "equivalence_p")
    if p_value is None or not math.isfinite(p_value):
        return ABSENT
    return f"yes ({probability(p_value)})" if p_value < LEVEL else "not shown"
