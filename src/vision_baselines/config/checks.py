"""What can be said of a config before anything is built from it: its plain form, its numbers, its targets.

Nothing here imports torch, so that every job of a sweep is looked at before the first one starts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vision_baselines.config.ablation import check_ablate
from vision_baselines.config.argument_types import FRACTIONAL, check_argument_types, is_fractional
from vision_baselines.config.comparison_options import check_comparison
from vision_baselines.config.data_facts import fill_auto, make_places_absolute, needs_filling
from vision_baselines.config.packages import how_to_trust, require_of_hydra
from vision_baselines.config.references import override_texts, plain_config
from vision_baselines.config.restore import COPIES, rename_moved
from vision_baselines.config.search_options import check_search
from vision_baselines.config.seeds_per_pass import check_seeds_per_pass
from vision_baselines.config.trainer_options import check_trainer_options
from vision_baselines.config.written_paths import check_written_paths
from vision_baselines.data.channels import check_channels
from vision_baselines.data.folds import check_folds
from vision_baselines.errors import ConfigError
from vision_baselines.runs.dotted import select
from vision_baselines.runs.targets import class_definitions, targets

# Classes only (a capital first letter), so that no loader and no function that acts is among them; torchvision's nets
# are functions, and are named by their families.
_ALLOWED = tuple(
    re.compile(pattern)
    for pattern in (
        r"torch\.optim\.(lr_scheduler\.)?[A-Z]\w*",
        r"torch\.nn\.[A-Z]\w*",
        r"torchvision\.models\.(alexnet|vgg|resnet|squeezenet|densenet|googlenet|shufflenet|mobilenet|resnext|"
        r"wide_resnet|mnasnet|efficientnet|regnet|vit|convnext|swin|maxvit|inception)\w*",
        r"pytorch_lightning\.Trainer",
        r"pytorch_lightning\.(callbacks|loggers|strategies|profilers)\.[A-Z]\w*",
    )
)
_OUR_PACKAGES = (
    "models",
    "optim",
    "tasks",
    "data",
    "probes",
    "training.module",
    "training.checkpoints",
    "training.history",
    "training.divergence",
    "training.nan_watch",
    "training.parameter_table",
    "training.progress_bar",
    "training.tensorboard_logger",
    "training.csv_logger",
    "training.wandb_logger",
    "training.mlflow_logger",
)

AUTO = "auto"  # as a seed: the sweeper chooses

# Range of every number that is looked at before a run: kind, least, most (both allowed), whether it may be null.
_WHOLE, _REAL = "a whole number", "a number"
_RANGES: dict[str, tuple[str, float, float]] = {
    "seed": (_WHOLE, 0, 2**32 - 1),
    "threads": (_WHOLE, 1, 4096),
    "n_jobs": (_WHOLE, 1, 4096),
    "gpus_per_job": (_REAL, 0.01, 4096),
    "checkpoint_every_n_steps": (_WHOLE, 1, math.inf),
    "trainer.max_epochs": (_WHOLE, 1, math.inf),
    "trainer.log_every_n_steps": (_WHOLE, 1, math.inf),
    "data.batch_size": (_WHOLE, 1, math.inf),
    "data.eval_batch_size": (_WHOLE, 1, math.inf),
    "data.num_workers": (_WHOLE, 0, 4096),
    "data.num_classes": (_WHOLE, 1, math.inf),
    "data.train_fraction": (_REAL, 0, 1),
    "optimizer.lr": (_REAL, 0, math.inf),
    "optimizer.weight_decay": (_REAL, 0, math.inf),
    "scheduler.schedule.max_lr": (_REAL, 0, math.inf),
    "scheduler.schedule.T_max": (_WHOLE, 1, math.inf),
    "model.kernel_size": (_WHOLE, 1, math.inf),
    "model.conv_per_block": (_WHOLE, 1, math.inf),
    "model.num_blocks": (_WHOLE, 1, math.inf),
    "model.dropout": (_REAL, 0, 1),
}
_MAY_BE_NULL = frozenset({"first_layer", "n_jobs", "freeze", "code"})

_NOT_THERE = object()

# Keys that are true or false and no argument of a class, whose signature would say so.
_BOOLEANS = ("rerun", "preview", "list", "fail_fast", "trace", "keep_resume_states", "print_config")

# Words that a key may be; those in `_MAY_BE_NULL` may be null too.
_WORDS: dict[str, tuple[str, ...]] = {
    "freeze": ("backbone", "first_layer"),
    "first_layer": ("whiten",),
    "code": ("ignore", "warn", "refuse"),
    "checkpoint": ("best", "last"),
    "keep_predictions": ("test", "all", "none"),
    "scheduler.interval": ("epoch", "step"),
}

# Groups of keys that every run needs, with an example; those in `_CLASSES` name a class.
_GROUPS = {
    "data": "data=digits",
    "data.source": "data=digits",
    "model": "model=cnn",
    "optimizer": "optimizer=adamw",
    "scheduler": "scheduler=none",
    "task": "task=classification",
    "trainer": "trainer=default",
    "classifier": "classifier=default",
    "callbacks": "callbacks=default",
    "callbacks.checkpoints": "callbacks=default",
    "callbacks.history": "callbacks=default",
    "paths": "paths=default",
}
_CLASSES = frozenset(_GROUPS) - {"scheduler", "callbacks", "paths"}


def checked_config(cfg: DictConfig) -> dict[str, Any]:
    """The plain config of a run, after everything that can be known of it has been checked.

    What it leaves to the data is filled in, in `cfg` too.

    Raises:
        ConfigError: A number is out of its range or of the wrong kind, or a target may not be instantiated.
    """
    rename_moved(cfg)
    check_groups(cfg)
    make_places_absolute(cfg)
    config = plain_config(cfg)
    check_targets(config, config.get("trusted_packages") or ())
    _check_folds(config)
    if needs_filling(cfg):
        fill_auto(cfg)
        config = plain_config(cfg)
    typed = HydraConfig.get().overrides.task if HydraConfig.initialized() else ()
    check_values(config, override_texts(typed))
    return config


def check_values(config: Mapping[str, Any], typed: Sequence[str]) -> None:
    """Check a plain config whose targets are known to be harmless and in which nothing is left to the data.

    Args:
        config: See `plain_config`.
        typed: The overrides of the command line.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    _check_folds(config)
    if config.get("seed") == AUTO:
        raise ConfigError(
            "seed is 'auto', which adds seeds until every comparison is decided: it needs -m and "
            "hydra/sweeper=until_decided; else expected a whole number, or several with -m, such as seed=0,1,2"
        )
    check_numbers(config)
    check_booleans(config)
    check_words(config)
    check_seeds_per_pass(config.get("seeds_per_pass", 1))
    check_labels(config)
    check_comparison(config)
    check_ablate(config)
    check_search(config)
    check_argument_types(config, "")
    check_trainer_options(config)
    check_written_paths(config, typed)


