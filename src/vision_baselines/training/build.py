"""Config to objects: the only module that instantiates anything.

Whatever names a class by ``_target_`` is compared with a list of allowed names first. Hydra's own blocklist is no
boundary: `torch.load`, `numpy.load`, `shutil.copy` and files opened for writing all pass it.
"""

from __future__ import annotations

import copy
import logging
import math
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import Strategy
from torch import nn

from vision_baselines.analysis.layer_trace import evaluation_mode, example_of
from vision_baselines.config.argument_types import check_argument_types
from vision_baselines.config.checks import check_targets
from vision_baselines.config.packages import where_raised
from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.errors import ConfigError, VisionBaselinesError, is_out_of_memory
from vision_baselines.models.transfer import freeze_backbone
from vision_baselines.probes.probe import Probe
from vision_baselines.seeding import default_generators_kept
from vision_baselines.steps.step_cost import NoProfiler, shorten_steps
from vision_baselines.storage.checkpoint_file import CheckedCheckpointIO
from vision_baselines.tasks.classification import Classification
from vision_baselines.tasks.task import Task
from vision_baselines.training.first_weights import freeze_first_layer
from vision_baselines.training.run_length import length_options
from vision_baselines.training.task_module import TaskModule
from vision_baselines.training.trace import StepTrace

# Errors whose text says what is wrong without their name.
log = logging.getLogger(__name__)

_DTYPES = {"64-true": torch.float64, "64": torch.float64, "bf16-true": torch.bfloat16, "16-true": torch.float16}
_SAID_WHOLE = (ValueError, TypeError, MisconfigurationException, OmegaConfBaseException)


def datamodule(cfg: DictConfig) -> ImageDataModule:
    """The data module of a run."""
    made: ImageDataModule = _instance(cfg, "data", ImageDataModule)
    return made


def classifier(cfg: DictConfig) -> TaskModule:
    """The net inside its classifier, weights drawn, frozen where the config says so."""
    compile_options = OmegaConf.select(cfg, "classifier.compile")
    if not isinstance(compile_options, DictConfig | None):
        raise ConfigError(f"classifier.compile is {compile_options!r}; expected options of torch.compile, {{}} or null")
    made: TaskModule = _instance(cfg, "classifier", TaskModule)
    if cfg.get("freeze") == "backbone":
        freeze_backbone(made.net)
    elif cfg.get("freeze") == "first_layer":
        freeze_first_layer(made.net)
    # Lightning converts the net only after it has loaded a checkpoint into it, which rounds 64-bit weights to 32
    made = made.to(_DTYPES[precision]) if (precision := str(cfg.trainer.get("precision"))) in _DTYPES else made
    made.check_optimizer()
    return made


def task(cfg: DictConfig) -> Task:
    """What a run learns."""
    made: Task = _instance(cfg, "task", Task)
    return made


def net(cfg: DictConfig) -> nn.Module:
    """The net alone, weights drawn."""
    made: nn.Module = _instance(cfg, "model", nn.Module)
    return made


