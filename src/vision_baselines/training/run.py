"""One run, from its config to its record."""

from __future__ import annotations

import errno
import logging
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from torch import nn

from vision_baselines.analysis.net_size import net_size
from vision_baselines.comparison.metric import headline_value
from vision_baselines.config.data_facts import data_listing
from vision_baselines.config.plan import RunPlan, planned
from vision_baselines.config.trainer_options import partial_because
from vision_baselines.errors import (
    ConfigError,
    DataError,
    DivergedError,
    OutOfTimeError,
    StorageError,
    TrainingError,
    VisionBaselinesError,
)
from vision_baselines.probes.probe import curves_of
from vision_baselines.runs import environment
from vision_baselines.runs.code import code_of, code_of_all_attempts
from vision_baselines.runs.files import clear, written_files
from vision_baselines.runs.record import (
    Curve,
    DataFacts,
    EpochRow,
    Failure,
    Parameters,
    RunRecord,
    Status,
    TaskFacts,
    now,
)
from vision_baselines.runs.resumption import Action
from vision_baselines.storage.atomic import remove_leftovers, write_atomically
from vision_baselines.storage.lock import RunLockedError, exclusive
from vision_baselines.training import build, pretrained
from vision_baselines.training.checkpoints import Checkpoints
from vision_baselines.training.csv_logger import RunCSVLogger
from vision_baselines.training.history import History
from vision_baselines.training.measure import require_same_data, with_probes
from vision_baselines.training.results import best_metrics, log_result, weights_sha256
from vision_baselines.training.resume_files import discard, latest_good, prepare_folder
from vision_baselines.training.signals import Interrupted, StopSignals
from vision_baselines.training.tensorboard_logger import RunTensorBoardLogger

log = logging.getLogger(__name__)

CONFIG_FILE = "config.yaml"


def train(cfg: DictConfig) -> RunRecord:
    """Run what a config says; see `run`."""
    return run(planned(cfg))


def run(plan: RunPlan) -> RunRecord:
    """Train, keep the best epoch, test it, and leave the record in the run's folder.

    A finished run is not trained again, but probed where the config asks for probes that it has not had; one that was
    interrupted goes on where its last checkpoint stands.

    Raises:
        ConfigError: The config cannot be run, or the folder holds a run of another config.
        TrainingError: The loss diverged, or the run called `sys.exit`.
        StorageError: Something could not be written.
        Interrupted: SIGINT or SIGTERM; the run can be resumed.
    """
    quieten_lightning()
    folder, cfg, config = plan.folder, plan.cfg, plan.config
    with StopSignals() as stop, _storage_errors(folder), _sole_trainer(folder, wait=_in_sweep()):
        plan = plan.renewed()
        decision = plan.decision
        if decision.action in (Action.SKIP, Action.PROBE) and decision.previous is not None:
            if decision.files_changed:
                require_same_data(cfg, decision.previous, folder, plan.listing_sha256)
            log.info("%s is finished already; rerun=true trains it again", folder.name)
            return with_probes(cfg, config, decision.previous, folder)
        remove_leftovers(folder)
        replaced: list[Mapping[str, Any]] = []
        if decision.action is Action.START and (decision.previous is not None or cfg.rerun):
            replaced = [config, *([decision.previous.config] if decision.previous else [])]
            clear(folder, decision.previous)
        record = _new_record(plan)
        record.write(folder)
        write_atomically(folder / CONFIG_FILE, OmegaConf.to_yaml(OmegaConf.create(record.config)).encode())
        try:
            _fit_and_test(plan, record, stop, replaced)
        except BaseException as error:
            if isinstance(error, MisconfigurationException):
                error = ConfigError(" ".join(str(error).split()))  # Lightning's word for a config it cannot run
            _note_failure(record, error)
            _write_last_words(record, folder)
            if isinstance(error, SystemExit):
                raise TrainingError(record.failure.message if record.failure else "") from error
            raise error
        return record


