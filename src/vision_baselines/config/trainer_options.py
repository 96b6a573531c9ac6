"""Which options of Lightning's Trainer and which of its callbacks a run can have, and which are refused.

Supported means: a run that is killed and resumed ends as the uninterrupted one, and its record says what was done.
Everything else is refused in one line. `docs/options.md` is written by the tests that try each of them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from vision_baselines.errors import ConfigError

# Trainer options with no place in a config, and what to use instead.
_ELSEWHERE = {
    "callbacks": "add it under callbacks: +callbacks.NAME._target_=…",
    "logger": "choose logger=… or add one under logger: +logger.NAME._target_=…",
    "plugins": "checkpoints are written by this project's own plugin",
    "barebones": "it leaves out the callbacks and loggers that every run needs",
    "enable_checkpointing": "a run keeps its best weights and the state that it is resumed from",
    "reload_dataloaders_every_n_epochs": "the data is read once, and its order is a function of seed and epoch",
    "model_registry": "checkpoints stay in the run's folder",
}
# What these may be, where only that is the same after a kill and a resume.
_ONLY: dict[str, tuple[Any, ...]] = {
    "num_nodes": (1,),
}
_ONE_MACHINE = "the processes of a run are on one machine"
# Strategies of one device, and those of several; the latter all start their processes in the same way.
_ALONE = ("auto", "single_device")
_TOGETHER = ("ddp", "ddp_spawn", "ddp_fork", "ddp_notebook", "ddp_find_unused_parameters_true")
# Callbacks that several processes cannot hold the promise with.
_ALONE_CALLBACKS = {"StochasticWeightAveraging": "its pass over the batch statistics is of one process"}
_LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches", "overfit_batches")
# Callbacks of Lightning's that a resumed run cannot repeat, and why.
_REFUSED_CALLBACKS = {
    "BackboneFinetuning": "it adds parameters to the optimizer in mid-run; use freeze=backbone and init_from",
    "BaseFinetuning": "it adds parameters to the optimizer in mid-run; use freeze=backbone and init_from",
    "BatchSizeFinder": "the batch size belongs to the config: data.batch_size",
    "LearningRateFinder": "the rate belongs to the config: sweep optimizer.lr",
    "ModelPruning": "its masks are lost by a resume",
    "LambdaCallback": "functions cannot be named in a config",
    "OnExceptionCheckpoint": "what it saves is not a state that training passes through; the run's own is",
    "AsyncCheckpointIO": "checkpoints are written by this project's own plugin",
}
# Loggers of this project's and of Lightning's that need a package of their own.
_NEEDED = {
    "RunWandbLogger": "wandb",
    "WandbLogger": "wandb",
    "RunMLflowLogger": "mlflow",
    "MLFlowLogger": "mlflow",
}
_REFUSED_LOGGERS = {"CSVLogger": "it deletes its file when a run is resumed; use logger=csv"}

# Lightning's callbacks whose average is tested in place of the weights of the last step, in words.
_AVERAGES = {
    "WeightAveraging": "mean of the weights",
    "EMAWeightAveraging": "moving average of the weights",
    "StochasticWeightAveraging": "stochastic average of the weights",
}

_MOST_BATCHES = 10**9


def check_trainer_options(config: Mapping[str, Any]) -> None:
    """Refuse options that cannot be held.

    Args:
        config: A resolved config as plain data.

    Raises:
        ConfigError: The key, what it is, and what to use instead.
    """
    trainer = config.get("trainer")
    if not isinstance(trainer, Mapping):
        return
    for key, instead in _ELSEWHERE.items():
        value = trainer.get(key)
        if key in trainer and value is not None and not (key == "enable_checkpointing" and value is True):
            if key in ("barebones", "reload_dataloaders_every_n_epochs") and not value:
                continue
            raise ConfigError(f"trainer.{key} cannot be set here: {instead}")
    for key, words in _ONLY.items():
        if key in trainer and (trainer[key] not in words or isinstance(trainer[key], bool)):
            raise ConfigError(f"trainer.{key} is {trainer[key]!r}; expected {words[0]}: {_ONE_MACHINE}")
    _check_devices(config, trainer)
    _check_numbers(trainer)
    _check_choices(trainer)
    _check_validation(config, trainer)
    _check_classes(config.get("callbacks"), _REFUSED_CALLBACKS, "callbacks")
    _check_classes(config.get("logger"), _REFUSED_LOGGERS, "logger")
    _check_averages(config.get("callbacks"))
    _check_installed(config.get("logger"))


def _check_devices(config: Mapping[str, Any], trainer: Mapping[str, Any]) -> None:
    """Refuse devices and strategies with which a run is not the same after a kill, and batches too small for them."""
    devices, strategy, kind = (trainer.get(key) for key in ("devices", "strategy", "accelerator"))
    if devices == "1":
        devices = 1
    if isinstance(devices, bool) or not isinstance(devices, int | None) or (devices is not None and devices < 1):
        raise ConfigError(
            f"trainer.devices is {devices!r}; expected how many: the same number wherever the run is resumed"
        )
    if strategy is not None and strategy not in (*_ALONE, *_TOGETHER):
        shown = strategy.get("_target_") if isinstance(strategy, Mapping) else strategy
        raise ConfigError(
            f"trainer.strategy is {shown!r}; expected auto or ddp: with no other is a run the same after a kill"
        )
    synchronised = trainer.get("sync_batchnorm")
    if synchronised and kind in ("cpu", "mps"):
        raise ConfigError(
            f"trainer.sync_batchnorm is true; expected false on {kind}, where torch has no SyncBatchNorm: "
            "batch statistics are of each process's part of a batch"
        )
    if devices in (None, 1):
        return
    if strategy == "single_device":
        raise ConfigError(f"trainer.strategy is single_device beside trainer.devices={devices}; expected ddp")
    if kind not in ("cpu", "gpu", "cuda"):
        raise ConfigError(f"trainer.accelerator is {kind!r} beside trainer.devices={devices}; expected cpu or gpu")
    for key, each in (("batch_size", 2), ("eval_batch_size", 1)):
        size = (config.get("data") or {}).get(key)
        if isinstance(size, int) and size < each * devices:
            raise ConfigError(
                f"data.{key} is {size} beside trainer.devices={devices}, of all of them together; "
                f"expected at least {each * devices}"
            )
    if config.get("trace"):
        raise ConfigError(f"trace is true, which follows one process; expected trainer.devices=1, not {devices}")
    _check_classes(config.get("callbacks"), _ALONE_CALLBACKS, "callbacks", beside=f" beside trainer.devices={devices}")


def partial_because(trainer: Mapping[str, Any]) -> list[str]:
    """The options that make a run look at a part of its data only, as ``key=value``; none for a whole run."""
    found = ["fast_dev_run"] if trainer.get("fast_dev_run") else []
    found += [key for key in _LIMITS if trainer.get(key) not in (None, 1.0, 0, 0.0) or _is_one_batch(trainer.get(key))]
    return [f"trainer.{key}={trainer[key]}" for key in found if key != "limit_predict_batches"]


def _is_one_batch(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value == 1


def _check_numbers(trainer: Mapping[str, Any]) -> None:
    for key in _LIMITS:
        value = trainer.get(key)
        if value is None or (value == 0 and key in ("overfit_batches", "limit_predict_batches", "limit_val_batches")):
            continue
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        share = isinstance(value, float) and 0 < value <= 1
        if not (whole or share):
            raise ConfigError(
                f"trainer.{key} is {value!r}; expected a share above 0 and up to 1.0, or a number of batches"
            )
    for key, least in {
        "accumulate_grad_batches": 1,
        "check_val_every_n_epoch": 1,
        "min_epochs": 1,
        "min_steps": 1,
    }.items():
        value = trainer.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise ConfigError(f"trainer.{key} is {value!r}; expected a whole number of at least {least}")
    if (trainer.get("accumulate_grad_batches") or 1) > _MOST_BATCHES:  # a loss is divided by it
        raise ConfigError(
            f"trainer.accumulate_grad_batches is larger than {_MOST_BATCHES:,}; expected a smaller number"
        )
    steps = trainer.get("max_steps", -1)
    if isinstance(steps, bool) or not isinstance(steps, int) or (steps < 1 and steps != -1):
        raise ConfigError(f"trainer.max_steps is {steps!r}; expected a whole number of at least 1, or -1 for no limit")
    clip = trainer.get("gradient_clip_val")
    if clip is not None and (isinstance(clip, bool) or not isinstance(clip, int | float) or not clip > 0):
        raise ConfigError(f"trainer.gradient_clip_val is {clip!r}; expected a number above 0, or null")


def _check_choices(trainer: Mapping[str, Any]) -> None:
    """Refuse what Lightning would take for something else, or complain about by the name of a Python attribute."""
    deterministic = trainer.get("deterministic")
    if not (deterministic is None or isinstance(deterministic, bool) or deterministic == "warn"):
        raise ConfigError(f"trainer.deterministic is {deterministic!r}; expected true, false or warn")
    profiler = trainer.get("profiler")
    named = isinstance(profiler, Mapping) and "_target_" in profiler
    if not (profiler is None or profiler in ("simple", "advanced", "pytorch") or named):
        raise ConfigError(f"trainer.profiler is {profiler!r}; expected simple, advanced, pytorch, a class or null")
    max_time = trainer.get("max_time")
    if not (max_time is None or isinstance(max_time, str) or _is_duration(max_time)):
        raise ConfigError(f"trainer.max_time is {max_time!r}; expected DD:HH:MM:SS, {{hours: 1}} or null")


def _is_duration(value: Any) -> bool:
    try:
        return isinstance(value, Mapping) and bool(value) and timedelta(**value) >= timedelta(0)
    except (TypeError, OverflowError):
        return False


def _check_validation(config: Mapping[str, Any], trainer: Mapping[str, Any]) -> None:
    epochs = trainer.get("max_epochs")
    if isinstance(epochs, float):
        if config.get("checkpoint") != "last":
            raise ConfigError(
                f"trainer.max_epochs is {epochs}, and a part of an epoch is not validated, so its weights could not be "
                "best; expected checkpoint=last, or a whole number"
            )
        for key, node in (config.get("callbacks") or {}).items():
            if isinstance(node, Mapping) and "GradientAccumulationScheduler" in str(node.get("_target_")):
                raise ConfigError(
                    f"trainer.max_epochs is {epochs} beside callbacks.{key}, which changes the steps of an epoch; "
                    "expected a whole number"
                )
    interval = trainer.get("val_check_interval")
    if interval is not None:
        whole = isinstance(interval, int) and not isinstance(interval, bool) and interval >= 1
        if not (whole or (isinstance(interval, float) and 0 < interval <= 1)):
            raise ConfigError(
                f"trainer.val_check_interval is {interval!r}; expected a share of an epoch or a number of batches "
                "(by the clock, no two runs would validate at the same step)"
            )
    data, needs_last = config.get("data") or {}, ""
    if data.get("folds") is not None and data.get("folds_over") is None:
        _check_end_is_validated(trainer)
        why = "data.folds holds out to be measured on"
        needs_last = (
            "which would choose the epoch on the fold that is measured; expected checkpoint=last beside data.folds, "
            "or data.folds_over=all"
        )
    elif data.get("val_size") == 0:
        why = "data.val_size=0 leaves out"
        needs_last = "which validation decides, and data.val_size=0 leaves none; expected checkpoint=last"
    elif trainer.get("limit_val_batches") == 0:
        why = "trainer.limit_val_batches=0 leaves out"
    else:
        return
    if needs_last and config.get("checkpoint") != "last":
        raise ConfigError(f"checkpoint is {config.get('checkpoint')}, {needs_last}")
    schedule = (config.get("scheduler") or {}).get("schedule") or {}
    if "ReduceLROnPlateau" in str(schedule.get("_target_")):
        raise ConfigError(f"scheduler=plateau follows val/loss, which {why}")
    for key, node in (config.get("callbacks") or {}).items():
        monitor = node.get("monitor") if isinstance(node, Mapping) else None
        if key != "checkpoints" and str(monitor).startswith("val/"):
            raise ConfigError(f"callbacks.{key}.monitor is {monitor}, which {why}")


def averaging(callbacks: Any) -> dict[str, str]:
    """The callbacks of a plain config that put an average of weights in the place of the net's own, by their key."""
    nodes = callbacks.items() if isinstance(callbacks, Mapping) else ()
    classes = {key: str(node.get("_target_")).rpartition(".")[2] for key, node in nodes if isinstance(node, Mapping)}
    return {key: _AVERAGES[name] for key, name in classes.items() if name in _AVERAGES}


