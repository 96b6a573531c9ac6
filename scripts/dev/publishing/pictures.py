"""The pictures of docs/experiments.md: which of a comparison's, and that each is of the figures beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

# Of each experiment, the picture of its comparison that the page shows.
SHOWN: Mapping[str, str] = {
    "data_efficiency": "over",
    "deep_residual_activations": "curve_depth_activation",
    "finetune": "curves_val_by_second",
    "image_size": "over",
    "pooling_and_shift": "curve_shift_acc",
    "shift_robustness": "curve_shift_acc",
    "skip_and_norm": "curve_depth_activation",
}


def keep_picture(name: str, comparison: Path, curves: Path) -> str:
    """Copy an experiment's picture for the page.

    Args:
        name: The experiment.
        comparison: The comparison of its runs.
        curves: Where the page's pictures lie.

    Returns:
        Its SHA-256; empty where the page shows none.

    Raises:
        FileNotFoundError: The comparison has not drawn it.
    """
    if name not in SHOWN:
        return ""
    content = (comparison / "pictures" / f"{SHOWN[name]}.png").read_bytes()
    curves.mkdir(exist_ok=True)
    (curves / f"{name}.png").write_bytes(content)
    return hashlib.sha256(content).hexdigest()
