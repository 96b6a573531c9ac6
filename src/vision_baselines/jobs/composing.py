"""Jobs' configs, composed: in full where a group or a text differs, from a sibling where only numbers do.

Composing reads every config file again, a tenth to half a second a job. Jobs whose overrides differ in numbers alone
(``seed=0,1,2``, ``optimizer.lr=0.1,0.01``) have the same config but for these. So the first of them is composed in
full, and the others are made from it. The first job in which a key differs is composed in full too and compared: where
the two are not the same, all jobs in which that key differs are composed in full.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from vision_baselines.jobs.job import Packed, unpacked

# A number that Hydra and Python read alike, and that is written as both would write it.
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,15})(?:\.\d+)?(?:[eE][+-]?\d+)?")
_KEY = re.compile(r"\+{0,2}([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")


Number = int | float


@dataclass(frozen=True)
class Place:
    """What an override list is, beside its numbers.

    Attributes:
        shape: The same for all jobs that differ in numbers alone.
        numbers: By dotted key.
        written: By dotted key, as it is typed and the kind of its number: what is right of a job is right of all others
            that write the key so.
    """

    shape: tuple[str, ...]
    numbers: Mapping[str, Number]
    written: Mapping[str, str]

    def unlike(self, other: Place) -> set[str]:
        """How the keys are written whose numbers differ."""
        return {self.written[key] for key, number in self.numbers.items() if other.numbers[key] != number}


@dataclass(frozen=True)
class Renumbered:
    """A job's config as another one's and what differs: a sweep of thousands keeps one config for all of them.

    Attributes:
        first: The other one's, as it is kept.
        index: The job's number.
        numbers: By dotted key.
        renamed: What became of each override that differs.
    """

    first: bytes | Packed
    index: int
    numbers: Mapping[str, Number]
    renamed: Mapping[str, str]

    def config(self) -> DictConfig:
        """The config."""
        return numbered(renumbered(unpacked(self.first), self.numbers, self.renamed), self.index)


class Composer:
    """Composes the jobs of a sweep.

    Args:
        config: The sweep's.
        hydra_context: Composes a config in full.
        is_number_only: Whether a key's number may be taken from the overrides, without all else being read again.
    """

    def __init__(
        self, config: DictConfig, hydra_context: HydraContext, is_number_only: Callable[[str], bool] = lambda key: True
    ) -> None:
        self.config, self.loader, self.is_number_only = config, hydra_context.config_loader, is_number_only
        self._firsts: dict[tuple[str, ...], tuple[list[str], Place, bytes]] = {}
        self._confirmed: dict[str, bool] = {}
        self._groups: dict[str, bool] = {}

    def place(self, overrides: Sequence[str]) -> Place | None:
        """Which other jobs a job is like; None where it has no number that could be varied."""
        varied = self._varied(overrides)
        if not varied:
            return None
        written = {
            key: f"{overrides[at].partition('=')[0]} {type(value).__name__}" for at, (key, value) in varied.items()
        }
        rest = tuple(text for at, text in enumerate(overrides) if at not in varied)
        shape = (*rest, *(f"{at} {text}" for at, text in zip(varied, written.values(), strict=True)))
        return Place(shape, dict(varied.values()), written)

    def is_confirmed(self, place: Place) -> bool:
        """Whether what is made of the first job of its shape was seen to be right for each key that differs."""
        found = self._firsts.get(place.shape)
        return found is not None and all(self._confirmed.get(key, False) for key in place.unlike(found[1]))

    def is_refused(self, place: Place) -> bool:
        """Whether what is made of the first job of its shape was seen to be wrong for a key that differs."""
        return False in map(self._confirmed.get, place.unlike(self._firsts[place.shape][1]))

    def refuse(self, place: Place) -> None:
        """Make no job that differs from the first of its shape as this one does from it."""
        self._confirmed |= dict.fromkeys(place.unlike(self._firsts[place.shape][1]), False)

    def composed(self, index: int, overrides: list[str]) -> DictConfig:
        """A job's config with Hydra's part."""
        return numbered(self._of_overrides(overrides), index)

    def _of_overrides(self, overrides: list[str]) -> DictConfig:
        place = self.place(overrides)
        if place is None:
            return self.loader.load_sweep_config(self.config, overrides)
        if place.shape not in self._firsts:
            config = self.loader.load_sweep_config(self.config, overrides)
            self._firsts[place.shape] = (overrides, place, pickle.dumps(config))
            return config
        unlike = place.unlike(self._firsts[place.shape][1])
        made = None if self.is_refused(place) else self._made(overrides, place)
        if made is not None and self.is_confirmed(place):
            return made
        config = self.loader.load_sweep_config(self.config, overrides)
        is_same = made is not None and _plain(made) == _plain(config)
        self._confirmed |= {key: is_same for key in unlike if not (is_same and key in self._confirmed)}
        return config

    def _varied(self, overrides: Sequence[str]) -> dict[int, tuple[str, Number]]:
        """Places of overrides that set a number, with its key; none whose key another override touches too."""
        keys = [text.partition("=")[0].lstrip("+~") for text in overrides]
        found: dict[int, tuple[str, Number]] = {}
        for place, text in enumerate(overrides):
            name, _, value = text.partition("=")
            key = _KEY.fullmatch(name)
            if key is None or not _NUMBER.fullmatch(value) or value.startswith("-0"):
                continue
            dotted = key[1] + "."
            others = [f"{other}." for at, other in enumerate(keys) if at != place]
            if any(other.startswith(dotted) or dotted.startswith(other) for other in others):
                continue
            if dotted.startswith("hydra.") or not self.is_number_only(key[1]) or self._is_group(key[1]):
                continue
            found[place] = (key[1], int(value) if re.fullmatch(r"-?\d+", value) else float(value))
        return found

    def _is_group(self, key: str) -> bool:
        if key not in self._groups:
            self._groups[key] = bool(self.loader.get_group_options(key.replace(".", "/")))
        return self._groups[key]

    def _made(self, overrides: Sequence[str], place: Place) -> DictConfig | None:
        """The config of these overrides, if it can be made from the first one's of its shape."""
        before, _, content = self._firsts[place.shape]
        try:
            return renumbered(pickle.loads(content), place.numbers, dict(zip(before, overrides, strict=True)))
        except Exception:  # Hydra says it better when it composes the config itself
            return None


