"""Jobs' configs, composed: in full where a group or a text differs, from a sibling where only numbers do.

Composing reads every config file again, a tenth to a third of a second a job. Jobs whose overrides differ in numbers
alone (``seed=0,1,2``, ``optimizer.lr=0.1,0.01``) have the same config but for these. So the first of them is composed
in full; the second is too, and compared with what the first makes of it; the others are made from the first, if that
was the same.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

# A number that Hydra and Python read alike, and that is written as both would write it.
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,15})(?:\.\d+)?(?:[eE][+-]?\d+)?")
_KEY = re.compile(r"\+{0,2}([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")


@dataclass
class _Sibling:
    """A job that was composed in full.

    Attributes:
        overrides: Of the job.
        content: Its config, pickled; empty where others cannot be made from it.
        is_confirmed: Whether another one that was made from it was as Hydra composed it.
    """

    overrides: list[str]
    content: bytes
    is_confirmed: bool = False


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
        self._siblings: dict[tuple[str, ...], _Sibling] = {}
        self._groups: dict[str, bool] = {}

    def composed(self, index: int, overrides: list[str]) -> DictConfig:
        """A job's config with Hydra's part."""
        config = self._of_overrides(overrides)
        with open_dict(config):
            config.hydra.job.id = f"{config.hydra.job.name}_{index}"
            config.hydra.job.num = index
        return config

    def _of_overrides(self, overrides: list[str]) -> DictConfig:
        varied = self._varied(overrides)
        shape = tuple(text for place, text in enumerate(overrides) if place not in varied) + tuple(
            f"{place} {key} {type(value).__name__}" for place, (key, value) in varied.items()
        )
        sibling = self._siblings.get(shape) if varied else None
        made = self._made_from(sibling, overrides, varied) if sibling is not None else None
        if sibling is not None and sibling.is_confirmed and made is not None:
            return made
        config = self.loader.load_sweep_config(self.config, overrides)
        if sibling is None and varied:
            self._siblings[shape] = _Sibling(overrides, pickle.dumps(config))
        elif sibling is not None:
            sibling.is_confirmed = made is not None and _plain(made) == _plain(config)
            if not sibling.is_confirmed:
                sibling.content = b""
        return config

    def _varied(self, overrides: Sequence[str]) -> dict[int, tuple[str, int | float]]:
        """Places of overrides that set a number, with its key; none whose key another override touches too."""
        keys = [text.partition("=")[0].lstrip("+~") for text in overrides]
        found: dict[int, tuple[str, int | float]] = {}
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

    def _made_from(
        self, sibling: _Sibling, overrides: list[str], varied: dict[int, tuple[str, int | float]]
    ) -> DictConfig | None:
        """The config of these overrides, if it can be made from a sibling's."""
        if not sibling.content:
            return None
        config: DictConfig = pickle.loads(sibling.content)
        try:
            for key, value in varied.values():
                OmegaConf.update(config, key, value, merge=True)
            renamed = dict(zip(sibling.overrides, overrides, strict=True))
            task = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
            assert isinstance(task, list)
            with open_dict(config):
                config.hydra.overrides.task = [renamed.get(text, text) for text in task]
                config.hydra.job.override_dirname = _dirname(config)
        except Exception:  # Hydra says it better when it composes the config itself
            return None
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
