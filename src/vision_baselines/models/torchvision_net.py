"""Any of torchvision's classifiers, fitted to the channels, the size and the classes of the data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights, list_models

from vision_baselines.errors import ConfigError, StorageError
from vision_baselines.models.arguments import one_of
from vision_baselines.models.zoo import ZooNet, for_channels

_OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$")
_AUXILIARY = re.compile(r"^(aux\d?|AuxLogits)\.")


class TorchvisionNet(ZooNet):
    """A classifier of torchvision's, by the name of its function, such as ``resnet18`` or ``vit_b_16``.

    The first convolution is one for the data's channels, drawn with the spread that torchvision draws it with. Nets
    with auxiliary outputs are built without them. Position embeddings are those of the data's images, so pretrained
    ones need images of the size that they were made for.
    """

    option = "torchvision"

    @classmethod
    def check_arch(cls, arch: str) -> None:
        """See `ZooNet`."""
        known = list_models(module=torchvision.models)
        try:
            one_of("arch", arch, known)
        except ValueError as error:
            text = str(error)
            if "did you mean" in text:
                text = f"model.arch is {arch!r}; {text.rpartition('; ')[2]}"
            raise ConfigError(text) from error

    def built(self, image_shape: tuple[int, int, int]) -> nn.Module:
        """See `ZooNet`."""
        channels, height, width = image_shape
        options: dict[str, Any] = {}
        if self.arch in ("inception_v3", "googlenet"):
            options = {"aux_logits": False, "init_weights": True}
        elif self.arch.startswith("vit_"):
            patch = int(self.arch.rpartition("_")[2])
            if height != width or height % patch:
                side = max(patch, -(-height // patch) * patch)
                raise ConfigError(
                    f"model.arch={self.arch} takes square images with sides that are multiples of {patch} pixels; "
                    f"data.image_shape is {list(image_shape)}: set data.resize={side} "
                    f"data.image_shape=[{channels},{side},{side}]"
                )
            options = {"image_size": height}
        elif self.arch.startswith("maxvit"):
            options = {"input_size": (height, width)}
        try:
            net: nn.Module = get_model(self.arch, weights=None, num_classes=self.num_classes, **options)
        except (ValueError, AssertionError, ZeroDivisionError) as error:
            text = " ".join(str(error).split())
            raise ConfigError(
                f"model.arch={self.arch} does not take images of {channels}×{height}×{width}: {text[:200]}; "
                "set data.resize and data.image_shape, such as 224"
            ) from error
        if channels != 3:
            _fit_first_convolution(net, channels)
        return net

    @classmethod
    def at_hand(cls, arch: str) -> Path:
        """See `ZooNet`."""
        path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(_address(arch)).path).name
        if not path.is_file():
            raise StorageError(
                f"the weights of {arch} are not at hand ({path}); put them there, name their file "
                "(model.pretrained=FILE), or let them be fetched (model.download=true)"
            )
        return path

    def fetched(self) -> Path:
        """See `ZooNet`."""
        url = _address(self.arch)
        try:
            torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
        except (OSError, RuntimeError) as error:
            raise StorageError(f"the weights of {self.arch} cannot be fetched from {url}: {error}") from error
        return self.at_hand(self.arch)

    def fitted(self, weights: dict[str, Tensor]) -> Mapping[str, Tensor]:
        """See `ZooNet`."""
        own = self.body.state_dict()
        named = {_OLD_DENSENET.sub(r"\1\2", name): value for name, value in weights.items()}
        named = {name: value for name, value in named.items() if name in own or not _AUXILIARY.match(name)}
        first = f"{_first_convolution(self.body)[0]}.weight"
        if first in named and first in own:
            named[first] = for_channels(named[first], own[first].shape[1])
        return named


def _address(arch: str) -> str:
    return str(get_model_weights(arch)["DEFAULT"].value.url)


def _first_convolution(net: nn.Module) -> tuple[str, nn.Conv2d]:
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            return name, module
    raise ConfigError(f"{type(net).__name__} has no convolution")


def _fit_first_convolution(net: nn.Module, channels: int) -> None:
    name, old = _first_convolution(net)
    if old.in_channels != 3 or old.groups != 1:
        raise ConfigError(f"the first convolution of {type(net).__name__} takes {old.in_channels} channels, not 3")
    new = nn.Conv2d(
        channels,
        old.out_channels,
        kernel_size=old.kernel_size,  # type: ignore[arg-type]
        stride=old.stride,  # type: ignore[arg-type]
        padding=old.padding,  # type: ignore[arg-type]
        dilation=old.dilation,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    spread = float(old.weight.detach().std()) if not old.weight.is_meta else 1.0
    nn.init.normal_(new.weight, std=spread)
    if new.bias is not None and old.bias is not None and not old.bias.is_meta:
        new.bias.data.copy_(old.bias.data)
    parent, _, last = name.rpartition(".")
    setattr(net.get_submodule(parent), last, new)
