"""How settings are searched for: what the keys below ``search`` may be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vision_baselines.config.selection import SPLIT
from vision_baselines.errors import ConfigError
from vision_baselines.runs.dotted import select
from vision_baselines.runs.fingerprint import key_of

SAMPLERS = ("tpe", "gp", "random", "grid")
PRUNERS = ("median", "wilcoxon", "none")
# Objectives that are no metric: what a record says of costs; of all of them less is better.
COSTS = ("parameters", "flops_per_image", "fit_s")
WILCOXON_SEEDS = 5
"""With fewer the test cannot reach its threshold before the last seed: of 3 pairs, p is at least 0.125."""
DEFAULT_TRIALS = 30
TRIAL = "search.trial"
"""The key of a job that says which trial it belongs to."""
_MOST = 100_000
_WORDS = {"sampler": (SAMPLERS, False), "pruner": (PRUNERS, True)}
# Least and most of every number, and whether it may be null.
_NUMBERS = {
    "trials": (1, _MOST, True),
    "sampler_seed": (0, 2**32 - 1, False),
    "parallel": (1, 4096, True),
    "trial": (0, _MOST, True),
}


def check_search(config: Mapping[str, Any]) -> None:
    """Refuse options of a search that it cannot have.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    options = config.get("search")
    if options is None:
        return
    if not isinstance(options, Mapping):
        raise ConfigError(f"search is {options!r}; expected its keys, such as search.trials=40")
    for key, (least, most, may_be_null) in _NUMBERS.items():
        value = options.get(key, least)
        if not ((value is None and may_be_null) or _is_whole(value, least, most)):
            raise ConfigError(
                f"search.{key} is {value!r}; expected a whole number from {least} to {most}{', or null' * may_be_null}"
            )
    for key, (words, may_be_null) in _WORDS.items():
        value = options.get(key, words[0])
        if value not in words and not (value is None and may_be_null):
            wanted = f"{', '.join(words[:-1])} or {words[-1]}{', or null' * may_be_null}"
            raise ConfigError(f"search.{key} is {value!r}; expected {wanted}")
    seeds = seeds_of(options)
    objectives = objectives_of(options)
    pruner = options.get("pruner")
    if pruner not in (None, "none") and len(objectives) > 1:
        raise ConfigError(
            f"search.pruner is {pruner} beside {len(objectives)} objectives; what loses in one may win in "
            "another, so nothing is pruned: expected none, or null"
        )
    if pruner == "wilcoxon" and len(seeds) < WILCOXON_SEEDS:
        raise ConfigError(
            f"search.pruner is wilcoxon, which compares seeds in pairs, and search.seeds gives {len(seeds)}; "
            f"expected search.seeds={WILCOXON_SEEDS} or more, or search.pruner=median"
        )


def check_can_search(config: Mapping[str, Any]) -> None:
    """Refuse what a search as a whole cannot be, of the plain config of one of its runs.

    Raises:
        ConfigError: What stands against it.
    """
    objectives = objectives_of(config.get("search") or {})
    if select(config, "data.val_size") == 0:
        raise ConfigError("hydra/sweeper=search chooses by validation; data.val_size=0 leaves no image for it")
    if select(config, "data.folds") is not None:
        raise ConfigError("hydra/sweeper=search repeats a trial over seeds alone; expected data.folds=null")
    if select(config, "comparison.chance_level") is not None:
        raise ConfigError("comparison.chance_level makes it a control, which leaves a search nothing to find")
    chosen = select(config, "comparison.select")
    if len(objectives) == 1 and chosen is not None and chosen != objectives[0]:
        raise ConfigError(
            f"comparison.select is {chosen} and search.objectives is [{objectives[0]}]; the one that is searched for "
            "is the one that is chosen by, so leave comparison.select out"
        )
    if len(objectives) > 1 and select(config, "comparison.fresh_seeds"):
        raise ConfigError(
            "comparison.fresh_seeds trains the one setting that is chosen, and with several objectives that choice is "
            "yours; leave it out, and train what you choose from the front"
        )


def seeds_of(options: Mapping[str, Any]) -> list[int]:
    """The seeds that each trial is run with: 0, 1, … for a number, or those of a list.

    >>> seeds_of({"seeds": 3}), seeds_of({"seeds": [5, 7]})
    ([0, 1, 2], [5, 7])

    Raises:
        ConfigError: It is something else.
    """
    value = options.get("seeds", 1)
    found = list(range(value)) if _is_whole(value, 1, 1000) else value
    is_list = isinstance(found, Sequence) and not isinstance(found, str) and len(found) > 0
    if not is_list or not all(_is_whole(seed, 0, 2**32 - 1) for seed in found) or len(set(found)) < len(found):
        raise ConfigError(
            f"search.seeds is {value!r}; expected a number of seeds, such as 3, or a list such as [0,1,2]"
        )
    return list(found)


def objectives_of(options: Mapping[str, Any]) -> list[str]:
    """The names of what is searched for; empty for the task's headline metric on the validation split.

    Raises:
        ConfigError: One is a metric of the test split, or something that no record has.
    """
    value = options.get("objectives")
    if value is None:
        return []
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, Sequence) or not found or not all(isinstance(name, str) and name for name in found):
        raise ConfigError(f"search.objectives is {value!r}; expected names, such as [{SPLIT}acc,parameters], or null")
    for name in found:
        if name not in COSTS and not (name.startswith(SPLIT) and name != SPLIT):
            why = "; what is chosen by its test metric has no honest test metric" if name.startswith("test/") else ""
            raise ConfigError(
                f"search.objectives has {name!r}; expected metrics of the validation split, {SPLIT}…, or costs: "
                f"{', '.join(COSTS)}{why}"
            )
    if len(set(found)) < len(found):
        raise ConfigError(f"search.objectives has {', '.join(found)}; expected each once")
    if all(name in COSTS for name in found):
        raise ConfigError(
            f"search.objectives is {', '.join(found)}; expected a metric of the validation split among them"
        )
    return list(found)


def trial_of(overrides: Sequence[str]) -> str | None:
    """The number of the trial that a job belongs to, by its overrides; None where it belongs to none."""
    return next((text.partition("=")[2] for text in overrides if key_of(text) == TRIAL), None)


def _is_whole(value: object, least: float, most: float) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most and math.isfinite(value)
