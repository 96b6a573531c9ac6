"""How a sweep compares itself: what the keys below ``comparison`` may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vision_baselines.config.selection import check_selection, group_keys
from vision_baselines.errors import ConfigError
from vision_baselines.runs.dotted import select

# Kind, least and most of every number, all of which may be null.
_NUMBERS: dict[str, tuple[Any, float, float]] = {
    "equivalence": (int | float, 0, math.inf),
    "max_seeds": (int, 3, 200),
    "fresh_seeds": (int, 1, 1000),
}


def check_comparison(config: Mapping[str, Any]) -> None:
    """Refuse options of a sweep's comparison that are not names.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    options = config.get("comparison")
    if options is not None and not isinstance(options, Mapping):
        raise ConfigError(f"comparison is {options!r}; expected its keys, such as comparison.baseline='model=fc'")
    for key, value in (options or {}).items():
        if key == "chance_level":
            check_chance_level(value, "comparison.chance_level")
            continue
        if key in _NUMBERS:
            check_comparison_number(key, value, f"comparison.{key}")
            if key == "fresh_seeds" and value is not None and select(config, "data.val_size") == 0:
                raise ConfigError(f"comparison.fresh_seeds is {value}; data.val_size=0 leaves nothing to choose by")
            if key == "fresh_seeds" and value is not None and select(config, "data.folds") is not None:
                raise ConfigError(
                    f"comparison.fresh_seeds is {value} beside data.folds: images that choose in one fold are measured "
                    "in another, which more seeds do not change; expected null"
                )
            continue
        names = value if key == "group_by" and isinstance(value, list) else [value]
        if value is not None and not all(isinstance(name, str) and name for name in names):
            wanted = "a name or a list of names" if key == "group_by" else "a name"
            raise ConfigError(f"comparison.{key} is {value!r}; expected {wanted}")
        if key == "select":
            check_selection(value, "comparison.select")
            if value is not None and select(config, "data.val_size") == 0:
                raise ConfigError(f"comparison.select is {value!r}; data.val_size=0 leaves no image to measure it on")
        if key == "metric" and value is not None and "/" not in str(value):
            raise ConfigError(f"comparison.metric is {value!r}; expected a split and a quantity, as in split/quantity")


def check_fresh_seeds(cfg: DictConfig) -> None:
    """Refuse ``comparison.fresh_seeds`` in a sweep that would choose nothing, or whose sweeper would not train them.

    Raises:
        ConfigError: What stands against it.
    """
    options = cfg.get("comparison") or {}
    if not options.get("fresh_seeds"):
        return
    if not str(OmegaConf.select(cfg, "hydra.sweeper._target_")).startswith("hydra_plugins.vision_baselines_"):
        raise ConfigError(
            "comparison.fresh_seeds needs hydra/sweeper=paired, until_decided or search, which train them"
        )
    if "seed" in group_keys(options.get("group_by")):
        raise ConfigError("comparison.group_by names seed, and comparison.fresh_seeds adds seeds to what is chosen")
    if options.get("chance_level") is not None:
        raise ConfigError("comparison.chance_level makes it a control, which leaves comparison.fresh_seeds no choice")


def check_comparison_number(key: str, value: Any, name: str) -> None:
    """Refuse what a number of a comparison cannot be.

    Args:
        key: ``equivalence`` or ``max_seeds``.
        value: What it was set to.
        name: What the option is called where it was set.

    Raises:
        ConfigError: The option, what it is and what was expected.
    """
    kind, least, most = _NUMBERS[key]
    fits = isinstance(value, kind) and not isinstance(value, bool)
    if value is not None and not (fits and math.isfinite(value) and least <= value <= most and value > 0):
        wanted = f"a whole number from {least} to {most}" if kind is int else "a number above 0"
        raise ConfigError(f"{name} is {value!r}; expected {wanted}, or null")


def check_chance_level(value: Any, key: str) -> None:
    """Refuse a level of chance that is no share.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and value != "uniform" and not (is_number and 0 < value < 1):
        raise ConfigError(f"{key} is {value!r}; expected uniform, a share between 0 and 1, or null")
