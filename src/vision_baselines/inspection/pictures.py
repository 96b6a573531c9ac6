"""The two pictures of an inspection: what one unit sees on a real image, and how sizes and fields go with depth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig
from torch import nn

from vision_baselines.analysis.influence import Box, influence, nonzero_box
from vision_baselines.analysis.layer_trace import LayerInfo
from vision_baselines.comparison.formatting import shortened
from vision_baselines.inspection.field_figure import MOST_LAYERS, SeenArea, field_figure
from vision_baselines.inspection.growth_figure import Stage, growth_figure
from vision_baselines.inspection.model import Inspection
from vision_baselines.inspection.picture_files import write_png
from vision_baselines.inspection.sample_image import sample_image
from vision_baselines.training.parameter_table import field_text

FIELD_FILE, GROWTH_FILE = "receptive_field.png", "growth.png"


def draw(found: Inspection, cfg: DictConfig, folder: Path) -> list[Path]:
    """Write what can be drawn of the net into the folder: without convolutions there is no growth.

    Returns:
        The files written.
    """
    paths = []
    if _draw_field(found, cfg, folder / FIELD_FILE):
        paths.append(folder / FIELD_FILE)
    stages = growth_stages(found.size.layers)
    if stages:
        input_size = max(found.image_shape[1:])
        write_png(folder / GROWTH_FILE, lambda: growth_figure(stages, input_size=input_size))
        paths.append(folder / GROWTH_FILE)
    return paths


def seeing_layers(found: Inspection) -> list[LayerInfo]:
    """The convolutions whose units are drawn, spread over the depth, the last one among them; else a dense layer."""
    modules = dict(found.net.named_modules())
    called = [layer for layer in found.size.layers if layer.output_shape is not None]
    convolutions = [layer for layer in called if isinstance(modules[layer.name], nn.Conv2d)]
    if not convolutions:
        return [layer for layer in called if isinstance(modules[layer.name], nn.Linear)][:1]
    distinct: list[LayerInfo] = []
    for layer in convolutions[:-1]:
        # A 1x1 sees what the layer before it sees, and a shortcut less than the block beside it: neither is news.
        if (layer.receptive_field or 0) > (distinct[-1].receptive_field or 0 if distinct else 0):
            distinct.append(layer)
    last = convolutions[-1]
    distinct = [layer for layer in distinct if layer.receptive_field != last.receptive_field] + [last]
    steps = min(MOST_LAYERS, len(distinct))
    return [distinct[round(index * (len(distinct) - 1) / max(1, steps - 1))] for index in range(steps)]


def growth_stages(layers: Sequence[LayerInfo]) -> list[Stage]:
    """The layers that change the output size or the field, along the path on which the field is largest."""
    stages: list[Stage] = []
    seen = (0, 1)
    for layer in layers:
        if layer.output_shape is None or len(layer.output_shape) != 3 or layer.receptive_field is None:
            continue
        now = (max(layer.output_shape[1:]), layer.receptive_field)
        if now != seen and now[1] >= seen[1]:  # A shortcut beside a block sees less than the block.
            stages.append(Stage(shortened(layer.name, 18), *now))
            seen = now
    return stages


def _draw_field(found: Inspection, cfg: DictConfig, path: Path) -> bool:
    """Draw it if there is one: not of a net that pixels cannot move, or whose gradients it keeps to itself."""
    layers = seeing_layers(found)
    maps = [influence(found.net, found.image_shape, layer.name) for layer in layers]
    boxes = [nonzero_box(pixels) for pixels in maps]
    areas = [
        SeenArea(layer.name, _field_on_image(layer, box, found.image_shape), box)
        for layer, box in zip(layers, boxes, strict=True)
        if box is not None
    ]
    if not boxes or boxes[-1] is None:
        return False
    image = sample_image(cfg)
    write_png(path, lambda: field_figure(image, areas, maps[-1].numpy()))
    return True


def _field_on_image(layer: LayerInfo, box: Box, image_shape: Sequence[int]) -> str:
    covered = (box.height, box.width) == tuple(image_shape[1:]) and not layer.whole_image
    return field_text(layer) + (", all of this image" if covered else "")
