"""The schema of ``run.json``: everything that is known about one run, in plain data.

A record is all that a comparison reads, so it holds results and never paths into a checkpoint. Files that go
with it (checkpoints, filters, events) lie beside it in the run's folder. What makes two runs the same is left to
`fingerprint`; where the surroundings come from, to `environment`.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticSerializationError

from vision_baselines.errors import DataError
from vision_baselines.runs import places
from vision_baselines.runs.dotted import select
from vision_baselines.runs.fingerprint import fingerprint
from vision_baselines.runs.migrations import SCHEMA_VERSION, current_record, is_known
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.storage.reading import read_regular, why_no_json

RECORD_FILE: Final = places.RECORD_FILE
FRESH_SEEDS = "fresh_seeds"  # the folder in a sweep's of runs that are reported and choose nothing
MOST_BYTES = 2**25  # of a record: a matrix of 1,000 classes takes a fifth of it


# What nothing measures: a number beyond it overflows wherever it is shown in per cent, or drawn.
_LARGEST = 1e300
Seconds = Annotated[float, Field(ge=-1e12, le=1e12)]


def _measurable(values: dict[str, float]) -> dict[str, float]:
    """Values that something can have measured; infinity is what a loss may become.

    Raises:
        ValueError: One is a number beyond all of that.
    """
    for name, value in values.items():
        if _LARGEST < abs(value) < math.inf:
            raise ValueError(f"{name} is {value}, which nothing measures")
    return values


Values = Annotated[dict[str, float], AfterValidator(_measurable)]


class Status(StrEnum):
    """Where a run stands; only `FINISHED` counts in a mean. A search ends what is `PRUNED`: it could not win."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    DIVERGED = "diverged"
    INTERRUPTED = "interrupted"
    PRUNED = "pruned"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")


class Parameters(_Part):
    """Sizes of a net; counts are numbers of scalars, FLOPs are torch's (two per multiply-add)."""

    total: int
    trainable: int
    per_layer: dict[str, int] = Field(default_factory=dict)
    flops_per_image: int | None = None
    receptive_field_px: int | None = None


class Timings(_Part):
    """Wall-clock times in seconds, summed over every attempt that contributed to the run.

    `first_step_s` is from the start of the latest attempt to the end of its first training step, `epoch_fit_s` are the
    seconds of `fit_s` that had passed at the end of each epoch. The latter are no part of the learning curves because
    those are the same bits however often a run was interrupted.
    """

    setup_s: Seconds = 0.0
    fit_s: Seconds = 0.0
    test_s: Seconds = 0.0
    first_step_s: Seconds | None = None
    images_per_s: float | None = None
    epoch_fit_s: list[Seconds] = Field(default_factory=list)

    @property
    def total_s(self) -> float:
        """Seconds of setup, training and test together."""
        return self.setup_s + self.fit_s + self.test_s


class Environment(_Part):
    """The manifest: what must be equal for two runs to be comparable bit for bit, and who made it."""

    versions: dict[str, str]
    python: str
    platform: str
    cpu: str = ""
    cpu_capability: str
    threads: int
    device: str
    processes: int = 1  # that trained together; each had so many threads
    seeds_per_pass: int = 1  # copies with other seeds that were computed at once with it, itself among them
    git_commit: str | None = None
    git_dirty: bool | None = None


class Failure(_Part):
    """Why a run did not finish; `message` is one line, `traceback` the whole story."""

    kind: str
    message: str
    traceback: str = ""


class EpochRow(_Part):
    """One row of the learning curves, written at the end of a training epoch."""

    epoch: int
    step: int
    lr: float
    metrics: Values


class Curve(_Part):
    """What a probe measured at several places: `y` at each `x`, of one length.

    It is called by a metric's name, which also tells the unit of `y`: shares of 1 for ``shift/acc``.
    """

    x: list[float]
    y: list[float]
    x_label: str
    y_label: str


