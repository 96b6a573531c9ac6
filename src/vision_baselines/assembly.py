"""Config to objects: the only room that instantiates anything.

Whatever names a class by ``_target_`` is held against a list of allowed names first. Hydra's own blocklist is no
boundary: `torch.load`, `numpy.load`, `shutil.copy` and files opened for writing all pass it.
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from vision_baselines.checkpoint_io import CheckedCheckpointIO
from vision_baselines.classifier import ImageClassifier
from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.errors import ConfigError, VisionBaselinesError

# Classes only (a capital first letter), so that no loader and no function that acts is among them; torchvision's nets
# are functions, and are named one by one by their family.
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
_OUR_ROOMS = ("models", "data", "callbacks", "classifier", "tensorboard_logger")


def datamodule(cfg: DictConfig) -> ImageDataModule:
    """The data module of a run."""
    return _instance(cfg, "data", ImageDataModule)


def classifier(cfg: DictConfig) -> ImageClassifier:
    """The net inside its classifier, weights drawn."""
    return _instance(cfg, "classifier", ImageClassifier)


def loggers(cfg: DictConfig) -> list[Logger]:
    """The loggers of a run, in the order of their keys."""
    return [_instance(cfg, f"logger.{key}", Logger) for key in cfg.get("logger") or {}]


def callbacks(cfg: DictConfig) -> list[Callback]:
    """The callbacks of a run, in the order of their keys; a progress bar only where there is a terminal."""
    made = [_instance(cfg, f"callbacks.{key}", Callback) for key, node in (cfg.get("callbacks") or {}).items() if node]
    shown = cfg.trainer.enable_progress_bar and on_terminal()
    return [callback for callback in made if shown or not isinstance(callback, pl.callbacks.ProgressBar)]


def trainer(cfg: DictConfig, *, callbacks: Sequence[Callback], loggers: Sequence[Logger]) -> pl.Trainer:
    """Lightning's trainer, with this project's checkpoint files."""
    options = {"callbacks": list(callbacks), "logger": list(loggers) or False, "plugins": [CheckedCheckpointIO()]}
    bar = any(isinstance(callback, pl.callbacks.ProgressBar) for callback in callbacks)
    return _instance(cfg, "trainer", pl.Trainer, **options, enable_progress_bar=bar)


def on_terminal() -> bool:
    """Whether somebody is watching."""
    return sys.stderr.isatty()


def plain_config(cfg: DictConfig) -> dict[str, Any]:
    """The resolved config as plain data, with references to `paths` left as references.

    So it says the same on every machine, and a recorded one runs wherever it is read.
    """
    copy = OmegaConf.create(OmegaConf.to_container(cfg, resolve=False))
    paths = list(cfg.get("paths") or {})
    for key in paths:
        copy.paths[key] = f"<paths.{key}>"
    resolved = OmegaConf.to_container(copy, resolve=True, throw_on_missing=True)
    assert isinstance(resolved, dict)
    del resolved["paths"]
    plain: dict[str, Any] = _with_references(resolved)
    return plain


def check_targets(node: Any, trusted_packages: Sequence[str] = ()) -> None:
    """Hold every ``_target_`` below `node` against the names that may be instantiated.

    Args:
        node: A config, plain or not.
        trusted_packages: Top-level packages of the user's own.

    Raises:
        ConfigError: A name is not among them; nothing was imported from it.
    """
    for key, target in _targets(node):
        if not _is_allowed(target, trusted_packages):
            raise ConfigError(
                f"{key}._target_ is {target!r}, which is not among the classes that may be instantiated; "
                "to use a package of your own, add trusted_packages=[its_name] on the command line"
            )


def _is_allowed(target: str, trusted_packages: Sequence[str]) -> bool:
    if any(pattern.fullmatch(target) for pattern in _ALLOWED):
        return True
    module, _, name = target.rpartition(".")
    package, *rooms = module.split(".")
    if package in trusted_packages:
        return True
    if package != "vision_baselines" or not rooms or rooms[0] not in _OUR_ROOMS:
        return False
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return False
    # a class of that very module, not something it has imported
    return isinstance(found, type) and found.__module__ == module


def _targets(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, DictConfig) or OmegaConf.is_list(node):
        node = OmegaConf.to_container(node, resolve=False)
    if isinstance(node, Mapping):
        for key, value in node.items():
            path = f"{prefix}.{key}" if prefix else str(key)
            if key == "_target_":
                yield prefix, str(value)
            else:
                yield from _targets(value, path)
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _targets(value, f"{prefix}[{index}]")


def _instance(cfg: DictConfig, key: str, expected: type, **options: Any) -> Any:
    node = OmegaConf.select(cfg, key)
    if node is None:
        raise ConfigError(f"the config has no {key}")
    resolved = OmegaConf.to_container(node, resolve=True)
    check_targets({key: resolved}, cfg.get("trusted_packages") or ())
    try:
        made = instantiate(node, **options, _convert_="all")
    except InstantiationException as error:
        cause = _root_cause(error)
        if isinstance(cause, VisionBaselinesError):
            raise cause from error
        if isinstance(cause, ValueError | TypeError | MisconfigurationException | OmegaConfBaseException):
            raise ConfigError(f"{key} cannot be built: {_one_line(cause)}") from error
        raise
    if not isinstance(made, expected):
        raise ConfigError(f"{key}._target_ makes a {type(made).__name__}; expected a {expected.__name__}")
    return made


def _root_cause(error: BaseException) -> BaseException:
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _with_references(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _with_references(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_references(value) for value in node]
    return re.sub(r"<(paths\.\w+)>", r"${\1}", node) if isinstance(node, str) else node


def nearest(word: str, known: Sequence[str]) -> str:
    """A hint that names the known word nearest to `word`, or nothing."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


