"""The passes of `probes.features`: what the convolutions of one net answer to images, moved images and gratings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vision_baselines.analysis.conv_units import ConvUnits, watched
from vision_baselines.analysis.influence import effective_side, influence
from vision_baselines.analysis.selectivity import ClassVariance, ShiftCorrelation, gratings, orientation_selectivity
from vision_baselines.analysis.strongest import Strongest
from vision_baselines.data.perturbations import shifted

PATCHES = 9  # as in Zeiler & Fergus 2014, arXiv:1311.2901, figure 2
_MOVES = ((1, 0), (0, 1))  # down, right, in pixels
_BATCH = 32  # images whose maps of every layer are held at a time


@dataclass(frozen=True)
class Pictures:
    """The images that a net is asked about.

    Attributes:
        images: ``(N, C, H, W)``, as the data set holds them.
        target: int64 ``(N,)``; None where targets are not classes.
        num_classes: Number of classes.
        moved: How many of the images are also moved; 0 where pixels have no places.
        ready: Images as the data set holds them to what the net takes, on its device.
    """

    images: Tensor
    target: Tensor | None
    num_classes: int
    moved: int
    ready: Callable[[Tensor], Tensor]

    def some(self, count: int) -> Tensor:
        """Places of at most so many images, spread evenly over all."""
        total = len(self.images)
        return torch.linspace(0, total - 1, min(count, total), dtype=torch.float64).round().long()


@dataclass(frozen=True)
class LayerFound:
    """What was found of one convolution; numbers are one for each channel, float64 ``(C,)``, NaN where undefined."""

    strongest: Strongest
    orientation: Tensor
    class_selectivity: Tensor
    shift_invariance: Tensor
    effective_field: float


def answering(net: nn.Module, units: Sequence[ConvUnits], images: Tensor) -> list[ConvUnits]:
    """Those that answer each of several images ``(N, C, H, W)`` by a map of its own."""
    found = set()

    def look(place: int, output: Tensor) -> None:
        if output.shape == (len(images), units[place].channels, *units[place].size):
            found.add(place)

    with torch.no_grad(), watched(net, units, look):
        net(images)
    return [unit for place, unit in enumerate(units) if place in found]


def study(
    net: nn.Module, units: Sequence[ConvUnits], pictures: Pictures, image_shape: Sequence[int]
) -> list[LayerFound]:
    """All that is measured of each convolution.

    Args:
        net: In evaluation mode; it is not changed.
        units: Convolutions that answer image by image.
        pictures: What to ask about.
        image_shape: ``(C, H, W)``.
    """
    with torch.no_grad():
        strongest, by_class = _over_images(net, units, pictures)
        moved = _over_moves(net, units, pictures)
        tuned = _over_gratings(net, units, pictures.ready, image_shape)
    sides = [effective_side(influence(net, image_shape, unit.name, call=unit.call)) for unit in units]
    return [LayerFound(*found) for found in zip(strongest, tuned, by_class, moved, sides, strict=True)]


def maps_of(net: nn.Module, units: Sequence[ConvUnits], image: Tensor) -> list[Tensor]:
    """Each convolution's output for one image ``(1, C, H, W)`` that is ready: float32 ``(C, h, w)``, on the CPU."""
    found: dict[int, Tensor] = {}
    with torch.no_grad(), watched(net, units, lambda place, output: found.update({place: output[0].float().cpu()})):
        net(image)
    return [found[place].clone() for place in range(len(units))]


def _over_images(
    net: nn.Module, units: Sequence[ConvUnits], pictures: Pictures
) -> tuple[list[Strongest], list[Tensor]]:
    strongest = [Strongest(PATCHES) for _ in units]
    variances = [ClassVariance(pictures.num_classes) for _ in units]
    for start in range(0, len(pictures.images), 4 * _BATCH):
        images = pictures.images[start : start + 4 * _BATCH]
        numbers = torch.arange(start, start + len(images))

        def look(place: int, output: Tensor, numbers: Tensor = numbers) -> None:
            largest = strongest[place].update(output, numbers)
            if pictures.target is not None:
                variances[place].update(largest, pictures.target[numbers])

        with watched(net, units, look):
            net(pictures.ready(images))
    if pictures.target is None:
        return strongest, [_undefined(unit) for unit in units]
    return strongest, [variance.compute() for variance in variances]


def _over_moves(net: nn.Module, units: Sequence[ConvUnits], pictures: Pictures) -> list[Tensor]:
    correlations = [ShiftCorrelation() for _ in units]
    chosen = pictures.images[pictures.some(pictures.moved)] if pictures.moved else pictures.images[:0]
    still: dict[int, Tensor] = {}

    def keep(place: int, output: Tensor) -> None:
        still[place] = output.float().cpu().clone()

    def correlate(place: int, output: Tensor) -> None:
        correlations[place].update(still[place], output.float().cpu())

    for start in range(0, len(chosen), _BATCH):
        batch = chosen[start : start + _BATCH]
        with watched(net, units, keep):
            net(pictures.ready(batch))
        for down, right in _MOVES:
            by = torch.ones(len(batch), dtype=torch.int64)
            with watched(net, units, correlate):
                net(pictures.ready(shifted(batch, down=down * by, right=right * by)))
    return [
        correlation.compute() if len(chosen) else _undefined(unit)
        for unit, correlation in zip(units, correlations, strict=True)
    ]


def _over_gratings(
    net: nn.Module, units: Sequence[ConvUnits], ready: Callable[[Tensor], Tensor], image_shape: Sequence[int]
) -> list[Tensor]:
    answers: list[list[Tensor]] = [[] for _ in units]

    def look(place: int, output: Tensor) -> None:
        row, column = units[place].centre
        answers[place].append(output[:, :, row, column].float().cpu())

    images = gratings(image_shape)
    with watched(net, units, look):
        for start in range(0, len(images), 2 * _BATCH):
            net(ready(images[start : start + 2 * _BATCH]))
    return [orientation_selectivity(torch.cat(parts)) for parts in answers]


def _undefined(unit: ConvUnits) -> Tensor:
    return torch.full((unit.channels,), torch.nan, dtype=torch.float64)
