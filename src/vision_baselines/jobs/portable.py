"""What every job of a sweep needs beside its config, in bytes that another process can read.

A function of the script itself is sent by value, as joblib and submitit do, with what it names: so what the script set
up before Hydra took over is known to its jobs. Where that cannot be sent, and for functions of modules, only the name
is: the job's process imports the module.
"""

from __future__ import annotations

import importlib
import logging
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.types import HydraContext, TaskFunction

from vision_baselines.errors import ConfigError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Named:
    """A function by its name; below what decorators have made of it, such as ``@hydra.main``."""

    module: str
    name: str
    depth: int

    def found(self) -> Any:
        place: Any = importlib.import_module(self.module)
        for part in self.name.split("."):
            place = getattr(place, part)
        for _ in range(self.depth):
            place = place.__wrapped__
        return place


def packed_task(hydra_context: HydraContext, task_function: TaskFunction) -> bytes:
    """What `unpacked_task` reads: all of it, Hydra's singletons and OmegaConf's resolvers.

    Raises:
        ConfigError: The function, or what it names, cannot be sent.
    """
    state = Singleton.get_state()
    resolvers = {name: content for name, made in state["omegaconf_resolvers"].items() if (content := _sendable(made))}
    if missing := state["omegaconf_resolvers"].keys() - resolvers.keys():
        log.warning("these resolvers cannot be sent to jobs: %s", ", ".join(sorted(missing)))
    named = _named(task_function)
    in_script = getattr(task_function, "__module__", None) == "__main__"
    choices = [task_function, named] if in_script else [named, task_function]
    reason: Exception | None = None
    for function in choices:
        try:
            if function is not None:
                return bytes(cloudpickle.dumps((hydra_context, function, state["instances"], resolvers)))
        except Exception as error:  # whatever a class's own methods raise
            reason = reason or error
    raise ConfigError(
        f"the task's function cannot be sent to another process: {reason}; keep what cannot be sent out of it and of "
        "the names that it uses"
    )


def unpacked_task(content: bytes) -> tuple[HydraContext, TaskFunction, dict[Any, Any], dict[str, Any]]:
    """Hydra's context, the task's function, the singletons and the resolvers; what cannot be read of these is left."""
    hydra_context, function, singletons, resolvers = pickle.loads(content)
    return (
        hydra_context,
        function.found() if isinstance(function, _Named) else function,
        singletons,
        {name: pickle.loads(made) for name, made in resolvers.items()},
    )


def _sendable(made: Callable[..., Any]) -> bytes:
    try:
        return bytes(cloudpickle.dumps(made))
    except Exception:  # whatever a class's own methods raise
        return b""


def _named(function: Any) -> _Named | None:
    """The function's name, if its module can be imported elsewhere and has it there."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    place: Any = sys.modules.get(module or "")
    if place is None or (module == "__main__" and not hasattr(place, "__file__")):
        return None
    for part in name.split("."):
        place = getattr(place, part, None)
    for depth in range(10):
        if place is function:
            return _Named(str(module), name, depth)
        place = getattr(place, "__wrapped__", None)
    return None
