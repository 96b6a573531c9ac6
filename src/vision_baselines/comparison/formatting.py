"""How counts, seconds, bytes, probabilities and foreign text are written, the same way everywhere.

Text from a config, a class name or an error is foreign: it may hold terminal escapes, marks that reverse the
reading direction, or bytes that are not UTF-8. `printable` makes it safe to print; escaping for HTML or
Markdown is left to those who write these.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from vision_baselines.analysis.multiple import LEVEL

ABSENT = "–"
_TERMINAL_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def printable(text: object) -> str:
    r"""`text` with terminal escapes dropped and other unprintable characters spelled out.

    Newlines and tabs stay.

    >>> printable("a\x1b[31mb\x00c\u202ed")
    'ab\\x00c\\u202ed'
    """
    plain = _TERMINAL_ESCAPE.sub("", str(text).replace("\r\n", "\n"))
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), plain)


def one_line(text: object, length: int = 0) -> str:
    r"""`printable` text on one line, its end cut at `length` characters (0: no limit).

    >>> one_line("loss\n  is nan", length=8)
    'loss is…'
    """
    line = " ".join(printable(str(text).replace("\r", "\n")).split())
    return line if not length or len(line) <= length else line[: length - 1].rstrip() + "…"


def shortened(text: str, length: int) -> str:
    """`text` with its middle left out, so that both ends still tell it apart.

    >>> shortened("optimizer.lr=0.01, model=cnn", 15)
    'optimiz…del=cnn'
    """
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - head - 1) :]}"


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


def plural(n: int, noun: str) -> str:
    """`n` and its noun.

    >>> plural(1, "job"), plural(3, "job"), plural(2, "class"), plural(15, "epoch")
    ('1 job', '3 jobs', '2 classes', '15 epochs')
    """
    hisses = noun.endswith(("s", "x", "z", "sh", "ch")) and not noun.endswith("epoch")
    return f"{n:,} {noun}{'' if n == 1 else 'es' if hisses else 's'}"


def listed(names: Sequence[str], limit: int = 6) -> str:
    """`names` as an enumeration that stops at `limit`.

    >>> listed(["a", "b", "c"]), listed(["a", "b", "c"], limit=2)
    ('a, b, c', 'a, b and 1 more')
    """
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")