def check_shares(cfg: DictConfig, datamodule: ImageDataModule) -> None:
    """Refuse shares and numbers of a split's batches that it does not have, which Lightning finds out later.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    splits = datamodule.splits
    assert splits is not None
    for key, split, size in (
        ("limit_train_batches", splits.train, cfg.data.batch_size),
        ("overfit_batches", splits.train, cfg.data.batch_size),
        ("limit_val_batches", splits.val, cfg.data.eval_batch_size),
        ("limit_test_batches", splits.test, cfg.data.eval_batch_size),
    ):
        share, batches = cfg.trainer.get(key), math.ceil(len(split.target) / size)
        if isinstance(share, float) and 0 < share < 1 and batches and share * batches < 1:
            raise ConfigError(
                f"trainer.{key} is {share}, which is less than one of {batches} batches; "
                "expected a larger share, or a number of batches"
            )
    interval, batches = cfg.trainer.get("val_check_interval"), math.ceil(len(splits.train.target) / cfg.data.batch_size)
    is_within_epoch = cfg.trainer.get("check_val_every_n_epoch", 1) is not None
    if isinstance(interval, int) and not isinstance(interval, bool) and is_within_epoch and interval > batches:
        raise ConfigError(
            f"trainer.val_check_interval is {interval} batches, and an epoch has {batches}; expected at most as many, "
            "or trainer.check_val_every_n_epoch=null beside it, to count over epochs"
        )


def check_mix(datamodule: ImageDataModule, task: Task) -> None:
    """Refuse mixed targets that the task cannot learn.

    Raises:
        ConfigError: It learns no shares of classes.
    """
    if datamodule.mix is not None and not task.learns_shares:
        raise ConfigError(
            f"mix makes targets that are shares of classes, which {type(task).__name__} does not learn; mix=none"
        )


def choose_memory_format(net: nn.Module, datamodule: ImageDataModule, task: Task | None = None) -> None:
    """Lay weights and images out contiguously if the net cannot be given them channels last.

    ``x.view(len(x), -1)`` cannot; a `flatten` or `reshape` can.

    Args:
        net: The net.
        datamodule: Its images are laid out as the net's weights are.
        task: What the net learns; classification needs a tensor of logits.

    Raises:
        ConfigError: The net returns something else.
    """
    images = torch.zeros(2, *datamodule.image_shape).to(example_of(net)).to(memory_format=datamodule.memory_format)
    try:
        with evaluation_mode(net), torch.no_grad():
            outputs = net(images)
        if isinstance(task, Classification) and not isinstance(outputs, torch.Tensor):
            raise ConfigError(f"model returns a {type(outputs).__name__}; expected a tensor of logits (N, num_classes)")
    except RuntimeError as error:
        if "view size is not compatible" in str(error):
            log.info("the net needs contiguous memory: channels_last is off for it")
            net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
            datamodule.memory_format = torch.contiguous_format


def loggers(cfg: DictConfig) -> list[Logger]:
    """The loggers of a run, in the order of their keys."""
    return [_instance(cfg, f"logger.{key}", Logger) for key, node in (cfg.get("logger") or {}).items() if node]


def callbacks(cfg: DictConfig) -> list[Callback]:
    """The callbacks of a run and its probes, in the order of their keys; a progress bar only where somebody watches."""
    made = [_instance(cfg, f"callbacks.{key}", Callback) for key, node in (cfg.get("callbacks") or {}).items() if node]
    made += probes(cfg)
    if cfg.get("trace"):
        made.append(StepTrace(Path(cfg.paths.run_dir)))
    unwanted: list[type[Callback]] = []
    if not (cfg.trainer.enable_progress_bar and sys.stderr.isatty()):
        unwanted.append(pl.callbacks.ProgressBar)
    if not any((cfg.get("logger") or {}).values()):
        unwanted.append(pl.callbacks.LearningRateMonitor)  # it refuses a trainer that logs nothing
    return [callback for callback in made if not isinstance(callback, tuple(unwanted))]


def find_callback(callbacks: Sequence[Any], kind: type[Any]) -> Any:
    """The first callback of a kind that every run needs.

    Raises:
        ConfigError: There is none.
    """
    for callback in callbacks:
        if isinstance(callback, kind):
            return callback
    raise ConfigError(f"the config has no callback of type {kind.__name__}, which every run needs")


def probes(cfg: DictConfig) -> list[Callback]:
    """The probes of a run, in the order of their keys."""
    return [_instance(cfg, f"probe.{key}", Callback) for key, node in (cfg.get("probe") or {}).items() if node]


def check_probes(cfg: DictConfig, callbacks: Sequence[Callback], datamodule: Any, classifier: Any) -> None:
    """Name at once all probes that do not fit, where it is more than one; of one, Lightning's own call tells.

    Raises:
        ConfigError: What each of them says, and the probes that are left.
    """
    given = SimpleNamespace(datamodule=datamodule)
    refused = []
    for probe in (one for one in callbacks if isinstance(one, Probe)):
        try:
            with default_generators_kept():
                copy.copy(probe).setup(given, classifier, "fit")  # type: ignore[arg-type]
        except ConfigError as error:
            refused.append(error)
        except Exception:  # asked again, with all there is, when training starts
            continue
    if len(refused) > 1:
        said = "; ".join(f"{error}" for error in refused)
        left = [key for key, node in cfg.probe.items() if node and f"probe.{key}" not in said]
        raise ConfigError(f"{said} (the others: probe=[{','.join(left)}])")


def trainer(
    cfg: DictConfig,
    *,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    strategy: Strategy | None = None,
    datamodule: ImageDataModule | None = None,
) -> pl.Trainer:
    """Lightning's trainer, with this project's checkpoint files, and without what it says of every run.

    What a cluster's scheduler says of its tasks is not asked: inside of a job Lightning would count them as processes
    of this run, refuse a number of its own, and take the signals of preemption to submit the job again by itself.

    Args:
        cfg: Of the run.
        callbacks: Of this process.
        loggers: Of this process.
        strategy: How it trains among several processes; None is one process on one device, whatever the config says, as
            whatever tests a net is.
        datamodule: What is trained on, for a length in parts of an epoch; None for whatever tests a net.
    """
    quieten_lightning()
    without_val = {"limit_val_batches": 0} if OmegaConf.select(cfg, "data.val_size") == 0 else {}
    made: pl.Trainer = _instance(
        cfg,
        "trainer",
        pl.Trainer,
        **without_val,
        **length_options(cfg, datamodule),
        **({"devices": 1, "strategy": "auto"} if strategy is None else {"strategy": strategy}),
        **({"profiler": NoProfiler()} if cfg.trainer.get("profiler") is None else {}),
        callbacks=list(callbacks),
        logger=list(loggers) or False,
        plugins=[CheckedCheckpointIO(), *([LightningEnvironment()] if strategy is None else [])],
        enable_progress_bar=any(isinstance(callback, pl.callbacks.ProgressBar) for callback in callbacks),
    )
    shorten_steps(made)
    return made


def _instance(cfg: DictConfig, key: str, expected: type, **options: Any) -> Any:
    node = OmegaConf.select(cfg, key)
    if node is None:
        raise ConfigError(f"the config has no {key}")
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise ConfigError(f"{key} is {node!r}; expected a class (_target_) and its arguments")
    plain = OmegaConf.to_container(node, resolve=True)
    check_targets({key: plain}, cfg.get("trusted_packages") or ())
    check_argument_types(plain, key)
    try:
        made = instantiate(node, **options, _convert_="all")
    except SystemExit as error:
        raise ConfigError(f"{key} cannot be built: it called sys.exit({error.code!r})") from error
    except InstantiationException as error:
        cause = _root_cause(error)
        if isinstance(cause, VisionBaselinesError):
            raise cause from error
        if located := re.search(r"Error locating target '([^']+)'", str(error)):
            raise ConfigError(f"{key} cannot be built: {_why_not_found(located[1], error)}") from error
        if isinstance(cause, OSError) or is_out_of_memory(cause):
            raise cause from error
        kind = "" if isinstance(cause, _SAID_WHOLE) else f"{type(cause).__name__}: "
        raise ConfigError(f"{key} cannot be built: {kind}{' '.join(str(cause).split())}") from error
    if not isinstance(made, expected):
        raise ConfigError(f"{key}._target_ makes a {type(made).__name__}; expected a {expected.__name__}")
    return made


def _why_not_found(target: str, error: BaseException) -> str:
    """What is wrong with the module of `target`: it does not exist, or an error of its own ends its import."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
    if isinstance(cause, AttributeError) or (missing and f"{target}.".startswith(f"{missing}.")):
        where = "" if missing != target.split(".")[0] else f" ({missing} is neither installed nor in {Path.cwd()})"
        return f"there is no {target}{where}"
    place = where_raised(cause)
    return f"importing {target} fails with {type(cause).__name__}: {' '.join(str(cause).split())}" + (
        f" ({place})" if place else ""
    )


def _root_cause(error: BaseException) -> BaseException:
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def quieten_lightning() -> None:
    """Leave out what Lightning says of every run and what does not hold here."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("torch").setLevel(logging.WARNING)  # it reports on its caches where a process ends in Ctrl-C
    for message in (
        ".*does not have many workers.*",  # the data is in memory: workers only add a copy
        ".*smaller than the logging interval.*",  # epoch metrics are logged whatever the interval
        ".*dataloader is not resumable.*",  # its sampler starts where the run stands
        "The `srun` command is available.*",  # on a cluster's login node; a run is one process
        ".*find_unused_parameters=True was specified.*",  # it keeps the order in which gradients are summed
        "It is recommended to use `self.log.*sync_dist=True.*",  # the metrics have summed over the processes
        ".*isinstance.treespec, LeafSpec.*",  # Lightning's own use of torch
    ):
        warnings.filterwarnings("ignore", message)
