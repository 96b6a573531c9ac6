"""What a record says before anything is trained: of the run itself, of its parts and of the machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from torch import nn

from vision_baselines.analysis.layer_trace import example_of
from vision_baselines.analysis.net_size import net_size
from vision_baselines.config.plan import RunPlan
from vision_baselines.config.trainer_options import averaging, partial_because
from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.errors import ConfigError
from vision_baselines.runs import environment
from vision_baselines.runs.code import code_of, code_of_all_attempts
from vision_baselines.runs.fingerprint import chosen_options
from vision_baselines.runs.labels import with_labels_of
from vision_baselines.runs.record import DataFacts, Parameters, RunRecord, Status, TaskFacts, now
from vision_baselines.runs.resumption import Action
from vision_baselines.tasks.task import Task
from vision_baselines.training.loop import seeds_per_pass

_OWN_PRECISIONS = {torch.float64: "64-true", torch.bfloat16: "bf16-true", torch.float16: "16-true"}


def new_record(plan: RunPlan) -> RunRecord:
    """The record of a run that starts, or that is resumed: then with what its earlier attempts took."""
    cfg, config, decision = plan.cfg, dict(plan.config), plan.decision
    previous = decision.previous if decision.action in (Action.RESUME, Action.RETRY) else None
    config = with_labels_of(config, previous.config) if previous else config
    record = RunRecord(
        name=plan.folder.name,
        sweep=str(cfg.name),
        status=Status.RUNNING,
        overrides=list(plan.overrides),
        config=config,
        fingerprint=plan.fingerprint,
        seed=cfg.seed,
        command=typed_command(sys.argv),
        started_at=previous.started_at if previous else now(),
        # a run that fails before its threads are set would have had these
        environment=environment.observe("cpu").model_copy(update={"threads": cfg.threads}),
        code=code_of_all_attempts(previous.code if previous else {}, code_of(config)),
        attempts=previous.attempts + 1 if previous else 1,
        choices=chosen_options(HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}),
    )
    if previous:
        record.timings, record.data_sha256 = previous.timings, previous.data_sha256
        record.init_weights_sha256 = previous.init_weights_sha256
    return record


def typed_command(argv: Sequence[str]) -> list[str]:
    """A command line as it was typed: the installed command and ``python -m`` have their verb in ``argv[0]``.

    >>> typed_command(["/env/bin/vision-baselines train", "seed=1"])
    ['vision-baselines', 'train', 'seed=1']
    >>> typed_command(["/src/vision_baselines/__main__.py train"]), typed_command(["scripts/train.py", "a b=1"])
    (['python', '-m', 'vision_baselines', 'train'], ['train.py', 'a b=1'])
    """
    program, _, verb = Path(argv[0]).name.partition(" ")
    if program == "__main__.py":
        return ["python", "-m", Path(argv[0]).parent.name, *filter(None, [verb]), *argv[1:]]
    return [*([program, verb] if program == "vision-baselines" and verb else [Path(argv[0]).name]), *argv[1:]]


def note_data(record: RunRecord, datamodule: ImageDataModule, *, listing_sha256: str | None) -> None:
    """Write down which data was read."""
    splits = datamodule.splits
    assert splits is not None
    record.data_sha256, record.test_sha256 = splits.sha256, splits.test_sha256
    record.class_names = list(splits.class_names)
    record.data = DataFacts(**datamodule.facts(), listing_sha256=listing_sha256)


def note_parts(
    record: RunRecord, classifier: pl.LightningModule, trainer: pl.Trainer, image_shape: Sequence[int]
) -> None:
    """Write down what is trained on which machine: task, size of the net, precision, environment."""
    task: Task = classifier.task  # type: ignore[assignment]
    record.task = TaskFacts(headline=task.headline, mode=task.mode, modes=task.modes)
    net: nn.Module = classifier.net  # type: ignore[assignment]
    try:
        size = net_size(net, image_shape)
    except ValueError as error:
        raise ConfigError(f"model cannot be used: {' '.join(str(error).split())}") from error
    record.parameters = Parameters(
        total=size.num_params,
        trainable=size.num_params_trainable,
        per_layer={layer.name: layer.num_params for layer in size.layers if layer.num_params},
        flops_per_image=size.flops,
        receptive_field_px=size.receptive_field_px,
    )
    found = environment.observe(trainer.strategy.root_device)
    record.environment = found.model_copy(
        update={"processes": trainer.world_size, "seeds_per_pass": seeds_per_pass(trainer)}
    )
    weights = example_of(net).dtype
    # a net that is made in another precision keeps it
    record.precision = _OWN_PRECISIONS.get(weights, str(trainer.precision))
    record.averaged = next(iter(averaging(record.config["callbacks"]).values()), None)
    debug = [f"debug={record.choices['debug']}"] if "debug" in record.choices else []
    record.partial = [*partial_because(record.config["trainer"]), *debug]
