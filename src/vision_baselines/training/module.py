"""`ImageClassifier`, the class that configs name.

It keeps its name from when classification was the only task; recorded configs and checkpoints refer to it. Loading a
checkpoint needs everything that builds a run, so it is added here and not in `task_module`, from which runs are built.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vision_baselines.training.load import load_classifier
from vision_baselines.training.task_module import TaskModule


class ImageClassifier(TaskModule):
    """Trains any net on a task; see `TaskModule` for its arguments."""

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: Any, map_location: Any = "cpu", *, trusted_packages: Sequence[str] = (), **unused: Any
    ) -> TaskModule:
        """The classifier of a checkpoint, in evaluation mode; its config travels in the file, so nothing is restated.

        Raises:
            StorageError: The file is missing, damaged, or holds no config.
            ConfigError: Its config names a class that is not allowed.
        """
        return load_classifier(Path(checkpoint_path), trusted_packages=trusted_packages, map_location=map_location)[0]
