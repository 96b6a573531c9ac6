"""Arguments are compared with what the signatures of their classes state, whichever class it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning  # noqa: F401  # signatures of others' classes are known once they are imported
import torch

from vision_baselines.config.argument_types import check_argument_types
from vision_baselines.errors import ConfigError

ADAMW, SGD = "torch.optim.AdamW", "torch.optim.SGD"
FC, CNN = "vision_baselines.models.fc.FC", "vision_baselines.models.cnn.CNN"
NOISE, DATA = "vision_baselines.data.sources.Noise", "vision_baselines.data.datamodule.ImageDataModule"
STOPPING = "pytorch_lightning.callbacks.EarlyStopping"
REFUSED = [
    *((ADAMW, name, value) for name in ("amsgrad", "maximize") for value in ("maybe", "no", 0, None)),
    *((ADAMW, name, value) for name in ("foreach", "fused") for value in ("off", 1)),
    *((SGD, "nesterov", value) for value in ("yes", 2.0)),
    *((CNN, "kernel_size", value) for value in ("3", 3.0, True, None)),
    *((CNN, "dropout", value) for value in ("a", None, [0.5])),
    *((FC, "image_shape", value) for value in (None, 8, ["a"], [1, 8.5, 8])),
    *((DATA, "mean", value) for value in (None, 0.5, ["x"])),
    *((NOISE, "val_size", value) for value in (None, "many", 1.5)),
    *((STOPPING, "patience", value) for value in ("long", None, 1.5)),
    *((STOPPING, "verbose", value) for value in ("no", 1)),
    *((STOPPING, "monitor", value) for value in (None, 3)),
]
TAKEN = [
    (ADAMW, "foreach", None),
    (ADAMW, "foreach", False),
    (ADAMW, "lr", 1),
    (ADAMW, "eps", 1e-8),
    (CNN, "hidden_features", None),
    (CNN, "channels", [2, 3]),
    (DATA, "classes", None),
    (DATA, "classes", ["cat"]),
    (STOPPING, "stopping_threshold", None),
    (STOPPING, "min_delta", 0),
    ("pytorch_lightning.Trainer", "precision", "32-true"),
    ("pytorch_lightning.Trainer", "max_time", {"hours": 1}),
    (ADAMW, "not_an_argument", "anything"),
]


@pytest.mark.parametrize(("target", "name", "value"), REFUSED)
def test_another_kind_than_the_signature_states_is_refused(target: str, name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"x\.{name} is .*; expected ") as error:
        check_argument_types({"_target_": target, name: value}, "x")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("target", "name", "value"), TAKEN)
def test_what_the_signature_takes_or_does_not_state_is_left_to_the_class(target: str, name: str, value: Any) -> None:
    check_argument_types({"_target_": target, name: value}, "x")


@pytest.mark.parametrize(
    "place",
    [lambda node: {"a": node}, lambda node: {"a": {"_target_": "no.such.Class", "b": node}}, lambda node: [node]],
)
def test_every_class_below_is_looked_at(place: Callable[[Any], Any]) -> None:
    with pytest.raises(ConfigError, match="nesterov is 'no'; expected true or false"):
        check_argument_types(place({"_target_": SGD, "nesterov": "no"}), "x")


@pytest.mark.parametrize("name", [name for name in dir(torch.optim) if name[0].isupper() and name != "Optimizer"])
def test_no_default_of_an_optimizer_is_refused(name: str) -> None:
    import inspect

    kind = getattr(torch.optim, name)
    defaults = {
        parameter.name: parameter.default
        for parameter in inspect.signature(kind).parameters.values()
        if parameter.default is not parameter.empty and not isinstance(parameter.default, tuple)
    }
    check_argument_types({"_target_": f"torch.optim.{name}", **defaults}, "optimizer")


def test_a_copy_is_reported_by_the_key_that_is_to_be_changed() -> None:
    with pytest.raises(ConfigError, match=r"^optimizer\.amsgrad is 'maybe'"):
        check_argument_types({"optimizer": {"_target_": ADAMW, "amsgrad": "maybe"}}, "classifier")
