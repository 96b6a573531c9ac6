"""Test a run or a checkpoint once more, with or without probes, and say whether it is what its record says.

The resolved config travels inside the checkpoint and the record, so nothing has to be restated. The run's folder is
only read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vision_baselines.config.checks import checked_config
from vision_baselines.config.restore import restored
from vision_baselines.errors import ConfigError, DataError, StorageError
from vision_baselines.evaluation.data_folder import with_data
from vision_baselines.evaluation.reproduce import manifest_differences
from vision_baselines.runs.places import ONE, not_a_folder
from vision_baselines.runs.record import Curve, RunRecord, finished_record, read_record
from vision_baselines.storage import checkpoint_file
from vision_baselines.training.best_weights import kept_path
from vision_baselines.training.measure import Measurement, measure, require_same_weights


@dataclass(frozen=True)
class Evaluation:
    """What was found of a checkpoint.

    `headline` is the full name of the task's headline metric, `recorded` its value in the record where that speaks of
    these weights on this data, else None, and `not_compared` says why. `manifest` lists environment differences.
    `pictures` are the probes', PNG files by name, ``probe/name.png``. `views` is the test-time augmentation, if any.
    """

    ckpt_path: Path
    metrics: dict[str, float]
    curves: dict[str, Curve]
    pictures: dict[str, bytes]
    headline: str
    recorded: float | None = None
    not_compared: str = ""
    manifest: tuple[str, ...] = ()
    views: str | None = None

    @property
    def same(self) -> bool | None:
        """Whether the headline metric is exactly the record's; None where there is nothing to compare it with."""
        return None if self.recorded is None else self.metrics[self.headline] == self.recorded


def evaluate(
    path: Path, *, overrides: Sequence[str] = (), trusted_packages: Sequence[str] = (), views: str | None = None
) -> Evaluation:
    """Test the best weights of a finished run, or those of a checkpoint, on the test split.

    Args:
        path: A run's folder, or a checkpoint file.
        overrides: ``probe=…`` in place of the recorded probes, and changes to the config, such as
            ``trainer.accelerator=cpu`` or ``paths.data_dir=…``.
        trusted_packages: Packages whose classes may be instantiated; a recorded config's own word is not taken for it.
        views: Test-time augmentation: the mean of the probabilities of several views of each image; see `TestViews`.
            Probes are of single images and are left out, and nothing is compared with the record.

    Raises:
        ConfigError: An override cannot be applied, or the images have no such views.
        DataError: There is no such file or folder, no finished run in it, or the data is not what that was tested on.
        StorageError: The checkpoint is missing, damaged, or holds other weights than the record says.
    """
    if views is not None and any(text.startswith("probe=") for text in overrides):
        raise ConfigError(
            "--tta tests the mean over views of each image, and a probe looks at one: expected one of them"
        )
    is_folder, record = path.is_dir(), None
    if is_folder:
        record = finished_record(path)
    elif not path.exists():
        if path.suffix == ".ckpt":
            raise DataError(f"there is no file {path}; expected a checkpoint, or {ONE}")
        raise DataError(f"{not_a_folder(path, ONE)}, or a .ckpt")
    with tempfile.TemporaryDirectory(prefix="evaluate-") as scratch:
        if record is not None:
            there = restored(record.config, path, trusted_packages=trusted_packages, writes=False)
            path = kept_path(there)
        try:
            state = checkpoint_file.load(path, checksum_needed=is_folder)
        except StorageError as error:
            remedy = "; train.py with the run's overrides and rerun=true trains it again" if is_folder else ""
            raise StorageError(f"{error}{remedy}") from error
        config = record.config if record is not None else state.get("config")
        if not config:
            raise StorageError(f"{path} holds no config; expected a checkpoint that this project's train.py wrote")
        record = record or _record_beside(path)
        cfg = restored(config, Path(scratch), overrides, trusted_packages)
        checked_config(cfg)
        if views is not None:
            cfg.probe = {}
        on_other_data = any(text.startswith("data.") for text in overrides)
        known = record.data_sha256 if record is not None and not on_other_data else None
        found = with_data(cfg, record, overrides, partial(measure, ckpt_path=path, data_sha256=known, views=views))
    reason = "there is no record beside the checkpoint" if record is None else f"this is with --tta {views}"
    if record is None or views is not None:
        shown = (found.metrics, found.curves, found.pictures, found.headline)
        if record is not None and is_folder:
            require_same_weights(path, found.weights_sha256, record)
        return Evaluation(path, *shown, not_compared=reason, views=views)
    if is_folder and not any(text.startswith("classifier.") for text in overrides):
        require_same_weights(path, found.weights_sha256, record)
    return _compared(path, found, record, tuple(manifest_differences(record.environment, found.environment)))


def _compared(path: Path, found: Measurement, record: RunRecord, manifest: tuple[str, ...]) -> Evaluation:
    reason = ""
    if found.weights_sha256 != record.weights_sha256:
        reason = "the record beside the checkpoint speaks of other weights"
    elif found.data_sha256 != record.data_sha256:
        reason = "the record is of other data"
    elif found.headline not in record.metrics:
        reason = f"the run is {record.status}"
    return Evaluation(
        path,
        found.metrics,
        found.curves,
        found.pictures,
        found.headline,
        recorded=None if reason else record.metrics[found.headline],
        not_compared=reason,
        manifest=manifest,
    )


def _record_beside(path: Path) -> RunRecord | None:
    """The record of the run whose ``checkpoints`` folder `path` lies in, if there is one that can be read."""
    try:
        return read_record(path.resolve().parent.parent)
    except (OSError, ValueError):
        return None
