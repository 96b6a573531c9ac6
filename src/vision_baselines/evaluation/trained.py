"""Finished runs as nets that are ready to be asked: found in folders, checked against their records, loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vision_baselines.comparison.collection import collect
from vision_baselines.comparison.formatting import listed, one_line, plural
from vision_baselines.config.restore import restored
from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.data.prepared import Preparation, preparation_of
from vision_baselines.errors import ConfigError, DataError, StorageError
from vision_baselines.runs.record import RECORD_FILE, RunRecord, finished_record
from vision_baselines.training.best_weights import kept_path
from vision_baselines.training.load import load_classifier
from vision_baselines.training.measure import require_same_weights
from vision_baselines.training.results import weights_sha256
from vision_baselines.training.task_module import TaskModule


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished run's net, and what it needs to be asked about pictures."""

    folder: Path
    record: RunRecord
    classifier: TaskModule
    datamodule: ImageDataModule
    preparation: Preparation
    device: torch.device

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, in the order of the logits."""
        return list(self.record.class_names or [])

    def probabilities(self, images: Tensor) -> Tensor:
        """A probability for each class, (N, C), for prepared images (N, C, H, W), uint8.

        They are float64 on the CPU, float32 from mps. The test of the run computes the same: its precision, and softmax
        of logits that are at least 32 bits wide.

        Raises:
            DataError: They are not finite, or not of the classes that the record names.
        """
        normal = self.datamodule.normalize(images.to(self.device))
        with torch.inference_mode(), _autocast(str(self.record.precision), self.device):
            outputs = self.classifier(normal)
        exact = outputs.float() if self.device.type == "mps" else outputs.double()  # of which mps has none
        shares = self.classifier.task.probabilities(exact)
        if shares is None:
            raise DataError(f"{self.folder} learned no classes (task {type(self.classifier.task).__name__})")
        if shares.shape != (len(images), len(self.class_names)):
            raise DataError(
                f"the net of {self.folder} gives probabilities of shape {tuple(shares.shape)} for {len(images)} "
                f"pictures and the {len(self.class_names)} classes of its record"
            )
        if not bool(torch.isfinite(shares).all()):
            raise DataError(f"the outputs of {self.folder} are not finite numbers")
        return shares.cpu()


def runs_and_others(paths: Iterable[Path]) -> tuple[list[Path], list[Path], list[str]]:
    """Which paths are runs: folders that hold a record, and of a sweep's folder all finished runs in it.

    Returns:
        The runs' folders, each once; the other paths; and what is left out, a line each.

    Raises:
        DataError: A sweep holds no finished run.
        ConfigError: A folder holds several sweeps.
    """
    runs: dict[str, Path] = {}
    others, notes = [], []
    for path in paths:
        found = [path]
        if not os.path.lexists(path / RECORD_FILE):
            inside = [folder for folder in _folders_in(path) if os.path.lexists(folder / RECORD_FILE)]
            if not inside:
                _refuse_outputs(path)
                others.append(path)
                continue
            jobs = collect([path])
            found = [job.folder for job in jobs.jobs if job.record.finished]
            left_out = len(jobs.jobs) + len(jobs.unreadable) - len(found)
            if not found:
                raise DataError(f"{path} holds {plural(left_out, 'run')}, none of them finished")
            if left_out:
                notes.append(f"left out of {path}: {plural(left_out, 'run')} that did not finish or cannot be read")
        for folder in found:
            runs.setdefault(os.path.realpath(folder), folder)
    return list(runs.values()), others, notes


def load_trained(
    folders: Sequence[Path], *, trusted_packages: Sequence[str] = (), device: torch.device | str = "cpu"
) -> list[Trained]:
    """The nets of some finished runs, whose weights are those that their records report.

    Args:
        folders: Of the runs.
        trusted_packages: Packages of one's own whose classes the runs' configs may name.
        device: Where the nets are to compute.

    Raises:
        DataError: A run is not finished, or learned numbers rather than classes.
        ConfigError: The runs learned different classes, a net takes no pictures, or a class is not trusted.
        StorageError: Weights are missing, damaged or others than the record's.
    """
    records = [finished_record(folder) for folder in folders]
    for folder, record in zip(folders, records, strict=True):
        if not record.class_names:
            raise DataError(f"{folder} learned numbers, not classes; its net's outputs are those of run.net()")
        if sorted(record.class_names) != sorted(records[0].class_names or ()):
            raise ConfigError(
                f"{folders[0]} and {folder} have different classes ({_named(records[0])}; {_named(record)}); "
                "an ensemble needs the same"
            )
    return [
        _loaded(folder, record, trusted_packages, torch.device(device))
        for folder, record in zip(folders, records, strict=True)
    ]


def usable_device(name: str) -> torch.device:
    """A device by its name, such as ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises:
        ConfigError: There is none of this name here.
    """
    expected = "expected cpu, cuda, cuda:1, … or mps"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"--device is {name!r}; {expected}") from error
    there = {
        "cpu": device.index in (None, 0),
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available() and not device.index,
    }
    if device.type not in there:
        raise ConfigError(f"--device is {name!r}; {expected}")
    if not there[device.type]:
        raise ConfigError(
            f"--device is {name!r}, which torch does not find on this machine; --device cpu is everywhere"
        )
    return device


def _loaded(folder: Path, record: RunRecord, trusted_packages: Sequence[str], device: torch.device) -> Trained:
    path = kept_path(restored(record.config, folder, trusted_packages=trusted_packages, writes=False))
    try:
        classifier, datamodule = load_classifier(path, trusted_packages=trusted_packages)
    except StorageError as error:
        raise StorageError(f"{error}; train.py with the run's overrides and rerun=true trains it again") from error
    require_same_weights(path, weights_sha256(classifier.net), record)
    try:
        how = preparation_of(
            datamodule,
            *((record.data.pixel_max, record.data.source_shape) if record.data is not None else ()),
        )
    except ConfigError as error:
        raise ConfigError(f"{folder}: {error}") from error
    return Trained(folder, record, classifier.to(device), datamodule, how, device)


def _autocast(precision: str, device: torch.device) -> torch.autocast:
    """Lightning's mixed precision; on a CPU, half precision is left to GPUs, as Lightning leaves it."""
    kind = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}.get(precision, torch.bfloat16)
    mixed = precision == "bf16-mixed" or (precision == "16-mixed" and device.type == "cuda")
    return torch.autocast(device.type, dtype=kind, enabled=mixed)


def _named(record: RunRecord) -> str:
    return listed([one_line(name, 30) for name in record.class_names or ()], limit=5)


def _folders_in(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as entries:
            return sorted(Path(entry) for entry in entries if entry.is_dir())
    except (OSError, ValueError):  # a file, or a name that no file can have
        return []


def _refuse_outputs(path: Path) -> None:
    """Refuse a folder of sweeps, whose pictures are figures of the runs."""
    for folder in _folders_in(path):
        for inner in _folders_in(folder):
            if os.path.lexists(inner / RECORD_FILE):
                raise ConfigError(f"{path} holds sweeps, such as {folder}; name one of them, or a run")
