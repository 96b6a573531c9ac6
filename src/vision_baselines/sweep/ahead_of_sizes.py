"""What a preview imports in the server of its own, without the garbage collector's looks at it; see `ahead`."""

from __future__ import annotations

import importlib

from vision_baselines.importing import without_collector

with without_collector():
    for _name in ("vision_baselines.sweep.sizes", "vision_baselines.training.module"):
        importlib.import_module(_name)
