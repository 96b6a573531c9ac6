"""Old import paths of public modules, for one version: each gives the module of today, with a warning.

The finder comes after Python's own, so it is asked only for what does not exist. The names themselves stand in
`runs.migrations`, because records hold them too.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _OldModule(ModuleType):
    """Stands for a module that moved; where its name is now that of a function of the API, it can be called as that."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not self.__dict__.get("_today"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(self.__dict__["_today"]), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        api = importlib.import_module("vision_baselines.api")
        return getattr(api, self.__name__.rpartition(".")[2])(*args, **kwargs)


class _Loader(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _OldModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["_today"] = module.__spec__.loader_state if module.__spec__ else None
        if module.__dict__["_today"] == "":
            module.__path__ = []  # a package that only leads to modules that moved


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("vision_baselines."):
            return None
        from vision_baselines.runs.migrations import MOVED_MODULES

        today = MOVED_MODULES.get(fullname)
        if today is None:
            if not any(old.startswith(f"{fullname}.") for old in MOVED_MODULES):
                return None
            return ModuleSpec(fullname, _Loader(), loader_state="", is_package=True)
        warnings.warn(
            f"{fullname} is now {today}; the old name goes with the next version", DeprecationWarning, stacklevel=2
        )
        return ModuleSpec(fullname, _Loader(), loader_state=today)


def install() -> None:
    """Let the old import paths be found."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
