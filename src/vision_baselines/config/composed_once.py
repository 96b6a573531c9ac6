"""A command's config, composed once: Hydra does it twice, first only to look whether it is one run or many.

For the first look Hydra composes for many runs and looks at ``hydra.mode`` alone; then it composes as its mode says,
with ``hydra.mode=…`` added to what was typed. Here it is composed at first as it will most likely be wanted, and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hydra.types import RunMode
from omegaconf import DictConfig

Compose = Callable[..., DictConfig]


class ComposedOnce:
    """Takes the place of a loader's `load_configuration`.

    Args:
        compose: What it takes the place of.
        words: The command line's.
    """

    def __init__(self, compose: Compose, words: Sequence[str]) -> None:
        self._compose = compose
        self._likely = RunMode.MULTIRUN if {"-m", "--multirun"} & set(words) else RunMode.RUN
        self._kept: tuple[dict[str, Any], DictConfig | Exception] | None = None

    def __call__(self, loader: Any, *arguments: Any, **options: Any) -> DictConfig:
        """The config of these options, of which none is a position where Hydra asks for a command's."""
        if arguments:
            return self._compose(loader, *arguments, **options)
        if self.is_only_for_the_mode(options):
            return self._first(loader, options)
        kept, self._kept = self._kept, None
        if kept is None or kept[0] != _without_mode(options):
            return self._compose(loader, **options)
        if isinstance(kept[1], Exception):
            raise kept[1]
        cfg = kept[1]
        if options["overrides"] != kept[0]["overrides"]:
            cfg.hydra.mode = options["run_mode"]
            cfg.hydra.overrides.hydra.append(options["overrides"][-1])
        return cfg

    @staticmethod
    def is_only_for_the_mode(options: dict[str, Any]) -> bool:
        """Whether Hydra asks for a config of which it looks at the mode alone; it checks no sweep then."""
        return options.get("validate_sweep_overrides") is False

    def _first(self, loader: Any, options: dict[str, Any]) -> DictConfig:
        likely = {**options, "run_mode": self._likely, "overrides": list(options["overrides"])}
        del likely["validate_sweep_overrides"]
        try:
            cfg = self._compose(loader, **likely)
        except Exception as error:
            self._kept = _without_mode(likely), error
            if self._likely is RunMode.MULTIRUN:
                raise
            return self._compose(loader, **options)  # it may yet say that it is many runs
        self._kept = _without_mode(likely), cfg
        return cfg


def _without_mode(options: dict[str, Any]) -> dict[str, Any]:
    """The same options without the override that Hydra adds, and without those that are as Hydra leaves them out."""
    overrides = list(options["overrides"])
    if overrides and overrides[-1] == f"hydra.mode={options['run_mode'].name}":
        overrides.pop()
    return {**{key: value for key, value in options.items() if value is not True}, "overrides": overrides}