def _check_folds(config: Mapping[str, Any]) -> None:
    of_folds = {key: select(config, f"data.{key}") for key in ("folds", "fold", "folds_over", "split_seed", "val_size")}
    check_folds(**of_folds, on_duplicate=select(config, "data.source.on_duplicate"))


def check_channels_of(config: Mapping[str, Any]) -> None:
    """Check what a run's config states of the channels of its data, where that is of this project's data module.

    Raises:
        ConfigError: It does not fit their number.
    """
    stated = [select(config, f"data.{key}") for key in ("mean", "std", "image_shape")]
    is_ours = str(select(config, "data._target_")).rpartition(".")[2] == "ImageDataModule"
    if is_ours and all(isinstance(one, list) and one and {*map(type, one)} <= {int, float} for one in stated):
        check_channels(*stated)


def check_groups(cfg: DictConfig) -> None:
    """Refuse a group that is a plain value, before anything that refers to its keys is resolved.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    for key, example in _GROUPS.items():
        parent, _, name = key.rpartition(".")
        node: Any = OmegaConf.select(cfg, parent) if parent else cfg
        if not isinstance(node, DictConfig) or name not in node or OmegaConf.is_interpolation(node, name):
            continue
        value = node[name]
        needed = ("_target_",) if key in _CLASSES else ("schedule", "interval") if key == "scheduler" else ()
        if not (isinstance(value, DictConfig) and all(part in value for part in needed)):
            wanted = "a class (_target_) and its arguments" if key in _CLASSES else "keys with values"
            raise ConfigError(f"{key} is {value!r}; expected {wanted}, such as {example}")
    own_groups = cfg.get("parameter_groups")
    if own_groups is not None and not isinstance(own_groups, DictConfig):
        raise ConfigError(
            f"parameter_groups is {own_groups!r}; expected names with keys, such as parameter_groups=no_decay"
        )
    for group in ("callbacks", "logger", "probe"):
        made = OmegaConf.select(cfg, group)
        if made is not None and not isinstance(made, DictConfig):
            raise ConfigError(f"{group} is {made!r}; expected names, each with a class (_target_) and its arguments")
        for key_in_group, part in (made or {}).items():
            if part is not None and not (isinstance(part, DictConfig) and (not part or "_target_" in part)):
                place = f"{group}.{key_in_group!s}"
                raise ConfigError(f"{place} is {part!r}; expected a class (_target_) and its arguments, or null")
    trusted = cfg.get("trusted_packages")
    if trusted is not None and not OmegaConf.is_list(trusted):
        raise ConfigError(f"trusted_packages is {trusted!r}; expected a list, such as trusted_packages=[my_package]")


def check_numbers(config: Mapping[str, Any]) -> None:
    """Compare the numbers of a plain config with their ranges.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    for key, (kind, least, most) in _RANGES.items():
        value = select(config, key, _NOT_THERE)
        if value is _NOT_THERE or (value is None and key in _MAY_BE_NULL):
            continue
        if key in FRACTIONAL and is_fractional(value):
            continue
        fits = isinstance(value, int if kind == _WHOLE else int | float) and not isinstance(value, bool)
        if not fits or not math.isfinite(value) or not least <= value <= most:
            bounds = f"of at least {least:g}" if most == math.inf else f"from {least:.10g} to {most:.10g}"
            raise ConfigError(f"{key} is {value!r}; expected {kind} {bounds}")


