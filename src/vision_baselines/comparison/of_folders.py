"""From folders of runs to their table: the records, how the sweep compares itself, and what its own files say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter, methodcaller
from pathlib import Path
from typing import Any

from vision_baselines.comparison.ablation import read_ablation
from vision_baselines.comparison.collection import Collection, Records, require_readable
from vision_baselines.comparison.decided import decided
from vision_baselines.comparison.errors import UnknownNameError
from vision_baselines.comparison.kept import each_once
from vision_baselines.comparison.search import read_search
from vision_baselines.comparison.sequential import read_sequential
from vision_baselines.comparison.table import ComparisonTable, tabulate

_CONFIG, _COMPARISON = attrgetter("record.config"), methodcaller("get", "comparison")
_OPTIONS = ("group_by", "metric", "select", "baseline", "over", "chance_level", "equivalence")


def table_of(folders: Sequence[Path], options: Mapping[str, Any] | None = None) -> ComparisonTable:
    """What the runs in `folders` compare; nothing is written.

    Args:
        folders: Sweeps, or folders of sweeps.
        options: As `tabulate` takes them; None takes those that the sweep recorded.

    Raises:
        NoRecordsError: A folder does not exist, or none has a record.
        UnknownNameError: An option names what no record has.
    """
    collection = Records(folders).collected()
    require_readable(collection.jobs, collection.unreadable)
    own = recorded_options(collection) if options is None else {}
    return tabulated(collection, folders, own, options or {})[0]


def tabulated(
    collection: Collection, folders: Sequence[Path], own: Mapping[str, Any], asked: Mapping[str, Any]
) -> tuple[ComparisonTable, Mapping[str, Any]]:
    """The table of what was found in `folders`, and the options it was made with.

    Args:
        collection: What was found.
        folders: Where. Of one sweep by itself it is known what was searched for, left out, or looked at while seeds
            were added.
        own: The sweep's own options, for those that are not asked for; a part of the sweep may lack its baseline, and
            then none of them counts.
        asked: Options that are asked for.
    """
    sweep = folders[0] if len(folders) == 1 else None
    search = read_search(sweep) if sweep is not None else None
    ablation = read_ablation(sweep) if sweep is not None else None
    used = {**own, **asked}
    try:
        table = tabulate(collection, **used, search=search, ablation=ablation)
    except UnknownNameError:
        if not own:
            raise
        used = dict(asked)
        table = tabulate(collection, **used, search=search, ablation=ablation)
    return decided(table, read_sequential(sweep) if sweep is not None else None), used


def recorded_options(collection: Collection) -> dict[str, Any]:
    """How the sweep compares itself, if all of its records agree on that."""
    found = [
        {key: options[key] for key in _OPTIONS if options.get(key) is not None} if options else {}
        for options in each_once(map(_COMPARISON, map(_CONFIG, collection.jobs)))
    ]
    return found[0] if found and all(options == found[0] for options in found) else {}
