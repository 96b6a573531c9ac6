"""Looks into resolved configs: single leaves by dotted key, and what sets the groups of a comparison apart.

Two groups named ``model=cnn`` and ``model=fc`` may differ in more than their names say, for instance in a
learning rate that comes with the model. `setting_differences` finds that, so that a report can show it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vision_baselines.runs.dotted import select
from vision_baselines.runs.fingerprint import relevant
from vision_baselines.runs.kept_record import KeptRecord
from vision_baselines.runs.record import RunRecord

# Of sections that records of a cache share: the section itself, so that its identity stays its own, and its settings.
_known_sections: dict[tuple[str, int], tuple[Any, Mapping[str, str]]] = {}
_MOST_SECTIONS = 200_000


def leaf(config: Mapping[str, Any], key: str) -> str | None:
    """The value at a dotted key as text; None if there is none, or if it has keys of its own.

    >>> leaf({"optimizer": {"lr": 0.01, "betas": [0.9, 0.99]}}, "optimizer.betas")
    '[0.9,0.99]'
    """
    value = select(config, key, {})
    return None if isinstance(value, Mapping) else leaf_text(value)


def leaf_text(value: object) -> str:
    """A leaf as Hydra would write it: strings bare, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), default=str)


def setting_differences(groups: Mapping[str, Sequence[RunRecord]]) -> dict[str, dict[str, str]]:
    """Settings that are one value inside each group and not the same value in all.

    Those that vary inside a group, as a seed does, cannot explain a difference between groups and are
    left out; so is what only says where a run is kept, and a copy of a value shown under a shorter key
    with the same ending.

    Args:
        groups: Records of each group, by label.

    Returns:
        For each dotted key, the value in each group that has one, by label.
    """
    values: dict[str, dict[str, set[str]]] = {}
    for label, records in groups.items():
        for section in _sections(records):
            for key, text in section.items():
                values.setdefault(key, {}).setdefault(label, set()).add(text)
    found = {
        key: {label: next(iter(options)) for label, options in by_group.items()}
        for key, by_group in values.items()
        if all(len(options) == 1 for options in by_group.values())
        and (len(by_group) < len(groups) or len(set.union(*by_group.values())) > 1)
    }
    return {key: by_group for key, by_group in sorted(found.items()) if not _is_copy(key, found)}


def _sections(records: Sequence[RunRecord]) -> Iterator[Mapping[str, str]]:
    """The relevant settings of the distinct sections of some configs, as texts by dotted key.

    Records of a cache share the sections that are alike, so that of many records few are looked at.
    """
    distinct = {(key, id(value)): value for record in records for key, value in record.config.items()}
    for (key, identity), value in distinct.items():
        known = _known_sections.get((key, identity))
        if known is None or known[0] is not value:
            texts = {name: leaf_text(found) for name, found in relevant({key: value}).items()}
            if not isinstance(records[0], KeptRecord):  # a config of somebody's own may be changed
                yield texts
                continue
            if len(_known_sections) >= _MOST_SECTIONS:
                _known_sections.clear()
            known = _known_sections[key, identity] = (value, texts)
        yield known[1]


def _is_copy(key: str, found: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether `key` repeats another, as ``classifier.net.width`` does ``model.width``."""
    parts = key.split(".")
    endings = {".".join(parts[start:]) for start in range(2, len(parts))}
    return any(
        values == found[key] and other.partition(".")[2] in endings
        for other, values in found.items()
        if other.count(".") < len(parts) - 1
    )
