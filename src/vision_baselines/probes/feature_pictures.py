"""The pictures of `probes.features`: what was found, cut out of the test images and handed to `plots.features`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from torch import Tensor

from vision_baselines.analysis.conv_units import ConvUnits, cut_out, windows
from vision_baselines.analysis.influence import Box
from vision_baselines.data.displayed import displayed
from vision_baselines.plots.export import png
from vision_baselines.plots.features import (
    LayerPatches,
    depth_figure,
    hierarchy_sheet,
    maps_sheet,
    patches_sheet,
    spread,
)
from vision_baselines.plots.style import RULE, house_style
from vision_baselines.probes.feature_passes import LayerFound
from vision_baselines.runs.record import Curve

_BORDER = tuple(round(255 * part) for part in to_rgb(RULE))
_MAPS = 8  # channels of a layer


def hierarchy_picture(rows: Sequence[LayerPatches], images: int) -> bytes:
    """Some channels of every layer."""
    with house_style():
        return hierarchy_sheet(
            "What each convolution answers to, from the image on",
            f"For each channel the 9 patches of {images:,} test images with the largest response, one an image, "
            "cut out by the receptive field; grey is outside the image or not seen.",
            rows,
        )


def patches_picture(layer: LayerPatches, images: int) -> bytes:
    """Every channel of a layer that is shown."""
    with house_style():
        return patches_sheet(f"{layer.title}: the 9 of {images:,} test images that excite each channel most", layer)


def maps_picture(of: str, image: Tensor, units: Sequence[ConvUnits], maps: Sequence[Tensor]) -> bytes:
    """Feature maps of an image ``(C, H, W)``: some channels of every layer."""
    rows = []
    for unit, values in zip(units, maps, strict=True):
        channels = spread(range(unit.channels), _MAPS)
        rows.append((unit.label, tuple(channels), values[channels].nan_to_num().numpy()))
    with house_style():
        return maps_sheet(
            f"Feature maps of {of}: outputs of the convolutions, blue below 0, red above", displayed(image), rows
        )


def depth_picture(panels: Mapping[str, Mapping[str, Curve]]) -> bytes:
    """The numbers over depth."""
    with house_style():
        return png(depth_figure("What changes with depth, mean over a layer's channels", list(panels.items())))


def layer_patches(
    unit: ConvUnits,
    channels: Sequence[int],
    images: Tensor,
    found: Mapping[str, LayerFound],
    climbed: Tensor | None = None,
) -> LayerPatches:
    """A layer's patches, all of one size.

    Args:
        unit: The layer.
        channels: Channels to show.
        images: ``(N, C, H, W)``, those that the layer was asked about.
        found: What was found of the trained net and, where there is one, of the untrained net.
        climbed: ``(channels, C, H, W)``, pixels from 0 to 255.
    """
    boxes = {kind: _boxes(unit, channels, layer) for kind, layer in found.items()}
    shown = iter(windows([box for kind in boxes for box in boxes[kind]], unit.image_size))
    seen = {kind: [(box, next(shown)) for box in of] for kind, of in boxes.items()}
    drawn = {kind: _patches(seen[kind], channels, images, found[kind]) for kind in boxes}
    centre = unit.box(*unit.centre)
    window = windows([centre], unit.image_size)[0]
    after = found["trained"]
    dead = int((~after.strongest.varies).sum())
    return LayerPatches(
        title=unit.label,
        facts=(
            f"{unit.channels} channels, {unit.kernel_size[0]}×{unit.kernel_size[1]} kernels",
            "sees the whole image" if unit.field_size is None else f"sees {unit.field_size[0]}×{unit.field_size[1]} px",
            f"95 % of it in {after.effective_field:.1f}×{after.effective_field:.1f} px",
            *([f"{dead} never vary"] if dead else []),
        ),
        channels=tuple(channels),
        after=drawn["trained"],
        before=drawn.get("untrained"),
        climbed=None
        if climbed is None
        else np.stack([_framed(_stretched(image), centre, window) for image in climbed]),
    )


def _stretched(image: Tensor) -> Tensor:
    """An image ``(C, H, W)`` whose darkest value becomes black and its brightest white."""
    low, high = image.min(), image.max()
    return (image - low) / (high - low).clamp(min=1e-6) * 255


def _boxes(unit: ConvUnits, channels: Sequence[int], layer: LayerFound) -> list[Box]:
    rows, columns = layer.strongest.rows[channels], layer.strongest.columns[channels]
    return [unit.box(int(r), int(c)) for r, c in zip(rows.flatten(), columns.flatten(), strict=True)]


def _patches(
    seen: Sequence[tuple[Box, Box]], channels: Sequence[int], images: Tensor, layer: LayerFound
) -> NDArray[np.uint8]:
    """uint8 ``(channels, 9, h, w, 3)``; a channel that never varies has empty ones."""
    numbers = layer.strongest.images[channels]
    patches = np.stack([_framed(images[int(n)], *boxes) for n, boxes in zip(numbers.flatten(), seen, strict=True)])
    made = patches.reshape(*numbers.shape, *patches.shape[1:])
    made[~layer.strongest.varies[channels].numpy()] = _BORDER
    return made


def _framed(image: Tensor, box: Box, window: Box) -> NDArray[np.uint8]:
    """A window of an image, in a neutral grey outside the image and outside the box."""
    patch, inside = cut_out(image, window)
    pixels = displayed(patch)
    rows, columns = np.arange(window.height) + window.top, np.arange(window.width) + window.left
    is_row = (rows >= box.top) & (rows < box.top + box.height)
    is_column = (columns >= box.left) & (columns < box.left + box.width)
    pixels[~(inside.numpy() & is_row[:, None] & is_column)] = _BORDER
    return pixels