class TaskFacts(_Part):
    """What a comparison has to know of a task.

    `headline` is the metric that runs are compared by, without its split; `mode` is ``max`` or ``min``, the end of it
    that is better; `modes` has the same for every metric of which it is known. Records of earlier versions are all of
    classification, which is the default.
    """

    headline: str = "acc"
    mode: str = "max"
    modes: dict[str, str] = Field(default_factory=dict)

    def mode_of(self, quantity: str) -> str | None:
        """Which end of a metric, named without its split, is better; None where the task does not say."""
        return self.mode if quantity == self.headline else self.modes.get(quantity) or None


class SplitFacts(_Part):
    """Number of images of a split, and the split it was cut from, if any."""

    size: int
    cut_from: str | None = None


class DataFacts(_Part):
    """The data as a run saw them.

    `source_shape` is that of an image before `data.resize` and `data.place`; None in records from before it was kept.
    `listing_sha256` changes when a file is added, removed or replaced; `left_out` are files that could not be used,
    `duplicates` the number of pictures in two splits or classes, by where; `pixel_max` is white in 16-bit pictures.
    """

    num_classes: int
    image_shape: list[int]
    mean: list[float]
    std: list[float]
    splits: dict[str, SplitFacts]
    listing_sha256: str | None = None
    notes: list[str] = Field(default_factory=list)
    left_out: list[str] = Field(default_factory=list)
    duplicates: dict[str, int] = Field(default_factory=dict)
    pixel_max: int | None = None
    source_shape: list[int] | None = None


class RunRecord(_Part):
    """One run, from its first second to its result.

    `metrics` are those of the best checkpoint by the task's headline metric on the validation split; `confusion` is its
    confusion matrix on the test split, rows are targets, columns predictions, where the task has one. `curves` are what
    the task shows of the test and what the run's probes measured, by name. `caveats` are what a reader must know before
    believing the metrics, a sentence each without its full stop.
    `averaged` says of which average the tested weights are, where they are not those that the optimizer left.
    `weights_sha256` is the net's state at that checkpoint, `final_weights_sha256` after the last step,
    `init_weights_sha256` before the first where that was taken from another run. `predictions_sha256` is that of
    ``predictions.npz``, where the run keeps one. `files` are those that the
    run left, by their path below its folder. `choices` are the options chosen of config groups, such as ``cnn`` of
    ``model``. `code` is a digest of each module that the run used (see `code`);
    of one that changed between attempts, both.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    sweep: str
    status: Status
    overrides: list[str]
    config: dict[str, Any]
    fingerprint: str
    seed: int
    command: list[str] = Field(default_factory=list)
    started_at: datetime
    ended_at: datetime | None = None
    environment: Environment
    parameters: Parameters | None = None
    task: TaskFacts = Field(default_factory=TaskFacts)
    metrics: Values = Field(default_factory=dict)
    choices: dict[str, str] = Field(default_factory=dict)
    caveats: list[str] = Field(default_factory=list)
    precision: str | None = None
    partial: list[str] = Field(default_factory=list)
    averaged: str | None = None
    best_epoch: int | None = None
    history: list[EpochRow] = Field(default_factory=list)
    curves: dict[str, Curve] = Field(default_factory=dict)
    confusion: list[list[int]] | None = None
    class_names: list[str] | None = None
    timings: Timings = Field(default_factory=Timings)
    peak_memory_bytes: int | None = None
    data_sha256: str | None = None
    test_sha256: str | None = None
    data: DataFacts | None = None
    init_weights_sha256: str | None = None
    weights_sha256: str | None = None
    final_weights_sha256: str | None = None
    predictions_sha256: str | None = None
    files: list[str] = Field(default_factory=list)
    code: dict[str, str] = Field(default_factory=dict)
    attempts: int = 1
    failure: Failure | None = None

    @property
    def finished(self) -> bool:
        """Whether the run has its result."""
        return self.status is Status.FINISHED

    @property
    def tags(self) -> list[str]:
        """Words that the run is found by."""
        return [str(tag) for tag in self.config.get("tags") or ()]

    @property
    def notes(self) -> str:
        """What was noted of the run; empty for nothing."""
        return str(self.config.get("notes") or "")

    @property
    def copies_of_test(self) -> int:
        """Number of pictures that were trained on and tested on, or measured as a fold of validation."""
        found = self.data.duplicates if self.data is not None else {}
        return 0 if "dropped from train" in found else found.get(f"train and {self.headline_split}", 0)

    @property
    def n_epochs(self) -> int:
        """Number of epochs that were noted."""
        return len(self.history)

    def by_epoch(self, metric: str) -> list[tuple[int, float]]:
        """Epoch and value of a metric, where an epoch has it."""
        return [(row.epoch, row.metrics[metric]) for row in self.history if metric in row.metrics]

    @property
    def class_sizes(self) -> tuple[int, ...]:
        """Number of test images of each class; empty where there is no confusion matrix."""
        return tuple(map(sum, self.confusion or ()))

    @property
    def headline_split(self) -> str:
        """The images that runs are compared on: test, or val where that is a fold of train and val."""
        folds, over = (select(self.config, f"data.{key}") for key in ("folds", "folds_over"))
        return "test" if folds is None or over == "all" else "val"

    @property
    def headline_metric(self) -> str:
        """Full name of the metric that runs are compared by."""
        return f"{self.headline_split}/{self.task.headline}"

    @property
    def selection_metric(self) -> str:
        """Full name of the metric that decides which epoch is best, and what a search sees."""
        return f"val/{self.task.headline}"

    def write(self, folder: Path) -> Path:
        """Put the record into `folder` so that a reader sees the old one or the new one, never a part."""
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / RECORD_FILE
        try:
            content = self.model_dump_json(indent=1)
        except PydanticSerializationError:  # text that is not UTF-8, such as a folder's name, which JSON can escape
            content = json.dumps(self.model_dump(mode="json"), indent=1)
        write_atomically(target, content.encode())
        return target


def finished_record(folder: Path) -> RunRecord:
    """The record of a run that has its result.

    Raises:
        DataError: There is none in `folder`, it cannot be read, or the run is not finished.
    """
    if said := places.not_a_run(folder):
        raise DataError(said)
    try:
        record = read_record(folder)
    except (OSError, ValueError) as error:
        raise DataError(str(error)) from error
    if record.status is not Status.FINISHED:
        raise DataError(f"{folder} holds a run that is {record.status}; expected a finished one")
    return record


def now() -> datetime:
    """The present moment, in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def read_record(folder: Path) -> RunRecord:
    """Read the record in `folder`; one of an older schema is brought up to date (`migrations`).

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is not a record, or of a schema newer than this version knows.
    """
    path = folder / RECORD_FILE
    return parsed_record(record_content(path), path)