def _check_installed(loggers: Any) -> None:
    for key, node in (loggers or {}).items() if isinstance(loggers, Mapping) else ():
        package = _NEEDED.get(str(node.get("_target_")).rpartition(".")[2]) if isinstance(node, Mapping) else None
        if package is not None and importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"logger.{key} needs the package {package}, which is not installed: pip install {package}; "
                "logger=tensorboard needs nothing more"
            )


def _check_averages(callbacks: Any) -> None:
    found = averaging(callbacks)
    if len(found) > 1:
        raise ConfigError(
            f"{' and '.join(f'callbacks.{key}' for key in found)} both average the weights, and a run tests "
            "one average; choose one of them"
        )


def _check_classes(group: Any, refused: Mapping[str, str], name: str, beside: str = "") -> None:
    for key, node in (group or {}).items() if isinstance(group, Mapping) else ():
        target = str(node.get("_target_")) if isinstance(node, Mapping) else ""
        package, _, kind = target.rpartition(".")
        if package.startswith("pytorch_lightning") and kind in refused:
            raise ConfigError(f"{name}.{key} is a {kind}, which is not supported{beside}: {refused[kind]}")


def _check_end_is_validated(trainer: Mapping[str, Any]) -> None:
    """Refuse a run whose last weights are not validated, where that is what runs are compared by.

    Raises:
        ConfigError: It may end within an epoch, or after one without validation.
    """
    epochs, every = trainer.get("max_epochs"), trainer.get("check_val_every_n_epoch", 1)
    expected = "expected a whole number of epochs that ends with a validation, or data.folds_over=all"
    if isinstance(epochs, float):
        said = f"trainer.max_epochs is {epochs}"
    elif trainer.get("max_steps", -1) not in (None, -1):
        said = f"trainer.max_steps is {trainer['max_steps']}"
    elif every is None or (isinstance(every, int) and every > 1 and isinstance(epochs, int) and epochs % every):
        said = f"trainer.check_val_every_n_epoch is {every or 'null'} and trainer.max_epochs {epochs}"
    else:
        return
    raise ConfigError(f"{said} beside data.folds, whose fold is measured when training ends; {expected}")
