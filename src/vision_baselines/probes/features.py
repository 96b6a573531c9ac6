"""What the convolutions of a net have learned, layer by layer, seen and measured, trained beside untrained.

Feature maps of chosen images; for each channel the test patches that excite it most, cut out by the exact receptive
field (Zeiler & Fergus 2014, arXiv:1311.2901, without their deconvolution); images found by gradient ascent
(`analysis.ascent`); and over depth: the effective receptive field beside the theoretical one (`analysis.influence`),
selectivity for orientation and for class, and invariance to a move by one pixel (`analysis.selectivity`).

Measured is the output of the convolution itself, before normalisation and activation. So where batch normalisation has
turned a channel's sign, what follows it answers to the opposite of what is shown.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from vision_baselines.analysis.ascent import excite
from vision_baselines.analysis.conv_units import ConvUnits, conv_units
from vision_baselines.analysis.layer_trace import evaluation_mode
from vision_baselines.errors import ConfigError
from vision_baselines.plots.features import spread
from vision_baselines.probes.feature_maps import draw_maps, ready
from vision_baselines.probes.feature_passes import LayerFound, Pictures, answering, study
from vision_baselines.probes.probe import Probe, draw_curves, tested
from vision_baselines.runs.record import Curve
from vision_baselines.seeding import generator

log = logging.getLogger(__name__)

_MEASURES = {
    "effective_field": ("Receptive field: where 95 % of the gradient lies", "side, px"),
    "orientation": ("Selectivity for orientation", "1 - circular variance"),
    "class_selectivity": ("Selectivity for class", "variance explained by class"),
    "shift_invariance": ("Invariance to a move by 1 px", "correlation"),
}
_MOVED = 128  # images that are also moved
_X_LABEL = "convolution, in order of the calls"
Found = dict[str, list[LayerFound]]


class Features(Probe):
    """Draws ``features/*.png`` and keeps a curve over the convolutions for each measure.

    ``features/hierarchy.png`` shows some channels of every layer, ``features/patches_NN_NAME.png`` all of one layer,
    ``features/maps_N.png`` an image's feature maps, ``features/by_depth.png`` the numbers. The curves are means over a
    layer's channels: ``features/orientation`` and so on, and beside each ``features/orientation_untrained``. Logged are
    those of the first and last convolution, ``features/orientation_first`` … . It costs about as much as testing three
    times. Passes are made by a copy of the net, uncompiled, so that nothing of the net is changed.

    Args:
        layers: Names of convolutions; None for every one.
        images: Indices of test images whose feature maps are drawn; None for the first of up to three classes.
        max_channels: Channels of a layer whose patches are drawn.
        max_images: Test images that are looked through for patches, spread evenly over the split; None for all.
        ascent_channels: Channels of a layer that are shown in the hierarchy, spread evenly, and climbed.
        ascent_steps: Steps of the climb; 0 for none.
        init_from: Where the run's first weights come from if not from its seed; there is no untrained net then.

    Raises:
        ConfigError: An argument is out of range, or at `setup` the net lacks a convolution that `layers` names, or the
            test split an image.
    """

    def __init__(
        self,
        layers: Sequence[str] | None = None,
        images: Sequence[int] | None = None,
        max_channels: int = 64,
        max_images: int | None = 2000,
        ascent_channels: int = 4,
        ascent_steps: int = 64,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("max_channels", max_channels, 1),
            ("max_images", 1 if max_images is None else max_images, 1),
            ("ascent_channels", ascent_channels, 1),
            ("ascent_steps", ascent_steps, 0),
            *(("images", image, 0) for image in _listed("images", images)),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"probe.features.{name} is {value!r}; expected a whole number of at least {least}")
        self.layers = _listed("layers", layers)
        self.images = _listed("images", images)
        self.max_channels, self.max_images = max_channels, max_images
        self.ascent_channels, self.ascent_steps = ascent_channels, ascent_steps
        self._is_drawn = not init_from
        self._initial: dict[str, Tensor] | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep the weights as they were drawn, and refuse names and images that are not there.

        Lightning comes by before it puts a checkpoint's weights in; see `probes.edges`.
        """
        net: nn.Module = pl_module.net  # type: ignore[assignment]
        known = {name: module for name, module in net.named_modules() if isinstance(module, nn.Conv2d)}
        if missing := [name for name in self.layers if name not in known]:
            some = ", ".join(list(known)[:8]) or "none: the net has no convolution"
            raise ConfigError(f"probe.features.layers names {missing[0]!r}; expected convolutions of the net: {some}")
        count = len(trainer.datamodule.splits.test.target)  # type: ignore[attr-defined]
        if beyond := [image for image in self.images if image >= count]:
            raise ConfigError(f"probe.features.images has {beyond[0]}; the test split has images 0 to {count - 1}")
        if self._initial is None and self._is_drawn and known:
            self._initial = {name: value.detach().cpu().clone() for name, value in net.state_dict().items()}

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure, log and draw."""
        image_shape = trainer.datamodule.image_shape  # type: ignore[attr-defined]
        precision = trainer.precision_plugin
        with torch.inference_mode(False), torch.no_grad():  # gradients are needed, and made from ordinary tensors
            try:
                net: nn.Module = copy.deepcopy(pl_module.net)  # type: ignore[assignment]
            except Exception as error:  # a user's net may hold anything
                log.info("probe.features: nothing is done, the net cannot be copied (%s)", " ".join(str(error).split()))
                return
            with evaluation_mode(net), precision.test_step_context():
                pictures = self._pictures(trainer, pl_module)
                units = self._units(net, pictures, image_shape)
                if not units:
                    return
                found: Found = {"trained": study(net, units, pictures, image_shape)}
                for index, png in draw_maps(trainer, net, units, self.images):
                    self.add_picture(trainer, f"features/maps_{index}", png)
                climbed = self._climbed(net, units, pictures)
                if self._initial is not None:
                    net.load_state_dict(self._initial)
                    found["untrained"] = study(net, units, pictures, image_shape)
        self._note_numbers(trainer, pl_module, units, found)
        self._draw_patches(trainer, units, pictures, found, climbed)

    def _pictures(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Pictures:
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        images, target = tested(trainer)
        classes, prepare = len(datamodule.splits.class_names), partial(ready, trainer)
        whole = Pictures(images.cpu(), target.cpu() if classes else None, classes, 0, prepare)
        chosen = whole.some(self.max_images or len(whole.images))
        labels = None if whole.target is None else whole.target[chosen]
        return Pictures(whole.images[chosen], labels, classes, 0 if datamodule.permute_pixels else _MOVED, prepare)

    def _units(self, net: nn.Module, pictures: Pictures, image_shape: Sequence[int]) -> list[ConvUnits]:
        """The convolutions that are looked at; a line in the log says why there is none, or which is left out."""
        if not any(isinstance(module, nn.Conv2d) for module in net.modules()):
            log.info("probe.features: nothing is done, the net has no convolution (nn.Conv2d)")
            return []
        units = [unit for unit in conv_units(net, image_shape) if not self.layers or unit.name in self.layers]
        answers = answering(net, units, pictures.ready(pictures.images[:2]))
        if not answers:
            log.info("probe.features: nothing is done, no convolution is called with a map of each image")
        elif left_out := [unit.label for unit in units if unit not in answers]:
            log.info("probe.features: %s left out, which are not called with a map of each image", ", ".join(left_out))
        return answers

    def _climbed(self, net: nn.Module, units: Sequence[ConvUnits], pictures: Pictures) -> list[Tensor]:
        """For each layer float32 ``(channels, C, H, W)``, pixels from 0 to 255."""
        if not self.ascent_steps:
            return []
        ends = [
            pictures.ready(value * torch.ones(1, *pictures.images.shape[1:])).cpu().float()[0] for value in (0, 255)
        ]
        low, high = (end[:, :1, :1] for end in ends)
        return [
            (
                excite(
                    net,
                    unit,
                    self._shown(unit),
                    low=low,
                    high=high,
                    steps=self.ascent_steps,
                    generator=generator("features", "ascent", unit.name, unit.call),
                )
                - low
            )
            / (high - low)
            * 255
            for unit in units
        ]

    def _shown(self, unit: ConvUnits) -> list[int]:
        """Channels in the hierarchy."""
        return spread(range(unit.channels), self.ascent_channels)

    def _note_numbers(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, units: Sequence[ConvUnits], found: Found
    ) -> None:
        from vision_baselines.probes.feature_pictures import depth_picture

        panels = {}
        for measure, (title, y_label) in _MEASURES.items():
            curves = {kind: _curve(layers, measure, y_label) for kind, layers in found.items()}
            if not curves["trained"].x:
                continue
            if measure == "effective_field":
                curves["theoretical"] = _theoretical(units, y_label)
            name = f"features/{measure}"
            self.curves[name] = curves["trained"]
            self.curves |= {f"{name}_{kind}": curve for kind, curve in curves.items() if kind != "trained"}
            ends = {"first": curves["trained"].y[0], "last": curves["trained"].y[-1]}
            self.log_metrics(pl_module, {f"{name}_{end}": value for end, value in ends.items()})
            draw_curves(trainer, name, title, list(curves.items()))
            panels[title] = curves
        self.pictures["features/by_depth.png"] = depth_picture(panels)

    def _draw_patches(
        self,
        trainer: pl.Trainer,
        units: Sequence[ConvUnits],
        pictures: Pictures,
        found: Found,
        climbed: Sequence[Tensor],
    ) -> None:
        from vision_baselines.probes.feature_pictures import hierarchy_picture, layer_patches, patches_picture

        rows = []
        for place, unit in enumerate(units):
            of = {kind: layers[place] for kind, layers in found.items()}
            all_of_it = layer_patches(unit, list(range(min(unit.channels, self.max_channels))), pictures.images, of)
            name = f"features/patches_{place + 1:02d}_{unit.label.replace(', call ', '_').replace(' ', '_')}.png"
            self.pictures[name] = patches_picture(all_of_it, len(pictures.images))
            shown = self._shown(unit)
            rows.append(layer_patches(unit, shown, pictures.images, of, climbed[place] if climbed else None))
        self.add_picture(trainer, "features/hierarchy", hierarchy_picture(rows, len(pictures.images)))


def _listed(name: str, given: Any) -> list[Any]:
    if given is None:
        return []
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise ConfigError(f"probe.features.{name} is {given!r}; expected a list of at least one, or null")
    return list(given)


def _curve(layers: Sequence[LayerFound], measure: str, y_label: str) -> Curve:
    """A measure over the layers: the mean over channels that have it."""
    values = [float(np.nanmean(v)) if not np.isnan(v).all() else np.nan for v in _values(layers, measure)]
    kept = [(float(place + 1), value) for place, value in enumerate(values) if np.isfinite(value)]
    return Curve(x=[x for x, _ in kept], y=[y for _, y in kept], x_label=_X_LABEL, y_label=y_label)


def _values(layers: Sequence[LayerFound], measure: str) -> list[Any]:
    return [np.atleast_1d(np.asarray(getattr(layer, measure))) for layer in layers]


def _theoretical(units: Sequence[ConvUnits], y_label: str) -> Curve:
    sides = [float(max(unit.field_size or unit.image_size)) for unit in units]
    return Curve(x=[float(place + 1) for place in range(len(sides))], y=sides, x_label=_X_LABEL, y_label=y_label)