def _fit_and_test(plan: RunPlan, record: RunRecord, stop: StopSignals, replaced: Sequence[Mapping[str, Any]]) -> None:
    cfg, folder = plan.cfg, plan.folder
    began, started = time.time(), time.perf_counter()
    datamodule = build.datamodule(cfg)
    datamodule.prepare_data()
    datamodule.setup()
    assert datamodule.splits is not None
    began_with, record.data_sha256 = record.data_sha256, datamodule.splits.sha256
    record.test_sha256 = datamodule.splits.test_sha256
    record.class_names = list(datamodule.splits.class_names)
    record.data = DataFacts(**datamodule.facts(), listing_sha256=data_listing(cfg))

    environment.prepare_process(seed=cfg.seed, threads=cfg.threads)
    classifier = build.classifier(cfg)
    task = classifier.task
    record.task = TaskFacts(headline=task.headline, mode=task.mode, modes=task.modes)
    callbacks = build.callbacks(cfg)
    loggers = build.loggers(cfg)
    trainer = build.trainer(cfg, callbacks=callbacks, loggers=loggers)
    checkpoints, history = build.find_callback(callbacks, Checkpoints), build.find_callback(callbacks, History)
    checkpoints.plain_config = record.config
    checkpoints.stop = stop

    if replaced:
        discard(checkpoints.dirpath, *replaced)
    prepare_folder(checkpoints.dirpath, sum(value.nbytes for value in classifier.net.state_dict().values()))
    resume_from, step = _resume_state(checkpoints)
    if plan.starts_from is not None and not resume_from:
        record.init_weights_sha256 = pretrained.start_from(plan.starts_from, classifier.net, record.config)
    if resume_from and began_with and began_with != record.data_sha256:
        received, record.data_sha256 = record.data_sha256, began_with
        raise DataError(
            f"the data is not what this run began with (SHA-256 {began_with[:12]} then, {received[:12]} now); "
            "put it back, or add rerun=true to train anew"
        )
    record.parameters = _parameters(classifier.net, datamodule.image_shape)
    record.environment = environment.observe(trainer.strategy.root_device)
    record.precision, record.partial = str(trainer.precision), partial_because(record.config["trainer"])
    if not build.takes_channels_last(classifier.net, datamodule.image_shape):
        log.info("the net needs contiguous memory: channels_last is off for it")
        classifier.net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        datamodule.memory_format = torch.contiguous_format
    record.timings.setup_s += time.perf_counter() - started
    record.write(folder)

    for logger in loggers:
        if isinstance(logger, RunTensorBoardLogger | RunCSVLogger):
            logger.rewind(step)
    stop.deferring = True
    try:
        trainer.fit(classifier, datamodule=datamodule, ckpt_path=resume_from)
        stop.raise_if_received()
        record.timings.fit_s, record.timings.epoch_fit_s = history.fit_s, history.epoch_fit_s
        if history.first_step_at is not None:
            record.timings.first_step_s = history.first_step_at - began
        record.final_weights_sha256 = weights_sha256(classifier.net)
        record.history = [EpochRow.model_validate(row) for row in history.rows]
        record.timings.images_per_s = history.images_per_s

        best = checkpoints.best
        best.rewrite_best_if_corrupt(record.config, step=trainer.global_step)
        started = time.perf_counter()
        validated = best.metrics
        if best.averaged and len(datamodule.splits.val.target):  # validation has measured only what was averaged
            validated = trainer.validate(classifier, datamodule=datamodule, ckpt_path=str(best.path), verbose=False)[0]
        results = trainer.test(classifier, datamodule=datamodule, ckpt_path=str(best.path), verbose=False)
        record.timings.test_s = time.perf_counter() - started
        record.metrics = best_metrics(results[0], validated, record.history, best.epoch)
        report = classifier.test_report()
        shown = {name: Curve.model_validate(curve) for name, curve in report.curves.items()}
        record.best_epoch, record.curves = best.epoch, shown | curves_of(callbacks)
        record.confusion, record.caveats = report.confusion, [*classifier.caveats, *report.caveats]
        for caveat in report.caveats:
            log.warning("%s: %s", record.name, caveat)
        record.weights_sha256 = weights_sha256(classifier.net)
        record.peak_memory_bytes = environment.peak_memory_bytes(trainer.strategy.root_device)
        log_result(cfg, record, trainer, classifier, folder)
        record.status, record.ended_at, record.failure = Status.FINISHED, now(), None
        record.files = written_files(folder)
        record.write(folder)
    finally:
        stop.deferring = False
        for logger in loggers:
            if isinstance(logger, RunTensorBoardLogger | RunCSVLogger):
                logger.close()


