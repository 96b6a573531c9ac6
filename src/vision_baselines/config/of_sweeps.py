"""Keys that say what a sweep does, and nothing of one of its runs: a single run that was given one is told so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vision_baselines.config.seeds_per_pass import AUTO
from vision_baselines.errors import ConfigError
from vision_baselines.runs.fingerprint import key_of

# With the values that ask for nothing.
_VALUES: dict[str, tuple[Any, ...]] = {
    "n_jobs": (None,),
    "fail_fast": (False,),
    "seeds_per_pass": (1, AUTO),
    "gpus_per_job": (1,),
    "comparison": (None,),
}
_GROUPS = ("hydra.launcher", "hydra.sweeper", "hydra.sweep", "search")
_PARAMS = "hydra.sweeper.params"


def is_of_sweep(override: str) -> bool:
    """Whether an override says what a sweep does, and nothing of its runs.

    >>> is_of_sweep("hydra/launcher=basic"), is_of_sweep("comparison.over=seed"), is_of_sweep("seed=0")
    (True, True, False)
    """
    return any(_is_below(key_of(override), name) for name in (*_VALUES, *_GROUPS))


def require_of_run(cfg: DictConfig) -> str:
    """Look for what has no effect in the single run that Hydra has composed.

    Returns:
        What is to be said of keys that a file has set, such as an experiment's; empty where there are none.

    Raises:
        ConfigError: A key without effect was typed.
    """
    hydra = HydraConfig.get()
    typed = [str(word) for part in (hydra.overrides.task, hydra.overrides.hydra) for word in part]
    for word in typed:
        if is_of_sweep(word) and not word.startswith("~") and _asks(cfg, key_of(word)):
            raise ConfigError(f"{word} has no effect in a single run; add -m for a sweep, or leave it out")
    keys = [*(set(_VALUES) - {"comparison"}), *(f"comparison.{name}" for name in cfg.get("comparison") or ())]
    found = sorted(key for key in keys if _asks(cfg, key))
    whole: Any = HydraConfig.instance().cfg
    debug = OmegaConf.select(whole, "hydra.runtime.choices.debug")  # it brings some for -m, which nobody has typed
    found += [_PARAMS] if OmegaConf.select(whole, _PARAMS) and debug in (None, "null") else []
    return f"no effect in a single run; -m makes a sweep of it: {', '.join(found)}" if found else ""


def _asks(cfg: DictConfig, key: str) -> bool:
    """Whether what stands at a key of a sweep asks for something; of Hydra's own part all that was typed does."""
    neutral: Sequence[Any] = _VALUES.get(key.split(".")[0], ())
    return not neutral or OmegaConf.select(cfg, key) not in neutral


def _is_below(key: str, name: str) -> bool:
    return key == name or key.startswith(f"{name}.")
