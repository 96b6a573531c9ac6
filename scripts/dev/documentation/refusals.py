"""Which values of a key are refused: from the pages of options and of faults, whose rows the tests run."""

from __future__ import annotations

import functools
import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[3] / "docs"
_OPTION = re.compile(r"^\| [^|]+ \| `\+?([\w.]+)=([^`]*)`[^|]*\| refused \| ([^|]*) \|$", re.MULTILINE)
_FAULT = re.compile(
    r"^\| \d+ \| `([\w.]+)=([^`]*)`[^|]* \| `\1 is [^;`|]*; (expected [^`|]*)`.* \| 2 \|$", re.MULTILINE
)


def refusals(key: str) -> list[str]:
    """Sentences on what is refused, in Markdown; none where the pages have no row of this key.

    >>> refusals("trainer.devices")
    ['Refused: `-1`, `[0,1]` (a number, the same on every machine).']
    """
    by_reason: dict[str, list[str]] = {}
    for value, reason in _rows().get(key, []):
        by_reason.setdefault(reason, []).append(f"`{value}`" if value else "an empty text")
    return [f"Refused: {', '.join(values)}{f' ({reason})' if reason else ''}." for reason, values in by_reason.items()]


@functools.cache
def _rows() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for page, pattern in (("options.md", _OPTION), ("development/faults.md", _FAULT)):
        for key, value, reason in pattern.findall((DOCS / page).read_text(encoding="utf-8")):
            found.setdefault(key, []).append((value, reason.strip()))
    return found
