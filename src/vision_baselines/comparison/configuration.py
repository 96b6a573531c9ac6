"""Looks into resolved configs: single leaves by dotted key, and what sets the groups of a comparison apart.

Two groups named ``model=cnn`` and ``model=fc`` may differ in more than their names say, for instance in a
learning rate that comes with the model. `setting_differences` finds that, so that a report can show it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.kept import each_once, kept
from vision_baselines.runs.dotted import select
from vision_baselines.runs.fingerprint import relevant
from vision_baselines.runs.kept_record import KeptRecord

ABSENT: Final = object()
"""Stands for the section that a config does not have."""

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


def setting_differences(groups: Mapping[str, Sequence[Job]]) -> dict[str, dict[str, str]]:
    """Settings that are one value inside each group and not the same value in all.

    Those that vary inside a group, as a seed does, cannot explain a difference between groups and are
    left out; so is what only says where a run is kept, and a copy of a value shown under a shorter key
    with the same ending.

    Args:
        groups: Jobs of each group, by label.

    Returns:
        For each dotted key, the value in each group that has one, by label.
    """
    jobs_of = {label: tuple(jobs) for label, jobs in groups.items()}
    varied = tuple(varied_sections(jobs_of.values()))
    values: dict[str, dict[str, str | None]] = {}
    for label, jobs in jobs_of.items():
        for key, text in _settings(jobs, varied).items():
            values.setdefault(key, {})[label] = text
    found = {
        key: {label: text for label, text in by_group.items() if text is not None}
        for key, by_group in values.items()
        if None not in by_group.values() and (len(by_group) < len(groups) or len(set(by_group.values())) > 1)
    }
    return {key: by_group for key, by_group in sorted(found.items()) if not _is_copy(key, found)}


def varied_sections(groups: Iterable[tuple[Job, ...]]) -> list[str]:
    """The keys of configs whose section is not one object in all jobs of all groups; records of a cache share them."""
    found = list(map(sections_of, groups))
    keys = dict.fromkeys(chain.from_iterable(found))
    of_groups = {key: [sections.get(key, (ABSENT,)) for sections in found] for key in keys}
    return [
        key
        for key, of in of_groups.items()
        if any(len(distinct) > 1 for distinct in of) or len({id(section) for section, *_ in of}) > 1
    ]


@kept()
def sections_of(jobs: tuple[Job, ...]) -> dict[str, list[Any]]:
    """The distinct sections of the configs of some jobs by their key, `ABSENT` where a config has none."""
    configs = [job.record.config for job in jobs]
    keys = dict.fromkeys(chain.from_iterable(configs))
    return {key: each_once([config.get(key, ABSENT) for config in configs]) for key in keys}


@kept()
def _settings(jobs: tuple[Job, ...], sections: tuple[str, ...]) -> dict[str, str | None]:
    """The relevant settings in some sections of a group's configs as texts, None where jobs have several values."""
    found: dict[str, str | None] = {}
    for key in sections:
        for texts in section_texts(jobs, key).values():
            for name, text in texts.items():
                found[name] = text if found.get(name, text) == text else None
    return found


def section_texts(jobs: tuple[Job, ...], key: str) -> dict[int, Mapping[str, str]]:
    """The relevant settings in the section at a key of some jobs' configs, as texts by dotted key.

    By the identity of the section, each once; a config without one has none, at the identity of `ABSENT`.
    """
    is_shared = all(isinstance(job.record, KeptRecord) for job in jobs)
    return {id(section): _texts(key, section, is_shared=is_shared) for section in sections_of(jobs).get(key, [ABSENT])}


def _texts(key: str, section: Any, *, is_shared: bool) -> Mapping[str, str]:
    """The relevant settings of a section as texts by dotted key; of one that records of a cache share they are kept."""
    if section is ABSENT:
        return {}
    known = _known_sections.get((key, id(section)))
    if known is not None and known[0] is section:
        return known[1]
    texts = {name: leaf_text(found) for name, found in relevant({key: section}).items()}
    if is_shared:
        if len(_known_sections) >= _MOST_SECTIONS:
            _known_sections.clear()
        _known_sections[key, id(section)] = (section, texts)
    return texts


def _is_copy(key: str, found: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether `key` repeats another, as ``classifier.net.width`` does ``model.width``."""
    parts = key.split(".")
    endings = {".".join(parts[start:]) for start in range(2, len(parts))}
    return any(
        values == found[key] and other.partition(".")[2] in endings
        for other, values in found.items()
        if other.count(".") < len(parts) - 1
    )
