"""How counts, seconds, bytes, probabilities and foreign text are written, the same way everywhere.

Text that can be printed safely is made in `vision_baselines.text`; its names are found here too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vision_baselines.analysis.multiple import LEVEL
from vision_baselines.text import listed as listed
from vision_baselines.text import one_line as one_line
from vision_baselines.text import plural as plural
from vision_baselines.text import printable as printable
from vision_baselines.text import shortened as shortened

ABSENT = "–"


def aligned(rows: Sequence[Sequence[str]], to_the_right: Sequence[bool]) -> list[str]:
    """Rows of cells as lines of text of a fixed width; a row without cells is a rule.

    >>> aligned([["net", "size"], [], ["cnn", "1,234"]], [False, True])
    ['net   size', '──────────', 'cnn  1,234']
    """
    widths = [max(len(row[place]) for row in rows if row) for place in range(len(to_the_right))]
    rule = "─" * (sum(widths) + 2 * len(widths) - 2)
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, to_the_right, strict=True)
        ).rstrip()
        if row
        else rule
        for row in rows
    ]


def number(value: float | None, digits: int = 3) -> str:
    """`value` to `digits` significant digits, without exponent where it can be read without.

    >>> number(1234.5), number(0.012345), number(None)
    ('1,234', '0.0123', '–')
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    if decimals > digits + 3 or abs(value) >= 1e9:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(decimals, 0)}f}"


def count(value: float | None) -> str:
    """A number of things: exact below a million, three digits and a unit above.

    >>> count(61_706), count(5_610_000), count(None)
    ('61,706', '5.61 M', '–')
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    if abs(value) < 1e6:
        return f"{value:,.0f}"
    for limit, unit in ((999.5e6, "M"), (999.5e9, "G"), (999.5e12, "T")):
        if abs(value) < limit:
            return f"{value / (limit / 999.5):.3g} {unit}"
    return f"{value:.2e}"


def size(value_bytes: float | None) -> str:
    """A number of bytes in the largest binary unit that leaves at least 1.

    >>> size(432_013_312), size(900)
    ('412 MiB', '900 B')
    """
    if value_bytes is None or not math.isfinite(value_bytes):
        return ABSENT
    for unit in ("B", "KiB", "MiB"):
        if abs(value_bytes) < 1000:
            return f"{value_bytes:.3g} {unit}"
        value_bytes /= 1024
    return f"{value_bytes:.3g} GiB" if value_bytes < 1000 else f"{value_bytes:,.0f} GiB"


def probability(p_value: float) -> str:
    """A p-value as an equation.

    >>> probability(0.00421), probability(0.0000012), probability(0.2512)
    ('p = 0.004', 'p < 0.001', 'p = 0.25')

    Beside the level it has as many digits as show on which side it is:

    >>> probability(0.0496), probability(0.050004)
    ('p = 0.0496', 'p = 0.050004')
    """
    if not math.isfinite(p_value):
        return ""
    if p_value < 0.001:
        return "p < 0.001"
    digits = 3 if p_value < 0.0995 else 2
    while digits < 12 and p_value != LEVEL and float(f"{p_value:.{digits}f}") == LEVEL:
        digits += 1
    return f"p = {p_value:.{digits}f}"


def is_nonzero(text: str) -> bool:
    """Whether a written number is not zero in the digits that are shown.

    >>> is_nonzero("-0.00"), is_nonzero("−0.01"), is_nonzero("–")
    (False, True, False)
    """
    return any(digit in text.partition("e")[0] for digit in "123456789")


def capital(text: str) -> str:
    """`text` with a capital first letter, the others as they are."""
    return text[:1].upper() + text[1:]
