"""One run, from its plan to its record."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger

from vision_baselines.config.data_facts import data_listing
from vision_baselines.config.plan import RunPlan, planned
from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.errors import ConfigError, DataError, PrunedError, TrainingError
from vision_baselines.jobs.signals import StopSignals
from vision_baselines.probes.probe import curves_of, pictures_of
from vision_baselines.runs import environment
from vision_baselines.runs.files import (
    CONFIG_FILE,
    clear,
    require_no_link,
    resume_states,
    write_pictures,
    written_files,
)
from vision_baselines.runs.labels import relabel
from vision_baselines.runs.record import Curve, EpochRow, RunRecord, Status, now
from vision_baselines.runs.replaced import REPLACED, remove_replaced, set_aside
from vision_baselines.runs.resumption import Action
from vision_baselines.runs.trace import TRACE_FILE
from vision_baselines.storage.atomic import remove_leftovers, write_atomically
from vision_baselines.training import build, pretrained
from vision_baselines.training.accelerators import require_accelerator
from vision_baselines.training.checkpoints import Checkpoints
from vision_baselines.training.endings import FINISHED, Before, note_failure, sole_trainer, storage_errors
from vision_baselines.training.first_weights import prepare_first_weights, require_net
from vision_baselines.training.history import History
from vision_baselines.training.loop import choose_loop
from vision_baselines.training.measure import require_same_data, warn_of_lost_weights, with_probes
from vision_baselines.training.mistakes import keep_mistakes
from vision_baselines.training.new_record import new_record, note_data, note_parts
from vision_baselines.training.predictions import keep_predictions
from vision_baselines.training.process_group import strategy
from vision_baselines.training.processes import Processes, check_parts, processes
from vision_baselines.training.results import best_metrics, log_result, weights_sha256
from vision_baselines.training.resume_files import (
    discard,
    prepare_folder,
    remove_states,
    resume_files,
    where_to_resume,
)
from vision_baselines.training.run_logger import RunLogger
from vision_baselines.training.task_module import TaskModule

log = logging.getLogger(__name__)


def train(cfg: DictConfig, *, callbacks: Sequence[Callback] = ()) -> RunRecord:
    """Run what a config says; see `run`."""
    return run(planned(cfg), callbacks=callbacks)


def run(plan: RunPlan, *, callbacks: Sequence[Callback] = ()) -> RunRecord:
    """Train, keep the best epoch, test it, and leave the record in the run's folder.

    A finished run is not trained again, but asked the probes of the config that its record lacks; one that was
    interrupted is resumed from its last checkpoint.

    Args:
        plan: What is run.
        callbacks: What looks on, beside those of the config.

    A callback that raises `PrunedError` ends the run without a result: its record says `Status.PRUNED`.

    Raises:
        ConfigError: The config cannot be run, or the folder holds a run of another config.
        TrainingError: The loss diverged, or the run called `sys.exit`.
        StorageError: Something could not be written.
        Interrupted: SIGINT or SIGTERM; the run can be resumed.
    """
    build.quieten_lightning()
    folder, cfg, config = plan.folder, plan.cfg, plan.config
    in_sweep = HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN
    if plan.decision.action not in (Action.SKIP, Action.PROBE):
        require_accelerator(cfg.trainer.get("accelerator"), int(cfg.trainer.get("devices") or 1))
        require_net(plan)
    with StopSignals() as stop, storage_errors(folder), sole_trainer(folder, wait=in_sweep):
        stop.deferring = True  # what is composed, built or written is not left half done
        plan = plan.renewed()
        decision = plan.decision
        if decision.action in (Action.SKIP, Action.PROBE) and decision.previous is not None:
            stop.hint = FINISHED
            with stop.at_once():
                if decision.files_changed:
                    require_same_data(cfg, decision.previous, folder, plan.listing_sha256)
                relabel(folder, decision.previous, config, is_held=True)
                log.info("%s is finished already; rerun=true trains it again", folder.name)
                if cfg.get("trace") and not (folder / TRACE_FILE).exists():
                    log.info("it kept no trace; rerun=true trace=true keeps one")
                dirpath = Path(cfg.callbacks.checkpoints.dirpath)
                if cfg.get("keep_resume_states") and not resume_files(dirpath):
                    log.info("its resume states are gone; rerun=true keep_resume_states=true keeps them")
                warn_of_lost_weights(dirpath)
                return with_probes(cfg, config, decision.previous, folder)
        remove_leftovers(folder)
        replaced: list[Mapping[str, Any]] = []
        before = None if in_sweep else Before.of(folder, decision.previous)
        if decision.action is Action.START and (decision.previous is not None or cfg.rerun):
            replaced = [config, *([decision.previous.config] if decision.previous else [])]
            _make_way(folder, decision.previous)
        record = new_record(plan)
        earlier_s = record.timings.setup_s
        record.write(folder)
        try:
            write_atomically(folder / CONFIG_FILE, OmegaConf.to_yaml(OmegaConf.create(record.config)).encode())
            _build_fit_and_test(plan, record, stop, replaced, callbacks)
        except BaseException as error:
            if isinstance(error, MisconfigurationException):
                error = ConfigError(" ".join(str(error).split()))  # Lightning's word for a config it cannot run
            is_refused = isinstance(error, ConfigError | DataError) and record.timings.setup_s == earlier_s
            if is_refused and before is not None and not (replaced and before.was_cleared):
                # as what is refused before it is built
                before.restore(Path(cfg.callbacks.checkpoints.dirpath), is_set_aside=bool(replaced))
                raise error
            note_failure(record, error, folder)
            if isinstance(error, SystemExit):
                raise TrainingError(*(record.failure.message.splitlines() if record.failure else ())) from error
            if not isinstance(error, PrunedError):
                raise error
        if not cfg.get("keep_resume_states"):  # after its record, so that a kill in between costs nothing
            remove_states(Path(cfg.callbacks.checkpoints.dirpath))
        if record.finished:
            remove_replaced(folder)
        return record


def _make_way(folder: Path, previous: RunRecord | None) -> None:
    """Clear the folder for a run anew; what a finished run left waits beside it until the new one has finished."""
    if previous is None or not previous.finished:
        clear(folder, previous)
        return
    require_no_link(folder)
    set_aside(folder, previous)
    log.info("the earlier result waits in %s until this run has finished", folder / REPLACED)


@dataclass(frozen=True)
class _Parts:
    """What a run is made of, and the data's checksum when the run began."""

    datamodule: ImageDataModule
    classifier: TaskModule
    callbacks: Sequence[Callback]
    loggers: Sequence[Logger]
    trainer: pl.Trainer
    checkpoints: Checkpoints
    history: History
    began_with: str | None
    caveats: Sequence[str]


