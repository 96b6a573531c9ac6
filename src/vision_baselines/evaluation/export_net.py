"""A trained net with all that surrounds it as one module, pictures in and probabilities out, and that module traced."""

from __future__ import annotations

import logging
import re
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from vision_baselines.comparison.formatting import one_line
from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.data.split_changes import pixel_permutation
from vision_baselines.errors import ConfigError, is_out_of_memory
from vision_baselines.training.task_module import TaskModule

_LONGEST = 240
_FIXED = "Constraints violated (batch)"  # what torch says of a batch that cannot be of any size
_CALL = re.compile(r'The following call raised this error:\s+File "([^"]+)", line (\d+)')


class PicturesToProbabilities(nn.Module):
    """uint8 pictures (N, C, H, W), 0 … 255, to probabilities (N, K) float32: what a run's test does, and nothing else.

    Normalisation, the order of pixels where a run trains on a fixed other one, and softmax (of a binary task the two
    of (0, z)) are inside.

    Args:
        classifier: In evaluation mode.
        datamodule: Whose mean and standard deviation it was trained with.
    """

    def __init__(self, classifier: TaskModule, datamodule: ImageDataModule) -> None:
        super().__init__()
        self.net, self.task = classifier.net, classifier.task
        channels = len(datamodule.mean)
        mean, std = (torch.tensor(of).view(channels, 1, 1) for of in (datamodule.mean, datamodule.std))
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)
        order = pixel_permutation(*datamodule.image_shape[-2:]) if datamodule.permute_pixels else None
        self.register_buffer("order", order)
        parameter = next(classifier.net.parameters(), None)
        self.dtype = torch.float32 if parameter is None else parameter.dtype

    scale: Tensor
    shift: Tensor
    order: Tensor | None

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities (N, K) of uint8 pictures (N, C, H, W)."""
        if self.order is not None:
            images = images.flatten(2).index_select(2, self.order).view(images.shape)
        floats = (images.to(torch.float32) * self.scale + self.shift).to(self.dtype)
        outputs = self.task.outputs(self.net, floats)
        outputs = outputs.float() if outputs.dtype.itemsize == 2 else outputs
        shares = self.task.probabilities(outputs)
        assert shares is not None  # a task without classes was refused
        return shares.to(torch.float32)

    def in_single_precision(self) -> PicturesToProbabilities:
        """The same with weights and activations in float32."""
        self.float()
        self.dtype = torch.float32
        return self


def traced(module: PicturesToProbabilities, images: Tensor) -> ExportedProgram:
    """The module as a graph that takes any number of pictures.

    Args:
        module: In evaluation mode.
        images: Two or more pictures, uint8 (N, C, H, W).

    Raises:
        ConfigError: torch.export cannot take it, and why.
    """
    # strides are no part of the graph's meaning, and the archive's writer warns of weights that are not contiguous
    module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    try:
        program = _followed(module, images)
    except Exception as error:  # torch has no common class for what it cannot trace
        if is_out_of_memory(error):
            raise
        raise ConfigError(f"torch.export cannot take this net: {_reason(error)}") from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names files of this machine
    return program


def _followed(module: nn.Module, images: Tensor) -> ExportedProgram:
    shapes = ({0: Dim("batch", min=1)},)
    with quiet(), torch.no_grad():
        try:
            return torch.export.export(module, (images,), dynamic_shapes=shapes)
        except Exception as error:
            if _FIXED not in str(error):
                raise
            # Python's len() of a tensor is a plain number; read from the bytecode it is not
            return torch.export.export(module, (images,), dynamic_shapes=shapes, strict=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what exporters log and warn of, which is for their developers."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _reason(error: Exception) -> str:
    text = str(error)
    if _FIXED in text:
        return (
            "its forward is made for one number of pictures: it decides by that number, goes through them one by one, "
            "or has it in a shape; expected code that holds for any batch"
        )
    if "data-dependent" in text:
        where = f" ({Path(found[1]).name}, line {found[2]})" if (found := _CALL.search(text)) else ""
        return f"its forward decides by the values of the pictures, as if, float() or .item() of a tensor do{where}"
    first = next((line for line in text.splitlines() if line.strip()), "")
    steps = [step for step in traceback.extract_tb(error.__traceback__) if "torch" not in Path(step.filename).parts]
    where = f" ({Path(steps[-1].filename).name}, line {steps[-1].lineno})" if steps else ""
    return f"{type(error).__name__}: {one_line(first, _LONGEST)}{where}"
