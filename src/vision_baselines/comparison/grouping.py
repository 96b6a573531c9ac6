"""Sorts jobs into the groups that are compared, and names each group by what sets it apart.

Without ``group_by`` a group is everything that was overridden on the command line except the seed, split
seed and fold (the axes of chance), the name and what only says how a sweep is run or shown. An override
that all jobs share tells nothing apart and is left out of the label. If one label covers jobs of several
sweeps, every label is preceded by its sweep, since a sweep's name may stand for other code or other
defaults; ``group_by`` is taken literally
and merges them. A sweep whose folder was renamed is one sweep: see `sweeps_of`.

Runs of one group that used other code (`runs.code`) are a group of their own, unless ``code=ignore``.

Groups are ordered by label, numbers by value (``lr=0.01`` before ``lr=0.1``). The order, and with it each
group's colour, therefore does not depend on results or on which job ended first.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.configuration import leaf
from vision_baselines.comparison.errors import UnknownNameError
from vision_baselines.comparison.formatting import one_line
from vision_baselines.comparison.kept import each_once, kept
from vision_baselines.config.selection import group_keys
from vision_baselines.runs.fingerprint import AXES_OF_CHANCE, is_irrelevant, key_of, relevant
from vision_baselines.runs.record import RunRecord

Settings = tuple[str, tuple[str, ...]]
"""The label of jobs that share their settings, and these."""
_SWEEP, _OVERRIDES = attrgetter("record.sweep"), attrgetter("record.overrides")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)")
_OUTER_COMMA = re.compile(r",\s*(?![^\[({]*[\])}])")


@dataclass(frozen=True)
class Group:
    """Jobs that differ in their seed, split seed and fold only; `parts` are all the settings the group stands for."""

    label: str
    parts: tuple[str, ...]
    jobs: tuple[Job, ...]


def experiment_overrides(record: RunRecord, without: str | None = None) -> dict[str, str]:
    """The overrides that make the experiment what it is, by key, sorted; the last of a key counts."""
    return dict(_latest(tuple(record.overrides), without))


@lru_cache(maxsize=2**15)
def _parts(overrides: tuple[str, ...], without: str | None) -> tuple[str, ...]:
    return tuple(_latest(overrides, without).values())


@lru_cache(maxsize=2**15)
def _latest(overrides: tuple[str, ...], without: str | None) -> dict[str, str]:
    return latest_overrides(overrides, (*AXES_OF_CHANCE, without))


def latest_overrides(overrides: Iterable[str], left_out: Collection[str | None] = AXES_OF_CHANCE) -> dict[str, str]:
    """The same of overrides that need not be recorded yet, without some keys."""
    latest = dict(map(_setting, overrides))
    return {key: text for key, text in sorted(latest.items()) if key not in left_out and not is_irrelevant(key)}


@lru_cache(maxsize=2**15)  # few overrides are of one job alone
def _setting(override: str) -> tuple[str, str]:
    return key_of(override), one_line(override)


def group_jobs(
    jobs: Sequence[Job],
    group_by: Sequence[str] | str | None = None,
    *,
    without: str | None = None,
    planned: Iterable[tuple[str, ...]] = (),
) -> list[Group]:
    """Every job in exactly one group; see the module for names and order.

    Args:
        jobs: The jobs, in any order.
        group_by: Keys of overrides or dotted keys of the config; also ``sweep``, ``name`` and ``seed``.
        without: A key that makes no group.
        planned: Overrides of jobs that are still to come: a group's label says from the beginning what sets it apart.

    Raises:
        UnknownNameError: A key that no job has.
    """
    keys = [key for key in group_keys(group_by) if key != without]
    alike: dict[Settings, list[Job]] = {}
    found = _by_keys(jobs, keys) if keys else _by_overrides(jobs, without, planned)
    for settings, job in zip(found, jobs, strict=True):
        alike.setdefault(settings, []).append(job)
    groups = (_of_settings(*settings, tuple(members)) for settings, members in alike.items())
    return sorted(chain.from_iterable(groups), key=lambda group: natural_order(group.label))


@kept()
def _of_settings(label: str, parts: tuple[str, ...], jobs: tuple[Job, ...]) -> list[Group]:
    """The groups of jobs with the same settings: one, or one for each code that they ran."""
    return [
        Group(f"{label}{note}", (*parts, *([note.strip(", ")] if note else [])), tuple(sorted(members, key=_place)))
        for note, members in by_code(jobs).items()
    ]


def _place(job: Job) -> tuple[int, str]:
    return job.record.seed, job.place


def find_group(groups: Sequence[Group], wanted: str) -> Group:
    """The group with the label `wanted`, or the only one that stands for all settings named in it.

    Raises:
        UnknownNameError: There is no such group, or more than one.
    """
    if len(wanted) > 1 and wanted[0] == wanted[-1] and wanted[0] in "\"'":
        wanted = wanted[1:-1]  # a shell's or Hydra's quotes
    for group in groups:
        if group.label == wanted:
            return group
    settings = settings_named(wanted)
    matching = [group for group in groups if settings <= set(group.parts)]
    if len(matching) == 1:
        return matching[0]
    raise UnknownNameError.of("baseline", wanted, (group.label for group in matching or groups))


def settings_named(text: str) -> set[str]:
    """The settings that a label names, whose values may have commas of their own.

    >>> sorted(settings_named("model.channels=[32,64], model=cnn"))
    ['model.channels=[32,64]', 'model=cnn']
    """
    return {part.strip() for part in _OUTER_COMMA.split(text)}


@lru_cache(maxsize=2**12)
def natural_order(label: str) -> list[tuple[str, float]]:
    """A key that sorts numbers in a label by value.

    >>> sorted(["lr=0.1", "lr=0.01", "lr=1e-3"], key=natural_order)
    ['lr=1e-3', 'lr=0.01', 'lr=0.1']
    """
    pieces = _NUMBER.split(label)
    return [(text, float(number)) for text, number in zip(pieces[::2], [*pieces[1::2], "0"], strict=True)]


def setting_values(jobs: Sequence[Job], key: str, option: str = "group_by") -> list[str]:
    """The value of `key` in each job: from the configs if all have a leaf there, else from the overrides.

    An override says ``1e-3`` where another config says 0.001; the config is one spelling for both. A
    group such as ``model`` is no leaf: there only the override has the name, and a job without it has the
    default.

    Raises:
        UnknownNameError: No job has the key, which `option` named.
    """
    if key in ("sweep", "name", "seed"):
        return [str(getattr(job.record, key)) for job in jobs]
    in_config = [leaf(job.record.config, key) for job in jobs]
    if jobs and all(value is not None for value in in_config):
        return [value or "" for value in in_config]
    overrides = [{key_of(override): override.partition("=")[2] for override in job.record.overrides} for job in jobs]
    if jobs and not any(value is not None for value in in_config) and not any(key in found for found in overrides):
        similar = get_close_matches(key, relevant(jobs[0].record.config), n=5)
        known = {name for found in overrides for name in found} | {"sweep", "name", "seed", *similar}
        raise UnknownNameError.of(option, key, known)
    return [
        found.get(key, value if value is not None else "default")
        for found, value in zip(overrides, in_config, strict=True)
    ]


def changed_modules(groups: Iterable[tuple[Job, ...]]) -> list[str]:
    """Modules that several jobs used and that were not the same in all of some groups, sorted."""
    digests: dict[str, set[str]] = {}
    for code in each_once(code for jobs in groups for code in _codes(jobs)):
        for module, digest in code.items():
            digests.setdefault(module, set()).add(digest)
    return sorted(module for module, found in digests.items() if len(found) > 1)


@kept()
def _codes(jobs: tuple[Job, ...]) -> list[dict[str, str]]:
    """The code of some jobs, each once as far as records share it."""
    return each_once(job.record.code for job in jobs)


def by_code(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Jobs of one group apart where a module that several used was not the same; the note of the newest is empty."""
    changed = changed_modules([tuple(jobs)])
    if not changed:
        return {"": list(jobs)}
    newest = max(jobs, key=lambda job: job.record.started_at).record
    if newest.config.get("code") == "ignore":
        return {"": list(jobs)}
    found: dict[str, list[Job]] = {}
    for job in jobs:
        mine = {module: job.record.code[module] for module in changed if module in job.record.code}
        is_newest = all(newest.code.get(module, digest) == digest for module, digest in mine.items())
        short = hashlib.sha256(repr(sorted(mine.items())).encode()).hexdigest()[:6]
        found.setdefault("" if is_newest else f", code={short}", []).append(job)
    return found