def headline(record: RunRecord) -> str:
    """One line on a run: what came out, what it cost."""
    if record.status is not Status.FINISHED:
        reason = f": {record.failure.message}" if record.failure else ""
        return f"{record.name}  {record.status}{reason}"
    size = f"{record.parameters.total:,} parameters" if record.parameters else ""
    best = f"best epoch {record.best_epoch} (from 0)" if record.best_epoch is not None else ""
    return f"{record.name}  {headline_value(record)}  {best}  {size}  {record.timings.fit_s:.1f} s"


def _new_record(plan: RunPlan) -> RunRecord:
    cfg, config, decision = plan.cfg, dict(plan.config), plan.decision
    previous = decision.previous if decision.action in (Action.RESUME, Action.RETRY) else None
    record = RunRecord(
        name=plan.folder.name,
        sweep=str(cfg.name),
        status=Status.RUNNING,
        overrides=list(plan.overrides),
        config=config,
        fingerprint=plan.fingerprint,
        seed=cfg.seed,
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        started_at=previous.started_at if previous else now(),
        # a run that fails before its threads are set would have had these
        environment=environment.observe("cpu").model_copy(update={"threads": cfg.threads}),
        code=code_of_all_attempts(previous.code if previous else {}, code_of(config)),
        attempts=previous.attempts + 1 if previous else 1,
    )
    if previous:
        record.timings, record.data_sha256 = previous.timings, previous.data_sha256
        record.init_weights_sha256 = previous.init_weights_sha256
    return record


def _resume_state(checkpoints: Checkpoints) -> tuple[str | None, int]:
    path, step, complaints = latest_good(checkpoints.dirpath, checkpoints.plain_config)
    if complaints and path is None:
        raise StorageError(f"{'; '.join(complaints)}.\nNone before it is left: add rerun=true to train anew")
    for complaint in complaints:
        log.warning("%s; going back to the one before it", complaint)
    if path:
        log.info("resuming at step %d", step)
    return (str(path) if path else None), step


def _parameters(net: nn.Module, image_shape: tuple[int, ...]) -> Parameters:
    size = net_size(net, image_shape)
    return Parameters(
        total=size.num_params,
        trainable=size.num_params_trainable,
        per_layer={layer.name: layer.num_params for layer in size.layers if layer.num_params},
        flops_per_image=size.flops,
        receptive_field_px=size.receptive_field_px,
    )


def quieten_lightning() -> None:
    """Leave out what Lightning says of every run and what does not hold here."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # the data is in memory: workers only add a copy
        ".*smaller than the logging interval.*",  # epoch metrics are logged whatever the interval
        ".*dataloader is not resumable.*",  # its sampler starts where the run stands
        ".*isinstance.treespec, LeafSpec.*",  # Lightning's own use of torch
    ):
        warnings.filterwarnings("ignore", message)


def _note_failure(record: RunRecord, error: BaseException) -> None:
    record.ended_at = now()
    kind = type(error).__name__
    message = " ".join(str(error).split()) or kind
    if isinstance(error, Interrupted | KeyboardInterrupt | OutOfTimeError):
        record.status = Status.INTERRUPTED
    elif isinstance(error, DivergedError):
        record.status = Status.DIVERGED
    else:
        record.status = Status.FAILED
    if isinstance(error, SystemExit):
        message = f"the run called sys.exit({error.code!r})"
    known = isinstance(error, VisionBaselinesError | Interrupted)
    record.failure = Failure(kind=kind, message=message, traceback="" if known else traceback.format_exc())


def _write_last_words(record: RunRecord, folder: Path) -> None:
    try:
        record.files = written_files(folder)
        record.write(folder)
    except OSError as error:  # the failure itself matters more than that it could not be noted
        log.error("could not note the failure in %s: %s", folder, error.strerror)


def _in_sweep() -> bool:
    return HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN


@contextmanager
def _sole_trainer(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold the run's folder. In a sweep wait for it: when another sweep has finished the job, it is skipped."""
    try:
        with exclusive(folder, wait=wait):
            yield
    except RunLockedError as error:
        raise ConfigError(f"{error}; wait for it, or choose another name=…") from error


@contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG):
            reason = "disk full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else error.strerror
            raise StorageError(
                f"{reason} at {error.filename or folder}; make room, or set paths.output_dir to where there is some"
            ) from error
        raise
