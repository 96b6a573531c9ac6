"""Image-classification baselines that are trained, swept and compared honestly.

The names of `vision_baselines.api` can be imported from here; each is loaded when it is first used, so that
``import vision_baselines`` imports neither torch nor Hydra.
"""

from typing import TYPE_CHECKING, Any

from vision_baselines import _moved, torchvision_compat

if TYPE_CHECKING:
    from vision_baselines.api import (
        Comparison,
        Predictions,
        Run,
        compare,
        compose,
        evaluate,
        export,
        load_run,
        load_runs,
        predict,
        reproduce,
        train,
    )

torchvision_compat.install()
_moved.install()

__version__ = "0.2.0"
__all__ = [
    "Comparison",
    "Predictions",
    "Run",
    "compare",
    "compose",
    "evaluate",
    "export",
    "load_run",
    "load_runs",
    "predict",
    "reproduce",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'vision_baselines' has no attribute {name!r}")
    from vision_baselines import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