def _by_overrides(jobs: Sequence[Job], without: str | None, planned: Iterable[tuple[str, ...]]) -> list[Settings]:
    """Label and parts of each job's group; what all jobs have alike is in no label."""
    all_parts = [_parts(overrides, without) for overrides in map(tuple, map(_OVERRIDES, jobs))]
    distinct = dict.fromkeys([*all_parts, *(_parts(overrides, without) for overrides in planned)])
    shared = set.intersection(*map(set, distinct)) if len(distinct) > 1 else set()
    labels = {parts: ", ".join(part for part in parts if part not in shared) or "default" for parts in distinct}
    by_sweep = list(zip(all_parts, sweeps_of(jobs), strict=True))
    sweeps: dict[str, set[str]] = {}
    for parts, sweep in set(by_sweep):
        sweeps.setdefault(labels[parts], set()).add(sweep)
    if all(len(found) < 2 for found in sweeps.values()):
        return [(labels[parts], parts) for parts in all_parts]
    names = {sweep: one_line(sweep) for _, sweep in set(by_sweep)}
    return [(f"{names[sweep]}: {labels[parts]}", (*parts, f"sweep={names[sweep]}")) for parts, sweep in by_sweep]


def sweeps_of(jobs: Sequence[Job]) -> list[str]:
    """The sweep of each job: that of its record, or where a sweep's folder has a new name the same for all jobs in it.

    A sweep that goes on in its folder takes the runs that are there for its own, since their configs are the same, and
    so they are of one group; where more than seeds differs, somebody has put runs of several sweeps side by side.
    """
    recorded = list(map(_SWEEP, jobs))
    if len(set(recorded)) < 2:
        return recorded
    folders = [job.folder.parent.parent if job.is_fresh else job.folder.parent for job in jobs]
    several = Counter(folder for folder, _ in set(zip(folders, recorded, strict=True)))
    settings = [_parts(tuple(job.record.overrides), None) for job in jobs]
    keys = list(zip(folders, settings, recorded, strict=True))
    one_of = {key: job for key, job in zip(keys, jobs, strict=True) if several[key[0]] > 1}
    names: dict[tuple[Path, tuple[str, ...], str], str] = {}
    experiments: dict[tuple[Path, tuple[str, ...]], list[tuple[dict[str, Any], str]]] = {}
    for key in sorted(one_of, key=lambda key: key[2] != key[0].name):  # the folder's present name comes first
        known, found = experiments.setdefault(key[:2], []), experiment_of(one_of[key].record)
        names[key] = next((name for experiment, name in known if experiment == found), key[2])
        known.append((found, names[key]))
    return [names.get(key, key[2]) for key in keys]


def experiment_of(record: RunRecord) -> dict[str, Any]:
    """What of a run's config can change a result, but for what is left to chance, and copies of it."""
    chance = {key.rpartition(".")[2] for key in AXES_OF_CHANCE}
    return {key: value for key, value in relevant(record.config).items() if key.rpartition(".")[2] not in chance}


def _by_keys(jobs: Sequence[Job], keys: Sequence[str]) -> list[Settings]:
    values = {key: setting_values(jobs, key) for key in keys}
    rows = [tuple(f"{key}={one_line(values[key][row])}" for key in keys) for row in range(len(jobs))]
    return [(", ".join(parts), parts) for parts in rows]
