"""The plan of a run that differs from another one's in numbers alone, made from that one's instead of anew.

Resolving a config takes a twentieth of a second, most of what planning a job takes, and jobs of a sweep over seeds or
rates differ in a few leaves. Which leaves take a number is read from the config as it was written, before anything is
resolved: a leaf that is nothing but a reference to the key, or to a group that holds it, takes the number itself.
Where a number could get anywhere else (into a text, a resolver, Hydra's folders), `Alike.of` gives None, and the plan
is made in full. All checks of values and the look into the run's folder are made for every job.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vision_baselines.config.checks import check_channels_of, check_values
from vision_baselines.config.data_facts import needs_filling, source_of
from vision_baselines.config.plan import Plan, RunPlan
from vision_baselines.data.listing import listing_sha256
from vision_baselines.runs.fingerprint import fingerprint, job_name
from vision_baselines.runs.init_source import JOB, source_path
from vision_baselines.runs.resumption import decide

Number = int | float
_Path = tuple[str, ...]

_PLAIN_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*(?:\.\w+)*)\}")
_INNERMOST = re.compile(r"\$\{([^${}]*)\}")
_WORD = re.compile(r"\w+")
# Resolvers whose answer depends on nothing but their arguments and what is the same for all jobs of a sweep.
_SAME_FOR_ALL = frozenset({"oc.env", "oc.decode", "project_root", "unique_name", "safe_name"})
# The two places of Hydra's part that a plan is made of, and a key of `paths` that is a mark in a plain config.
_RUN_DIR, _SUBDIR = "${hydra:runtime.output_dir}", "${job_name:${hydra.overrides.task}}"


@dataclass(frozen=True)
class Alike:
    """A plan from which others are made.

    Attributes:
        plan: Of a run whose config was resolved and checked in full.
        places: Every leaf of its plain config that takes the number of a key, with that key.
        source: What names the files of data, as `data_facts.source_of`.
    """

    plan: Plan
    places: Mapping[_Path, str]
    source: Mapping[str, Any]

    @staticmethod
    def before(composed: DictConfig, keys: Sequence[str]) -> dict[_Path, str] | None:
        """The places that the numbers of `keys` get to, by a config that nothing was filled into yet.

        Args:
            composed: A job's config with Hydra's part.
            keys: Dotted keys that are set to numbers.

        Returns:
            None where that cannot be told, or they get into more than leaves of their own.
        """
        raw: Any = OmegaConf.to_container(composed, resolve=False)
        hydra = raw.pop("hydra")
        if hydra["sweep"]["subdir"] != _SUBDIR or (
            needs_filling(composed) and any(k.startswith("data.") for k in keys)
        ):
            return None
        leaves = dict(_leaves({**raw, "hydra": {"sweep": hydra["sweep"]}}))
        found: dict[_Path, str] = {tuple(key.split(".")): key for key in keys}
        if not found.keys() <= leaves.keys():
            return None
        references = {path: tuple(named[1].split(".")) for path, text in leaves.items()
                      if isinstance(text, str) and (named := _PLAIN_REFERENCE.fullmatch(text))}  # fmt: skip
        while True:
            new = {
                (*path, *at[len(target) :]): key
                for path, target in references.items()
                for at, key in found.items()
                if at[: len(target)] == target
            }
            if new.keys() <= found.keys():
                break
            found |= new
        touched = {part for path in found for part in path}
        for path, text in leaves.items():
            if not isinstance(text, str) or "${" not in text or path in references:
                continue
            if (path[0] == "paths" and text == _RUN_DIR) or (path[:2] == ("hydra", "sweep") and text == _SUBDIR):
                continue
            words = _read_by(text)
            if words is None or touched & words:
                return None
        return found

    @classmethod
    def of(cls, plan: RunPlan, places: Mapping[_Path, str]) -> Alike | None:
        """From a plan that was made in full, of the config that `places` are of."""
        inside = {path: key for path, key in places.items() if path[0] not in ("paths", "hydra")}
        if plan.config != plan.resolved or len(inside) < len(places):
            return None
        return cls(replace(plan, cfg=OmegaConf.create()), inside, source_of(plan.cfg))

    def planned(self, numbers: Mapping[str, Number], overrides: Sequence[str]) -> Plan:
        """The plan of a run with these numbers.

        Args:
            numbers: By key.
            overrides: As typed.

        Raises:
            ConfigError: It cannot be run, or its folder holds a run of another config.
        """
        resolved = dict(self.plan.resolved)
        copied: dict[_Path, Any] = {(): resolved}
        for path, key in self.places.items():
            _put(copied, path, numbers[key])
        check_values(resolved, overrides)
        check_channels_of(resolved)
        folder = self.plan.folder.parent / job_name(overrides)
        identity = fingerprint(resolved)
        starts_from, said = self.plan.starts_from, str(resolved.get("init_from"))
        if said.startswith(JOB):
            starts_from = source_path(said, folder, overrides)
        listing = self._listing(numbers)
        decision = decide(
            folder,
            resolved,
            rerun=bool(resolved["rerun"]),
            listing_sha256=listing,
            identity=identity,
            resolved=resolved,
        )
        return Plan(
            resolved=resolved,
            config=resolved,
            folder=folder,
            overrides=tuple(overrides),
            fingerprint=identity,
            listing_sha256=listing,
            decision=decision,
            starts_from=starts_from,
        )

    def changes(self, *prefixes: str) -> bool:
        """Whether a number gets to or below one of these dotted keys."""
        wanted = [tuple(prefix.split(".")) for prefix in prefixes]
        return any(path[: len(start)] == start for path in self.places for start in wanted)

    def _listing(self, numbers: Mapping[str, Number]) -> str | None:
        """Of the files of data, which are listed anew only where a number chooses among them."""
        changed = {path[2:]: key for path, key in self.places.items() if path[:2] == ("data", "source")}
        if ("data", "split_seed") in self.places and "split_seed" in self.source:
            changed[("split_seed",)] = self.places["data", "split_seed"]
        if not changed:
            return self.plan.listing_sha256
        source = dict(self.source)
        copied: dict[_Path, Any] = {(): source}
        for path, key in changed.items():
            _put(copied, path, numbers[key])
        return listing_sha256(source)


def _read_by(text: str) -> set[str] | None:
    """Every word of the keys that a text refers to; None where it asks a resolver that may answer anything."""
    words: set[str] = set()
    while (found := _INNERMOST.search(text)) is not None:
        resolver, is_resolver, _ = found[1].partition(":")
        if not is_resolver:
            words |= set(_WORD.findall(found[1]))
        elif resolver.strip() not in _SAME_FOR_ALL:
            return None
        text = text[: found.start()] + text[found.end() :]
    return words if "${" not in text else None


def _leaves(node: Any, path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    """Leaves of plain data by their keys; the places in a list count as keys."""
    if isinstance(node, Mapping | list):
        parts = node.items() if isinstance(node, Mapping) else enumerate(node)
        for key, value in parts:
            yield from _leaves(value, (*path, str(key)))
    else:
        yield path, node


def _put(copied: dict[_Path, Any], path: _Path, value: Number) -> None:
    """Set a leaf of nested mappings and lists; each on the way is copied once, and the original stays as it is."""
    for depth in range(1, len(path)):
        above, own = copied[path[: depth - 1]], path[:depth]
        if own not in copied:
            place = _place(above, own[-1])
            copied[own] = above[place] = copy(above[place])
    above = copied[path[:-1]]
    above[_place(above, path[-1])] = value


def _place(node: Any, part: str) -> str | int:
    return int(part) if isinstance(node, list) else part