def check_booleans(config: Mapping[str, Any]) -> None:
    """Compare the keys of a plain config that switch something with true and false; Hydra reads `no` as text.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    for key in _BOOLEANS:
        value = select(config, key, True)
        if not isinstance(value, bool):
            raise ConfigError(f"{key} is {value!r}; expected true or false")


def check_words(config: Mapping[str, Any]) -> None:
    """Check the keys of a plain config that are one of a few words, or a path.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    for key, words in _WORDS.items():
        value = select(config, key, words[0])
        may_be_null = key in _MAY_BE_NULL
        if value not in words and not (value is None and may_be_null):
            listed = " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
            raise ConfigError(f"{key} is {value!r}; expected {listed}{', or null' * may_be_null}")
    if select(config, "scheduler.interval") == "step" and "ReduceLROnPlateau" in str(
        select(config, "scheduler.schedule._target_")
    ):
        raise ConfigError("scheduler.interval is step; scheduler=plateau follows val/loss: expected epoch")
    for key, own in COPIES.items():
        node = select(config, key)
        if node is not None and not (isinstance(node, Mapping) and (not node or "_target_" in node)):
            raise ConfigError(f"{key} is {node!r}; expected {own.split('.')[0]}=…, which it follows")
    outputs = select(config, "model.num_classes")
    classes = select(config, "data.num_classes")
    task = select(config, "task._target_")
    classifies = task is None or str(task).startswith("vision_baselines.tasks.classification.")
    learned = select(config, "task.num_classes")
    if task == "vision_baselines.tasks.binary.Binary":
        if classes != 2:
            raise ConfigError(f"task=binary learns two classes; the data has data.num_classes={classes}")
        if outputs is not None and outputs != 1:
            raise ConfigError(f"model.num_classes is {outputs}; task=binary needs a net of one output")
    for key, number in (("model.num_classes", outputs), ("task.num_classes", learned)):
        if classifies and isinstance(number, int) and number != classes:
            raise ConfigError(f"{key} is {number}; the data has data.num_classes={classes}")
    checksum = select(config, "data.source.sha256")
    if checksum is not None and not re.fullmatch(r"[0-9a-f]{64}", str(checksum)):
        raise ConfigError(
            f"data.source.sha256 is {checksum!r}; expected the 64 hexadecimal digits of a SHA-256, or null"
        )
    source = select(config, "init_from")
    if source is not None and not (isinstance(source, str) and source):
        raise ConfigError(f"init_from is {source!r}; expected a run's folder, a checkpoint or job:key=value, or null")


def check_labels(config: Mapping[str, Any]) -> None:
    """Check what a plain config says of a run in words.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    tags, notes = config.get("tags"), config.get("notes")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) and tag.strip() for tag in tags)):
        raise ConfigError(f"tags is {tags!r}; expected a list of words, such as tags=[paper,first]")
    if notes is not None and not (isinstance(notes, str) and notes.strip()):
        raise ConfigError(f"notes is {notes!r}; expected a text, such as notes='with the new data'")


def check_targets(node: Any, trusted_packages: Sequence[str] = ()) -> None:
    """Compare every ``_target_`` at or below `node` with the names that may be instantiated.

    Args:
        node: Plain data, or a config.
        trusted_packages: Top-level packages of the user's own.

    Raises:
        ConfigError: A name is not among them, or Hydra instantiates it for nobody; nothing was imported from it.
    """
    if OmegaConf.is_config(node):
        node = OmegaConf.to_container(node, resolve=True)
    found = list(targets(node))
    refused = [(key, target) for key, target in found if not _is_allowed(target, trusted_packages)]
    if refused:
        # `classifier` repeats what stands under a key of its own, which is the one to change
        refused.sort(key=lambda found: found[0].count("."))
        key, target = refused[0]
        raise ConfigError(
            f"{key}._target_ is {target!r}, which is not among the classes that may be instantiated; "
            f"{how_to_trust((name.split('.')[0] for _, name in refused), trusted_packages)}"
        )
    for key, target in sorted(found, key=lambda found: found[0].count(".")) if trusted_packages else ():
        if target.split(".")[0] in trusted_packages:
            require_of_hydra(key, target)


def _is_allowed(target: str, trusted_packages: Sequence[str]) -> bool:
    if any(pattern.fullmatch(target) for pattern in _ALLOWED):
        return True
    module, _, name = target.rpartition(".")
    package, *parts = module.split(".")
    if package in trusted_packages:
        return True
    ours = package == "vision_baselines" and any(".".join(parts[:depth]) in _OUR_PACKAGES for depth in (1, 2))
    return ours and any(node.name == name for node in class_definitions(module))
