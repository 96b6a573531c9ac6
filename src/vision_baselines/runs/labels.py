"""Tags and notes: what is said of a run, without making another of it.

They lie in the recorded config. A later start that gives others replaces them, also those of a finished run, which is
not trained again; one that gives none keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vision_baselines.runs.record import RunRecord
from vision_baselines.storage.lock import RunLockedError, exclusive

_KEYS = ("tags", "notes")


def with_labels_of(config: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """A config with the tags and notes of an earlier one where it has none of its own.

    >>> with_labels_of({"seed": 0, "tags": None}, {"seed": 1, "tags": ["paper"], "notes": "first"})
    {'seed': 0, 'tags': ['paper'], 'notes': 'first'}
    """
    return {**config, **{key: before[key] for key in _KEYS if config.get(key) is None and key in before}}


def relabel(folder: Path, record: RunRecord, config: Mapping[str, Any], *, is_held: bool) -> None:
    """Give a finished run the tags and notes of `config`, if it gives any, in its record.

    Args:
        folder: The run's folder.
        record: Its record, which is changed too.
        config: What is asked for now.
        is_held: Whether this process holds the folder; if not, it is held meanwhile, and a run that another one holds
            is left as it is.
    """
    asked = {key: config[key] for key in _KEYS if config.get(key) is not None}
    if all(record.config.get(key) == value for key, value in asked.items()):
        return
    record.config = {**record.config, **asked}
    if is_held:
        record.write(folder)
        return
    try:
        with exclusive(folder):
            record.write(folder)
    except RunLockedError:
        return
