"""Lets torchvision be imported beside a torch that its compiled operators were not built for.

A torchvision wheel linked to CUDA cannot load its operator library next to a CPU build of torch. It takes that
quietly, but then registers a fake kernel for ``torchvision::nms``, an operator that nobody has declared, and the
import ends in ``operator torchvision::nms does not exist``. torchmetrics imports torchvision and Lightning imports
torchmetrics, so nothing at all works. Declaring the schemas of the two operators named there is enough: the
detection operators stay unavailable, and a classifier needs none.

The declaration has to come after torch and before torchvision. An import hook waits for that moment, so that
``import vision_baselines`` by itself imports neither. Rejected: declaring at once, which would make every
``--help`` import torch.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# torch.library takes a declaration back when its Library object is collected.
_declared: list[Any] = []


class _BeforeTorchvision(MetaPathFinder):
    """Finds nothing; acts once, just before torchvision is found by the ordinary finders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "torchvision":
            sys.meta_path.remove(self)
            declare_missing_operators()
        return None


def install() -> None:
    """Arrange for the missing schemas to be declared before torchvision's first import, where any are missing."""
    if "torchvision" in sys.modules or any(isinstance(finder, _BeforeTorchvision) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _BeforeTorchvision())


def declare_missing_operators() -> bool:
    """Declare ``nms`` and ``qnms`` unless torchvision's compiled operators can be loaded.

    Returns:
        Whether anything had to be declared.
    """
    if _declared or _compiled_operators_load():
        return bool(_declared)
    import torch

    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    _declared.append(library)
    return True


def _compiled_operators_load() -> bool:
    spec = PathFinder.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return True  # no torchvision at all: nothing to cure, and its own ImportError says it best
    extension = PathFinder.find_spec("torchvision._C", list(spec.submodule_search_locations))
    if extension is None or extension.origin is None or importlib.util.find_spec("torch") is None:
        return False
    import torch

    try:
        torch.ops.load_library(Path(extension.origin))  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return True