def _build_fit_and_test(
    plan: RunPlan,
    record: RunRecord,
    stop: StopSignals,
    replaced: Sequence[Mapping[str, Any]],
    callbacks: Sequence[Callback],
) -> None:
    began, started = time.time(), time.perf_counter()
    with processes(plan.cfg) as together:
        parts = _built(plan, record, stop, callbacks, together)
        resume_from = _start_or_resume(plan, record, parts, replaced)
        with stop.at_once():
            together.await_built(resume_from)
        record.timings.setup_s += time.perf_counter() - started
        record.write(plan.folder)
        stop.raise_if_received()
        try:
            together.fit(parts.trainer, model=parts.classifier, datamodule=parts.datamodule, ckpt_path=resume_from)
            stop.raise_if_received()
            _note_fit(record, parts, began)
            _test_and_keep(plan, record, stop, _for_testing(plan, parts, together))
        finally:
            for logger in parts.loggers:
                if isinstance(logger, RunLogger):
                    logger.close()


def _for_testing(plan: RunPlan, parts: _Parts, together: Processes) -> _Parts:
    """The same where one process has trained; else with a trainer of one process, which tests as `evaluate` does."""
    if together.count == 1:
        return parts
    trainer = build.trainer(plan.cfg, callbacks=parts.callbacks, loggers=parts.loggers)
    trainer.fit_loop.load_state_dict(parts.trainer.fit_loop.state_dict())  # what is logged stands at the last step
    return replace(parts, trainer=trainer)


def _test_and_keep(plan: RunPlan, record: RunRecord, stop: StopSignals, parts: _Parts) -> None:
    """Test what was trained, and leave all there is to keep of it."""
    cfg, folder = plan.cfg, plan.folder
    with stop.at_once():  # the state at the end of training stands, and probes may take long
        _test(record, parts)
    which = str(cfg.get("keep_predictions", "test"))
    keep_predictions(which, record, folder, parts.trainer, parts.classifier, parts.datamodule)
    keep_mistakes(record, folder, parts.trainer, parts.datamodule)
    record.status, record.ended_at, record.failure = Status.FINISHED, now(), None
    log_result(record, parts.trainer, parts.classifier, folder)
    kept = written_files(folder)
    if not cfg.get("keep_resume_states"):
        outdated = set(resume_states(folder))
        kept = [name for name in kept if name not in outdated]
    record.files = write_pictures(folder, pictures_of(parts.callbacks), kept)
    record.write(folder)
    stop.hint = FINISHED


