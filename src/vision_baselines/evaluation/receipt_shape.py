"""Whether a receipt has the parts that it needs, each of its kind, before any of them is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TEXT, _NUMBER, _LIST, _PARTS = "a text", "a number", "a list", "parts with names"
_KINDS: Mapping[str, tuple[type, ...]] = {_TEXT: (str,), _NUMBER: (int, float), _LIST: (list,), _PARTS: (dict,)}
_WHOLE = {"sweep": _TEXT, "metric": _TEXT, "rows": _LIST, "shared": _PARTS, "runs": _PARTS, "sha256": _TEXT}
_ROW = {"group": _TEXT, "runs": _LIST, "mean": _NUMBER, "std": _NUMBER, "n": _NUMBER}


def fault_of_shape(content: Mapping[str, Any], links: Sequence[str]) -> str:
    """What is wrong with a receipt's parts, the first of it, in words that follow the file's name; empty for nothing.

    Args:
        content: As JSON has it.
        links: Of each run's chain.

    >>> fault_of_shape({"sweep": "demo", "metric": 3}, ["data"])
    "its 'metric' is 3; expected a text"
    >>> fault_of_shape({"sweep": "demo", "metric": "test/acc"}, ["data"])
    "it has no 'rows'"
    """
    found = _first_wrong(content, _WHOLE, "it", "its")
    for place, row in enumerate(content["rows"] if not found else (), 1):
        if not isinstance(row, dict):
            return f"its row {place} is {_shown(row)}; expected {_PARTS}"
        found = found or _first_wrong(row, _ROW, f"its row {place}", f"in its row {place}")
        if not found and (odd := sorted(row.keys() - _ROW.keys())):
            found = f"its row {place} has {odd[0]!r}, which no row has"
        names = row["runs"] if not found else []
        unknown = [name for name in names if not isinstance(name, str) or name not in content["runs"]]
        if unknown:
            found = f"its row {place} names the run {_shown(unknown[0])}, which it does not have"
        found = found or ("" if names else f"its row {place} names no run")
    in_rows = {name for row in content["rows"] for name in row["runs"]} if not found else set()
    for name, run in content["runs"].items() if not found else ():
        if name not in in_rows:
            return f"its run {name} is in no row"
        chain = run.get("chain") if isinstance(run, dict) else None
        if not isinstance(chain, list) or len(chain) != len(links):
            return f"its run {name} has no chain of {len(links)} hashes ({', '.join(links)})"
    return found


def _first_wrong(parts: Mapping[str, Any], kinds: Mapping[str, str], subject: str, whose: str) -> str:
    for name, kind in kinds.items():
        if name not in parts:
            return f"{subject} has no {name!r}"
        if not isinstance(parts[name], _KINDS[kind]) or isinstance(parts[name], bool):
            return f"{whose} {name!r} is {_shown(parts[name])}; expected {kind}"
    return ""


def _shown(value: Any) -> str:
    """A value, where it is short and plain; else what it is."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return f"{value:g}"
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else f"{value[:39]}…")
    return _LIST if isinstance(value, list) else _PARTS
