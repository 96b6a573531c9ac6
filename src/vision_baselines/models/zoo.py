"""What nets of other libraries have in common: weights that are at hand or not, and images that fit or not.

Weights are read from this machine: from the cache of the library they belong to, or from a file. Nothing is fetched
unless the config says so, and nothing is unpickled but tensors and plain values.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vision_baselines.errors import ConfigError, StorageError
from vision_baselines.models.arguments import checked_image_shape
from vision_baselines.models.transfer import load_backbone

_SIDES = (32, 64, 96, 128, 160, 192, 224, 256, 299, 384)
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.")


class ZooNet(nn.Module, ABC):
    """A net of another library, by the name that it has there.

    Args:
        image_shape: (channels, height, width) of one image, in pixels.
        num_classes: Number of logits.
        arch: Its name in the library.
        pretrained: Whether it starts from the library's weights, or the file of others; all but the layer that makes
            the logits. They are read when a run starts, so what is trained needs them no more.
        download: Whether weights that are not at hand may be fetched.

    Raises:
        ConfigError: There is no such net, or it does not take such images.
    """

    option = ""

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        arch: str,
        *,
        pretrained: bool | str = False,
        download: bool = False,
    ) -> None:
        super().__init__()
        self.image_shape = checked_image_shape(image_shape)
        self.num_classes, self.arch = num_classes, arch
        self.pretrained, self.download = pretrained, download
        self.check_arch(arch)
        self.body = self.built(self.image_shape)
        if reason := self._refusal(self.body, self.image_shape):
            raise ConfigError(self._does_not_take(reason))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) for images (N, C, H, W)."""
        logits: Tensor = self.body(images)
        return logits

    @classmethod
    @abstractmethod
    def check_arch(cls, arch: str) -> None:
        """Refuse a name that the library does not have, with the nearest one that it has."""

    @abstractmethod
    def built(self, image_shape: tuple[int, int, int]) -> nn.Module:
        """The net for such images, weights drawn."""

    @classmethod
    @abstractmethod
    def at_hand(cls, arch: str) -> Path:
        """Where the library's weights of a net lie on this machine; nothing is fetched.

        Raises:
            StorageError: They are not here.
        """

    @abstractmethod
    def fetched(self) -> Path:
        """Where the library's weights lie after they were fetched.

        Raises:
            StorageError: They could not be fetched.
        """

    @classmethod
    def weights_file(cls, arch: str, pretrained: bool | str) -> Path | None:
        """The file that `pretrained` means, found without building the net; None where it means none.

        Raises:
            ConfigError: The library has no such net.
            StorageError: The file is not on this machine.
        """
        cls.check_arch(arch)
        if not pretrained:
            return None
        path = Path(pretrained).expanduser() if isinstance(pretrained, str) else cls.at_hand(arch)
        if not path.is_file():
            raise StorageError(f"model.pretrained: there is no file {path}")
        return path

    @abstractmethod
    def fitted(self, weights: dict[str, Tensor]) -> Mapping[str, Tensor]:
        """Weights for three channels, as `body` names and shapes them for its own channels."""

    def load_pretrained(self) -> Path | None:
        """Fill all but the layer that makes the logits; None where no weights were asked for, else where they lie.

        Raises:
            StorageError: They are not at hand, or the file is damaged.
            ConfigError: They do not fit.
        """
        try:
            path = self.weights_file(self.arch, self.pretrained)
        except StorageError:
            if not self.download or isinstance(self.pretrained, str):
                raise
            path = self.fetched()
        if path is None:
            return None
        try:
            load_backbone(self.body, self.fitted(read_weights(path)))
        except (ValueError, RuntimeError) as error:
            text = " ".join(str(error).split())
            raise ConfigError(
                f"model.pretrained: {path.name} does not fit model.arch={self.arch}: {text[:300]}"
            ) from error
        return path

    def _refusal(self, net: nn.Module, image_shape: Sequence[int]) -> str:
        """Why a net does not take images of a shape; empty where it does."""
        example = next(net.parameters())
        if example.is_meta:
            return ""
        try:
            with torch.no_grad():
                made = net.eval()(torch.zeros(2, *image_shape, dtype=example.dtype, device=example.device))
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            return " ".join(str(error).split())[:160] or type(error).__name__
        finally:
            net.train()
        if not isinstance(made, Tensor) or made.shape != (2, self.num_classes):
            return "it does not put out one number for each class"
        return ""

    def _does_not_take(self, reason: str) -> str:
        channels, height, width = self.image_shape
        shape = f"{channels}×{height}×{width}"
        for side in _SIDES:
            if side <= max(height, width) and height == width:
                continue
            try:
                fits = not self._refusal(self.built((channels, side, side)), (channels, side, side))
            except (ConfigError, RuntimeError, ValueError, AssertionError, TypeError):
                continue
            if fits:
                remedy = f"set data.resize={side} data.image_shape=[{channels},{side},{side}]"
                return f"model.arch={self.arch} does not take images of {shape}: {remedy} ({reason})"
        return f"model.arch={self.arch} does not take images of {shape}: {reason}"

    def extra_repr(self) -> str:
        """The name of the net."""
        return self.arch


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name, from a file of torch's or of safetensors'.

    Raises:
        StorageError: It cannot be read, or is not what the hash in its name says.
    """
    try:
        content = path.read_bytes()
        if (named := _HASH_IN_NAME.search(path.name)) and path.suffix in (".pth", ".pt"):
            found = hashlib.sha256(content).hexdigest()
            if not found.startswith(named[1]):
                raise StorageError(f"{path} is damaged: its SHA-256 begins with {found[:8]}, its name says {named[1]}")
        if path.suffix == ".safetensors":
            from safetensors.torch import load

            return load(content)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (StorageError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file makes of a reader
        raise StorageError(
            f"{path} cannot be read as weights: it is cut off or damaged, or holds more than tensors; get it again"
        ) from error
    for key in ("state_dict_ema", "state_dict", "model_ema", "model"):
        state = state[key] if isinstance(state, Mapping) and isinstance(state.get(key), Mapping) else state
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise StorageError(f"{path} holds no tensors by name")
    return {str(name): value for name, value in state.items()}


def for_channels(weight: Tensor, channels: int) -> Tensor:
    """Filters (out, 3, kH, kW) for another number of channels, (out, channels, kH, kW), that answer as strongly.

    One channel gets the sum over the three, as if grey were shown as colour; more get the three by turns, scaled.

    >>> for_channels(torch.ones(1, 3, 1, 1), 1).flatten().tolist()
    [3.0]
    """
    if weight.shape[1] != 3 or channels == 3:
        return weight
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeated = weight.repeat(1, -(-channels // 3), 1, 1)[:, :channels]
    return repeated * (3 / channels)
