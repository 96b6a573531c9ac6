"""What a source did on the way from files to splits, for the log, the record and the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SourceReport:
    """What happened beside reading.

    Attributes:
        cut_from: For each split that was cut from another, that other: ``{"val": "train"}``.
        notes: What was taken for what, and what was passed over, a line each.
        left_out: Files that could not be used, with the reason, a line each.
        duplicates: How many pictures occur more than once, by where: ``{"train and test": 3}``; None where the source
            did not look, so that the data module does.
        pixel_max: White in 16-bit pictures, where there were any.
    """

    cut_from: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    duplicates: Mapping[str, int] | None = None
    pixel_max: int | None = None


VAL_CUT_FROM_TRAIN = SourceReport(cut_from={"val": "train"})