def _built(
    plan: RunPlan, record: RunRecord, stop: StopSignals, more: Sequence[Callback], together: Processes
) -> _Parts:
    """Read the data, seed, build everything else, and write down what it is."""
    cfg, began_with = plan.cfg, record.data_sha256
    environment.prepare_process(threads=cfg.threads)
    datamodule = build.datamodule(cfg)
    with stop.at_once():
        datamodule.prepare_data()
        datamodule.setup()
    build.check_shares(cfg, datamodule)
    check_parts(cfg, datamodule)
    note_data(record, datamodule, listing_sha256=data_listing(cfg))
    environment.seed_process(cfg.seed)
    classifier = build.classifier(cfg)
    build.check_mix(datamodule, classifier.task)
    build.choose_memory_format(classifier.net, datamodule, classifier.task)
    callbacks, loggers = [*build.callbacks(cfg), *more], build.loggers(cfg)
    callbacks += [one for logger in loggers if isinstance(logger, RunLogger) for one in logger.callbacks()]
    trainer = build.trainer(
        cfg, callbacks=callbacks, loggers=loggers, strategy=strategy(cfg.trainer, rank=0), datamodule=datamodule
    )
    build.check_probes(cfg, callbacks, datamodule, classifier)
    choose_loop(trainer, classifier, datamodule, plan.resolved)
    note_parts(record, classifier, trainer, datamodule.image_shape)
    checkpoints, history = build.find_callback(callbacks, Checkpoints), build.find_callback(callbacks, History)
    checkpoints.plain_config, checkpoints.stop = record.config, stop
    caveats = together.caveats(classifier.net, synchronised=bool(cfg.trainer.get("sync_batchnorm")))
    for caveat in caveats:
        log.info("%s", caveat)
    return _Parts(datamodule, classifier, callbacks, loggers, trainer, checkpoints, history, began_with, caveats)


def _start_or_resume(
    plan: RunPlan, record: RunRecord, parts: _Parts, replaced: Sequence[Mapping[str, Any]]
) -> str | None:
    """Find the state to resume from, or load the first weights; the loggers continue from there."""
    dirpath, net = parts.checkpoints.dirpath, parts.classifier.net
    if replaced:
        discard(dirpath, *replaced)
    prepare_folder(dirpath, sum(value.nbytes for value in net.state_dict().values()))
    resume_from, step = where_to_resume(dirpath, record.config)
    if resume_from is None and plan.decision.action in (Action.RESUME, Action.RETRY):
        log.info("%s has no saved state to resume from; training starts at step 0", plan.folder.name)
    if not resume_from:
        record.init_weights_sha256 = prepare_first_weights(plan.cfg, net, parts.datamodule)
        if plan.starts_from is not None:
            record.init_weights_sha256 = pretrained.start_from(plan.starts_from, net, record.config)
    if resume_from and parts.began_with and parts.began_with != record.data_sha256:
        received, record.data_sha256 = str(record.data_sha256), parts.began_with
        raise DataError(
            f"the data is not what this run began with (SHA-256 {parts.began_with[:12]} then, {received[:12]} now); "
            "put it back, or add rerun=true to train anew"
        )
    for logger in parts.loggers:
        if isinstance(logger, RunLogger):
            logger.rewind(step)
            logger.begin(record)
    return resume_from


def _note_fit(record: RunRecord, parts: _Parts, began: float) -> None:
    history = parts.history
    record.timings.fit_s, record.timings.epoch_fit_s = history.fit_s, history.epoch_fit_s
    if history.first_step_at is not None:
        record.timings.first_step_s = history.first_step_at - began
    record.timings.images_per_s = history.images_per_s
    record.history = [EpochRow.model_validate(row) for row in history.rows]
    record.final_weights_sha256 = weights_sha256(parts.classifier.net)


def _test(record: RunRecord, parts: _Parts) -> None:
    """Test the weights that are kept, and write down what came out."""
    trainer, classifier, best = parts.trainer, parts.classifier, parts.checkpoints.best
    best.rewrite_best_if_corrupt(record.config, step=trainer.global_step)
    started = time.perf_counter()
    tested: dict[str, Any] = {"datamodule": parts.datamodule, "ckpt_path": str(best.path), "verbose": False}
    validated: Mapping[str, float] = best.metrics
    if best.averaged and record.data is not None and record.data.splits["val"].size:
        validated = trainer.validate(classifier, **tested)[0]  # so far validation has measured what was averaged
    results = trainer.test(classifier, **tested)
    record.timings.test_s = time.perf_counter() - started
    record.best_epoch = best.epoch
    record.metrics = best_metrics(results[0], validated, record.history, best.epoch)
    report = classifier.test_report()
    shown = {name: Curve.model_validate(curve) for name, curve in report.curves.items()}
    record.curves, record.confusion = shown | curves_of(parts.callbacks), report.confusion
    record.caveats = [*parts.caveats, *classifier.caveats, *report.caveats]
    for caveat in report.caveats:
        log.warning("%s (%s)", caveat, record.name)
    record.weights_sha256 = weights_sha256(classifier.net)
    record.peak_memory_bytes = environment.peak_memory_bytes(trainer.strategy.root_device)
