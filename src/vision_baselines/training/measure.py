"""A checkpoint's weights on the test split: the test's metrics, and what the config's probes find.

`train` asks it to probe a run that is finished, `evaluate` for any checkpoint. Nothing is written here but a record
that has been given more to say.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.data.splits import Splits
from vision_baselines.data.test_views import TestViews
from vision_baselines.errors import ConfigError, DataError, StorageError
from vision_baselines.probes.probe import curves_of, pictures_of
from vision_baselines.runs import environment
from vision_baselines.runs.files import write_pictures
from vision_baselines.runs.fingerprint import missing_probes
from vision_baselines.runs.record import Curve, Environment, RunRecord
from vision_baselines.storage import checkpoint_file
from vision_baselines.training import build
from vision_baselines.training.best_weights import BEST, kept_path
from vision_baselines.training.first_weights import prepare_first_weights
from vision_baselines.training.results import weights_sha256

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measurement:
    """What a test gave, of what (checksums of the net's state and of the data), and under which manifest.

    `headline` is the full name of the metric by which the task's runs are compared; `pictures` are the probes', PNG
    files by name, ``probe/name.png``.
    """

    metrics: dict[str, float]
    curves: dict[str, Curve]
    pictures: dict[str, bytes]
    weights_sha256: str
    data_sha256: str
    environment: Environment
    headline: str


def measure(
    cfg: DictConfig, ckpt_path: Path, *, data_sha256: str | None = None, views: str | None = None
) -> Measurement:
    """Test the weights in `ckpt_path` as the end of a run tests them, with the probes of `cfg`.

    Args:
        cfg: The config of the run.
        ckpt_path: A checkpoint that has been looked at: it is there and whole.
        data_sha256: What the data must be; none takes any.
        views: Test-time augmentation, as `TestViews` takes it: the mean over views of each image; none for none.

    Raises:
        DataError: The data is other data.
        ConfigError: The weights do not fit the config's net.
    """
    cfg = cfg.copy()
    with open_dict(cfg):
        cfg.trainer.enable_checkpointing = False
    environment.prepare_process(threads=cfg.threads)
    datamodule, splits = _read(cfg)
    found = splits.sha256
    if data_sha256 and found != data_sha256:
        raise DataError(
            f"the data is not what this run was tested on (SHA-256 {data_sha256[:12]} then, {found[:12]} now); "
            "put it back, or set paths.data_dir to where it lies"
        )
    if views is not None:
        datamodule.test_views = TestViews(views, datamodule)
    environment.seed_process(cfg.seed)
    classifier = build.classifier(cfg)  # its first weights are the run's, so that a probe can compare with them
    if cfg.get("probe"):
        try:
            prepare_first_weights(cfg, classifier.net, datamodule)
        except StorageError as error:
            log.warning("%s; probes compare with weights that were drawn", error)
    build.choose_memory_format(classifier.net, datamodule)
    probes = build.probes(cfg)
    build.check_probes(cfg, probes, datamodule, classifier)
    trainer = build.trainer(cfg, callbacks=probes, loggers=[])
    with warnings.catch_warnings():
        # a resume state also holds what the run's callbacks need to continue
        warnings.filterwarnings("ignore", "Be aware that when using `ckpt_path`")
        try:
            results = trainer.test(classifier, datamodule=datamodule, ckpt_path=str(ckpt_path), verbose=False)
        except RuntimeError as error:
            if "state_dict" not in str(error):
                raise
            reason = " ".join(str(error).splitlines()[1:2]).strip()
            raise ConfigError(f"{ckpt_path} does not fit the net of its config: {reason}") from error
    metrics = {name: float(value) for name, value in results[0].items()}
    manifest = environment.observe(trainer.strategy.root_device)
    headline = f"test/{classifier.task.headline}"
    drawn = pictures_of(probes)
    return Measurement(metrics, curves_of(probes), drawn, weights_sha256(classifier.net), found, manifest, headline)


def with_probes(cfg: DictConfig, config: Mapping[str, Any], record: RunRecord, folder: Path) -> RunRecord:
    """Run the probes of `config` that a finished run lacks, and let its record say what they find.

    The record's config then names them too, so that it is reproduced with them. What was tested stays as it is, and
    nothing is added to what the loggers wrote.

    Args:
        cfg: The config.
        config: The same as plain data.
        record: The finished run.
        folder: Its folder, held by this process.

    Raises:
        DataError: The data is not what the run was tested on.
        StorageError: Its best weights are missing, damaged or others than the record's.
    """
    missing = missing_probes(record.config, config)
    if not missing:
        return record
    log.info("%s is probed: %s", folder.name, ", ".join(missing))
    cfg = cfg.copy()
    with open_dict(cfg):
        cfg.probe = missing
    path = kept_path(cfg)
    found = measure(cfg, path, data_sha256=record.data_sha256)
    require_same_weights(path, found.weights_sha256, record)
    outdated = tuple(f"{name.partition('/')[0]}/" for name in found.metrics if not name.startswith("test/"))
    kept = {name: value for name, value in record.metrics.items() if not name.startswith(outdated)}
    record.metrics = {name: value for name, value in found.metrics.items() if not name.startswith("test/")} | kept
    record.curves = {k: v for k, v in record.curves.items() if not k.startswith(outdated)} | found.curves
    record.config = {**record.config, "probe": {**(record.config.get("probe") or {}), **missing}}
    record.files = write_pictures(folder, found.pictures, record.files)
    record.write(folder)
    return record


def require_same_data(cfg: DictConfig, record: RunRecord, folder: Path, listing_sha256: str | None) -> None:
    """Refuse to take a finished run for that of other data; where only the files' times or places changed, note them.

    Raises:
        DataError: The data is other data.
    """
    _, found = _read(cfg)
    if found.sha256 != record.data_sha256:
        before = ", ".join(
            f"{name} {split.size:,}" for name, split in (record.data.splits if record.data else {}).items()
        )
        raise DataError(
            f"{folder} holds a finished run on other data ({before} then, {found.summary()} now); "
            "put the data back, choose another name=…, or add rerun=true to train anew"
        )
    if record.data is not None:
        record.data.listing_sha256 = listing_sha256
        record.write(folder)


def warn_of_lost_weights(dirpath: Path) -> None:
    """Say so where a finished run's best weights, in the folder of its checkpoints, are missing or damaged."""
    try:
        checkpoint_file.load(dirpath / BEST, checksum_needed=True)
    except StorageError as error:
        log.warning("%s; the record is whole, and rerun=true trains the weights again", error)


def require_same_weights(path: Path, found_sha256: str, record: RunRecord) -> None:
    """Refuse weights that are not those whose test a record reports.

    Raises:
        StorageError: They are others.
    """
    if record.weights_sha256 and found_sha256 != record.weights_sha256:
        raise StorageError(
            f"{path} does not hold the weights of this run's record (SHA-256 {record.weights_sha256[:12]} recorded, "
            f"{found_sha256[:12]} found); rerun=true trains it again"
        )


def _read(cfg: DictConfig) -> tuple[ImageDataModule, Splits]:
    datamodule = build.datamodule(cfg)
    datamodule.prepare_data()
    datamodule.setup()
    assert datamodule.splits is not None
    return datamodule, datamodule.splits
