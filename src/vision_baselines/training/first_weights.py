"""What a net's weights are before its first step, other than drawn: pretrained ones, and a first layer from data.

Only a run that starts does this: what is resumed, tested or exported has its weights already.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from hydra.utils import get_class
from omegaconf import DictConfig
from torch import nn

from vision_baselines.analysis.whitening import whitening_filters
from vision_baselines.config.plan import Plan
from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.errors import ConfigError
from vision_baselines.models.zoo import ZooNet
from vision_baselines.runs.resumption import Action
from vision_baselines.training.results import weights_sha256
from vision_baselines.training.resume_files import resume_files

log = logging.getLogger(__name__)

_MOST_IMAGES = 5_000  # the first of the training split, as airbench takes


def require_net(plan: Plan) -> None:
    """Refuse another library's net that there is not, or weights of it that are not at hand, before data are read.

    What is finished, or has a state to resume from, needs the weights no more.

    Raises:
        ConfigError: The library, or the net in it, is not there.
        StorageError: The weights are not on this machine, and may not be fetched.
    """
    model = plan.resolved.get("model")
    if plan.decision.action in (Action.SKIP, Action.PROBE) or not isinstance(model, Mapping) or "arch" not in model:
        return
    kind = get_class(str(model["_target_"]))
    if not issubclass(kind, ZooNet):
        return
    wanted, may_fetch = model.get("pretrained", False), bool(model.get("download"))
    is_later = may_fetch and not isinstance(wanted, str)
    if is_later or resume_files(plan.folder / "checkpoints"):
        wanted = False
    kind.weights_file(str(model["arch"]), wanted)


def prepare_first_weights(cfg: DictConfig, net: nn.Module, datamodule: ImageDataModule) -> str | None:
    """Give a net the weights it starts with.

    Args:
        cfg: The config of the run: ``first_layer``, and what the net itself says.
        net: The net, weights drawn; changed in place.
        datamodule: Its data has been read.

    Returns:
        SHA-256 of all weights; None where they stay as they were drawn.

    Raises:
        ConfigError: They do not fit, or the net does not begin with a convolution.
        StorageError: Pretrained weights are not at hand.
    """
    changed = False
    if isinstance(net, ZooNet) and (path := net.load_pretrained()) is not None:
        log.info("weights from %s; the last layer is new", path)
        changed = True
    if cfg.get("first_layer") == "whiten":
        _whiten(first_convolution(net, "first_layer=whiten"), datamodule)
        changed = True
    return weights_sha256(net) if changed else None


def first_convolution(net: nn.Module, key: str) -> nn.Conv2d:
    """The convolution that a net begins with.

    Raises:
        ConfigError: Its first layer with weights is none that sees all channels.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.groups == 1:
            return module
        if next(module.parameters(recurse=False), None) is not None:
            break
    raise ConfigError(f"{key} needs a net whose first layer is a convolution; {type(net).__name__} begins otherwise")


def freeze_first_layer(net: nn.Module) -> None:
    """Train all but the filters of the first convolution; its bias, if it has one, is trained."""
    first_convolution(net, "freeze=first_layer").weight.requires_grad = False


def _whiten(layer: nn.Conv2d, datamodule: ImageDataModule) -> None:
    """Filters that whiten patches, each with its negative, as far as there are channels; others stay as drawn."""
    assert datamodule.splits is not None
    images = datamodule.normalize(datamodule.splits.train.images[:_MOST_IMAGES].cpu())
    height, width = layer.kernel_size
    try:
        filters = whitening_filters(images, (height, width))
    except ValueError as error:
        raise ConfigError(f"first_layer=whiten: {error}") from error
    both = torch.stack([filters, -filters], dim=1).flatten(0, 1)[: layer.out_channels]  # strongest first, ± by turns
    with torch.no_grad():
        layer.weight[: len(both)] = both.to(layer.weight)
        if layer.bias is not None:
            layer.bias[: len(both)] = 0.0
