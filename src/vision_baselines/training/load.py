"""A trained net from its checkpoint alone: built from the config that travels in the file, then given its weights."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from vision_baselines.config.restore import restored
from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.errors import ConfigError, StorageError
from vision_baselines.storage import checkpoint_file
from vision_baselines.training import build
from vision_baselines.training.task_module import TaskModule


def load_classifier(
    path: Path, *, trusted_packages: Sequence[str] = (), map_location: str = "cpu"
) -> tuple[TaskModule, ImageDataModule]:
    """The classifier of a checkpoint in evaluation mode, and the data module that prepares its pictures.

    The data itself is not read. Loading runs no code: the file holds tensors and plain values only, and classes that
    its config names are checked against the allowed ones before they are imported.

    Args:
        path: A checkpoint that a run wrote.
        trusted_packages: Packages of one's own whose classes may be instantiated.
        map_location: Device of the weights.

    Raises:
        StorageError: The file is missing, damaged, or holds no config.
        ConfigError: Its config names a class that is not allowed, or its weights do not fit its net.
    """
    state = checkpoint_file.load(path, map_location=map_location)
    if not state.get("config"):
        raise StorageError(f"{path} holds no config; expected a checkpoint that this project's train.py wrote")
    cfg = restored(state["config"], Path(tempfile.gettempdir()) / "unused", trusted_packages=trusted_packages)
    classifier = build.classifier(cfg)
    try:
        classifier.load_state_dict(state["state_dict"])
    except RuntimeError as error:
        raise ConfigError(f"{path} does not fit the net of its config: {str(error).splitlines()[1].strip()}") from error
    datamodule = build.datamodule(cfg)
    build.choose_memory_format(classifier.net, datamodule)
    return classifier.to(map_location).eval(), datamodule
