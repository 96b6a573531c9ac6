"""Shared by the tests of nets: a plain torch net of stated layers, and nets as their config files make them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import pytest
from torch import nn

from vision_baselines.config.compose import composed
from vision_baselines.training import build


@pytest.fixture(scope="session")
def as_stated() -> Callable[..., nn.Sequential]:
    """``as_stated(net, *layers)``: the layers one after the other, with the weights of `net`, in the same order."""

    def reference(net: nn.Module, *layers: nn.Module) -> nn.Sequential:
        plain = nn.Sequential(*layers)
        ours, theirs = net.state_dict(), plain.state_dict()
        assert [v.shape for v in ours.values()] == [v.shape for v in theirs.values()]
        plain.load_state_dict(dict(zip(theirs, ours.values(), strict=True)))
        return plain

    return reference


@pytest.fixture(scope="session")
def net_of() -> Callable[..., nn.Module]:
    """``net_of(model, image_shape, *overrides)``: the net that the command line would train, for seven classes."""

    config = functools.cache(lambda *overrides: composed(overrides))

    def built(model: str, image_shape: Sequence[int], *overrides: str) -> nn.Module:
        cfg = config(f"model={model}", "data.num_classes=7", *overrides)
        cfg.data.image_shape = list(image_shape)  # each composing costs more than most of these nets
        return build.net(cfg)

    return built