def record_content(path: Path) -> bytes:
    """The content of the file of a record.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It cannot be read.
    """
    try:
        return read_regular(path, most_bytes=MOST_BYTES)
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            raise
        raise ValueError(f"{path} is not a run record: {why_no_json(error, path)}") from error


def parsed_record(content: bytes, path: Path) -> RunRecord:
    """The record that the file at `path` has as its content.

    Raises:
        ValueError: It is not a record, or of a schema newer than this version knows.
    """
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a run record: {why_no_json(error, path)}") from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if not is_known(version):
        raise ValueError(f"{path} has record schema {version!r}; this version reads 1 to {SCHEMA_VERSION}")
    try:
        record = RunRecord.model_validate(raw if version == SCHEMA_VERSION else current_record(raw))
    except ValidationError as error:
        raise ValueError(f"{path} is not a run record: {first_fault(error)}") from error
    if version == SCHEMA_VERSION:
        return record
    record.fingerprint = fingerprint(record.config)  # as a run of this config would have it today
    return record


def first_fault(error: ValidationError) -> str:
    """Where a record differs from the schema, the first place and the number of others."""
    first, *others = error.errors(include_url=False, include_input=False, include_context=False)
    place = ".".join(map(str, first["loc"]))
    more = f", and {len(others)} more" if others else ""
    return f"{place}: {first['msg'].removeprefix('Value error, ')}{more}"


def find_records(folders: list[Path]) -> list[tuple[Path, RunRecord]]:
    """Every record at or below `folders`, sorted by path, each once.

    Raises:
        FileNotFoundError: A folder does not exist.
        ValueError: A record cannot be read.
    """
    found: dict[Path, RunRecord] = {}
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"no folder {folder}")
        for path in sorted(folder.rglob(RECORD_FILE)):
            found[path.parent.resolve()] = read_record(path.parent)
    return sorted(found.items())
