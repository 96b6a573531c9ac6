"""Feature maps of a few test images: what each convolution of a net makes of them, as a picture for each image."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from vision_baselines.analysis.conv_units import ConvUnits, conv_units
from vision_baselines.analysis.layer_trace import evaluation_mode
from vision_baselines.probes.feature_passes import answering, maps_of

log = logging.getLogger(__name__)


def feature_maps(trainer: pl.Trainer, pl_module: pl.LightningModule) -> Iterator[tuple[int, bytes]]:
    """The index of a test image and a PNG of its feature maps, for the first of up to three classes, while testing.

    Passes are made by a copy of the net, so that nothing of it is changed; a net without convolutions, or that cannot
    be copied or traced, has none.
    """
    image_shape = trainer.datamodule.image_shape  # type: ignore[attr-defined]
    if not any(isinstance(module, nn.Conv2d) for module in pl_module.modules()):
        return
    with torch.inference_mode(False), torch.no_grad():
        try:
            net: nn.Module = copy.deepcopy(pl_module.net)  # type: ignore[assignment]
        except Exception as error:  # a user's net may hold anything
            log.debug("no feature maps: the net cannot be copied (%s)", error)
            return
        with evaluation_mode(net), trainer.precision_plugin.test_step_context():
            try:
                found = conv_units(net, image_shape)
            except ValueError as error:
                log.debug("no feature maps: %s", error)
                return
            images = trainer.datamodule.splits.test.images[:2]  # type: ignore[attr-defined]
            units = answering(net, found, ready(trainer, images)) if len(images) == 2 else []
            if units:
                yield from draw_maps(trainer, net, units)


def draw_maps(
    trainer: pl.Trainer, net: nn.Module, units: Sequence[ConvUnits], images: Sequence[int] = ()
) -> Iterator[tuple[int, bytes]]:
    """The same for a net that is ready for it.

    Args:
        trainer: It is testing.
        net: In evaluation mode.
        units: Its convolutions that answer image by image.
        images: Indices of test images; none takes the first of up to three classes.
    """
    from vision_baselines.probes.feature_pictures import maps_picture  # a run without pictures need not wait for it

    test = trainer.datamodule.splits.test  # type: ignore[attr-defined]
    names = trainer.datamodule.splits.class_names  # type: ignore[attr-defined]
    for index in images or _first_of_classes(test.target, len(names)):
        image = test.images[index].cpu()
        maps = maps_of(net, units, ready(trainer, image[None]))
        of = f", class {names[int(test.target[index])]}" if names else ""
        yield index, maps_picture(f"test image {index}{of}", image, units, maps)


def ready(trainer: pl.Trainer, images: Tensor) -> Tensor:
    """Images (N, C, H, W) as the data set holds them to what the net takes, on its device."""
    target = torch.zeros(len(images), dtype=torch.int64)
    prepared: Tensor = trainer.strategy.batch_to_device((images, target), dataloader_idx=0)[0]
    return prepared


def _first_of_classes(target: Tensor, classes: int) -> list[int]:
    """The first image of each of the first three classes; where there are no classes, the first three."""
    if not classes:
        return list(range(min(3, len(target))))
    found = [(target == label).nonzero() for label in range(classes)]
    return [int(places[0]) for places in found if len(places)][:3]
