"""The filters of a finished run: its first layer's from ``filters.npy``, any convolution's from the weights it kept."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from vision_baselines.analysis.filter_grid import first_layer_filters
from vision_baselines.errors import ConfigError
from vision_baselines.runs.files import FILTERS_FILE
from vision_baselines.runs.record import RunRecord, finished_record
from vision_baselines.storage.reading import read_regular

FIRST = "first layer"
_MOST_BYTES = 2**30
_LISTED = 8


@dataclass(frozen=True)
class LayerFilters:
    """A layer's filters, (N, C, kH, kW) float32: `trained` of the weights that were kept, `untrained` as drawn."""

    layer: str
    trained: NDArray[np.float32]
    untrained: NDArray[np.float32] | None = None


def filters_of_run(
    folder: Path, layer: str | None = None, *, before: bool = False, trusted_packages: Sequence[str] = ()
) -> LayerFilters:
    """The filters of one layer of a finished run.

    Args:
        folder: The run's folder.
        layer: Name of a convolution inside the net; None takes the first layer, also where that is dense and its
            inputs are pixels: a unit's weights are then laid out as the image.
        before: Whether to draw the weights before training too, again from the seed.
        trusted_packages: Packages whose classes the run's config may name.

    Raises:
        DataError: The folder holds no finished run.
        StorageError: The checkpoint is missing or damaged.
        ConfigError: The net has no such layer, or it has no filters; or the run began with the weights of another one.
    """
    record = finished_record(folder)
    stored = None if layer else _stored(folder)
    if stored is None:
        from vision_baselines.config.restore import restored  # what filters.npy holds needs no net, nor the wait for it
        from vision_baselines.training.best_weights import kept_path
        from vision_baselines.training.load import load_classifier

        there = restored(record.config, folder, trusted_packages=trusted_packages, writes=False)
        classifier, datamodule = load_classifier(kept_path(there), trusted_packages=trusted_packages)
        stored = _filters(classifier.net, layer, datamodule.image_shape)
    untrained = _untrained(record, folder, layer, trusted_packages) if before else None
    return LayerFilters(layer or FIRST, stored, untrained)


def _stored(folder: Path) -> NDArray[np.float32] | None:
    """What the run left as ``filters.npy``; None where that is missing or not an array of filters."""
    try:
        content = read_regular(folder / FILTERS_FILE, most_bytes=_MOST_BYTES)
        found = np.asarray(np.load(io.BytesIO(content), allow_pickle=False), dtype=np.float32)
    except (OSError, ValueError, TypeError, EOFError):
        return None
    return found if found.ndim == 4 and found.size else None


def _untrained(
    record: RunRecord, folder: Path, layer: str | None, trusted_packages: Sequence[str]
) -> NDArray[np.float32]:
    if record.init_weights_sha256:
        raise ConfigError(
            f"this run began with the weights of another one (init_from={record.config.get('init_from')}), not with "
            "drawn ones; ask for that run's filters"
        )
    from vision_baselines.config.restore import restored
    from vision_baselines.runs import environment
    from vision_baselines.training import build

    cfg = restored(record.config, folder, trusted_packages=trusted_packages, writes=False)
    with environment.process_kept():
        environment.prepare_process(threads=cfg.threads)
        environment.seed_process(cfg.seed)
        return _filters(build.classifier(cfg).net, layer, tuple(record.config["data"]["image_shape"]))


def _filters(net: nn.Module, layer: str | None, image_shape: Sequence[int]) -> NDArray[np.float32]:
    try:
        if layer is None:
            return first_layer_filters(net, image_shape).float().cpu().numpy()
    except ValueError as error:
        raise ConfigError(f"{error}; --layer chooses a convolution: {_convolutions(net)}") from error
    module = dict(net.named_modules()).get(layer)
    if isinstance(module, nn.Conv2d):
        return module.weight.detach().float().cpu().numpy()
    kind = f"{layer} is a {type(module).__name__}" if module is not None else f"the net has no layer {layer!r}"
    inputs = ", whose inputs are no places of an image," if isinstance(module, nn.Linear) else ""
    raise ConfigError(f"{kind}{inputs} and filters are of convolutions: {_convolutions(net, layer)}")


def _convolutions(net: nn.Module, near: str = "") -> str:
    """Names of the net's convolutions, those inside the module `near` alone where there are any."""
    names = [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)]
    names = [name for name in names if near and name.startswith(f"{near}.")] or names
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more if names else "this net has none"