def renumbered(config: DictConfig, numbers: Mapping[str, Number], renamed: Mapping[str, str]) -> DictConfig:
    """A config, changed in place into that of a job with other numbers, all but its index.

    Raises:
        Exception: What OmegaConf raises where a key cannot be set.
    """
    for key, value in numbers.items():
        OmegaConf.update(config, key, value, merge=True)
    task = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    assert isinstance(task, list)
    with open_dict(config):
        config.hydra.overrides.task = [renamed.get(text, text) for text in task]
        config.hydra.job.override_dirname = _dirname(config)
    return config


def numbered(config: DictConfig, index: int) -> DictConfig:
    """A config, changed in place into that of the job with this index."""
    with open_dict(config):
        config.hydra.job.id = f"{config.hydra.job.name}_{index}"
        config.hydra.job.num = index
    return config


def _dirname(config: DictConfig) -> str:
    """What Hydra makes of the overrides for the name of a folder.

    Source: hydra-core 1.3, `get_overrides_dirname`.
    """
    options = config.hydra.job.config.override_dirname
    task = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    assert isinstance(task, list)
    kept = [text for text in task if text.partition("=")[0].lstrip("+~") not in options.exclude_keys]
    return str(options.item_sep).join(sorted(kept)).replace("=", str(options.kv_sep))


def _plain(config: DictConfig) -> object:
    return OmegaConf.to_container(config, resolve=False)
