"""Records and configs of every released schema, brought up to date when they are read; nothing old is orphaned.

A schema is raised when a reader of the one before would misread a record. Fields that are added with a default need
no migration here: they default. What does need one:

- a class that moved: an entry in `MOVED_MODULES` or `MOVED`;
- a new config key with a default that is not null, or a default that changes: an entry in `ABSENT`.

Records kept from each schema lie in ``tests/runs/released`` and are held readable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

SCHEMA_VERSION = 2

_PACKAGE = "vision_baselines."
# Modules that moved whole: where they were, and where they are.
MOVED_MODULES: dict[str, str] = {
    _PACKAGE + old: _PACKAGE + new
    for old, new in {
        "classifier": "training.module",
        "train": "training.run",
        "callbacks.checkpoints": "training.checkpoints",
        "callbacks.divergence": "training.divergence",
        "callbacks.history": "training.history",
        "callbacks.parameters": "training.parameter_table",
        "callbacks.filters": "probes.filters",
        "tensorboard_logger": "training.tensorboard_logger",
        "evaluate": "evaluation.evaluate",
        "reproduce": "evaluation.reproduce",
    }.items()
}
# Single classes that moved or were renamed, by their whole name; they come before modules.
MOVED: dict[str, str] = {
    f"{_PACKAGE}{module}.QuietProfiler": "pytorch_lightning.profilers.PassThroughProfiler"
    for module in ("quiet_profiler", "training.profiler")
}

# What a recorded config that lacks a key was run with: the default that the key had when it was added. An entry never
# changes, so a key at that value and no such key are the same run for good. A later default may differ: old configs are
# then run with the value that stands here.
ABSENT: dict[str, Any] = {
    "task._target_": "vision_baselines.tasks.classification.Classification",
    "task.headline": "acc",
    "task.mode": "max",
    "task.metrics": ["accuracy"],
    "task.label_smoothing": 0.0,
    "checkpoint": "best",
    "callbacks.checkpoints.keep": "best",
    "trainer.sync_batchnorm": False,
}
# The same for keys of a class, whatever part of the config names it.
_SPLIT_SEED = 20_240_101
_MNIST_LIKE: dict[str, Any] = {"val_size": 5_000, "split_seed": _SPLIT_SEED, "download": True}
_ABSENT_OF_SOURCES: dict[str, dict[str, Any]] = {
    "sources.Digits": {
        "val_size": 180,
        "split_seed": _SPLIT_SEED,
        "sha256": "83c87eb02109804b9979a156b0ce3d5cb3e27d0d217ffd4cd5f452ea7ce64f44",
    },
    "sources.Noise": {
        "train_size": 5_000,
        "val_size": 500,
        "test_size": 1_000,
        "image_shape": [1, 28, 28],
        "num_classes": 10,
        "leak": 0.0,
        "split_seed": _SPLIT_SEED,
    },
    "sources.Circles": {
        "train_size": 2_500,
        "val_size": 500,
        "test_size": 1_000,
        "radius": 0.8,
        "split_seed": _SPLIT_SEED,
    },
    "sources.GaussianCircle": {"train_size": 1_000, "val_size": 200, "test_size": 1_000, "split_seed": _SPLIT_SEED},
    "torchvision_source.Mnist": {
        **_MNIST_LIKE,
        "sha256": "731c02e50f07a2fc93cc2c9b0df709507fc27cba0aff0ee3592e75b0849b602e",
    },
    **dict.fromkeys(
        (f"torchvision_source.{name}" for name in ("FashionMnist", "Kmnist", "Cifar10", "Cifar100")), _MNIST_LIKE
    ),
    "image_folder.ImageFolder": {
        "crop": True,
        "val_fraction": 0.1,
        "test_fraction": 0.2,
        "split_seed": _SPLIT_SEED,
        "on_damaged": "refuse",
        "on_duplicate": "warn",
        "pixel_max": "auto",
        "max_pixels": 89_478_485,
    },
}
ABSENT_OF = {
    **{f"{_PACKAGE}data.{name}": absent for name, absent in _ABSENT_OF_SOURCES.items()},
    f"{_PACKAGE}models.residual_mlp.ResidualMLP": {"norm": "batch"},
    f"{_PACKAGE}models.gated_mlp.GatedMLP": {"gates": True},
}
# What changes from each schema to the next beyond names of classes and fields with defaults: raw data to raw data.
_RAISE: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


def current_target(target: str) -> str:
    """Today's name of a class.

    >>> current_target("vision_baselines.classifier.ImageClassifier")
    'vision_baselines.training.module.ImageClassifier'
    >>> current_target("torch.optim.AdamW")
    'torch.optim.AdamW'
    """
    module, _, name = target.rpartition(".")
    return MOVED.get(target) or (f"{MOVED_MODULES[module]}.{name}" if module in MOVED_MODULES else target)


def current_config(config: Any) -> Any:
    """A plain config, or a part of one, with today's names of classes; what is given is not changed."""
    if isinstance(config, Mapping):
        return {
            key: current_target(value) if key == "_target_" and isinstance(value, str) else current_config(value)
            for key, value in config.items()
        }
    return [current_config(value) for value in config] if isinstance(config, list | tuple) else config


def without_absent(config: Any) -> Any:
    """A plain config without the keys of classes that stand at what their absence means."""
    if not isinstance(config, Mapping):
        return config
    absent = ABSENT_OF.get(str(config.get("_target_")), {})
    return {
        key: without_absent(value)
        for key, value in config.items()
        if not (key in absent and type(value) is type(absent[key]) and value == absent[key])
    }


def with_old_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded config with today's names, and with the values it was run with at keys that came after it.

    A key is added where the part it belongs to is there.
    """
    filled: dict[str, Any] = current_config(config)
    for key, value in ABSENT.items():
        *parents, last = key.split(".")
        node: Any = filled
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if isinstance(node, dict) and parents:
            node.setdefault(last, value)
    return {key: _with_absent(value) for key, value in filled.items()}


def _with_absent(config: Any) -> Any:
    """A plain config with the keys of classes that it lacks, at what their absence means."""
    if not isinstance(config, dict):
        return config
    own = {key: _with_absent(value) for key, value in config.items()}
    return {**ABSENT_OF.get(str(config.get("_target_")), {}), **own}


def current_record(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The plain data of a record of a known schema, as today's schema has it, but for its fingerprint."""
    data = dict(raw)
    for version in range(data["schema_version"], SCHEMA_VERSION):
        data = _RAISE.get(version, dict)(data)
    return {**data, "schema_version": SCHEMA_VERSION, "config": current_config(data.get("config"))}


def is_known(version: object) -> bool:
    """Whether records of this schema can be read."""
    return type(version) is int and 1 <= version <= SCHEMA_VERSION
