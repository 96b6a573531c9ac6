"""Whether a run can be trained in one pass with its copies, by its config and its net."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from vision_baselines.passes.errors import NotInOnePassError
from vision_baselines.passes.net import StackedNet
from vision_baselines.seeding import default_generators_kept
from vision_baselines.tasks.task import Task

# Callbacks that do nothing inside of a training step and nothing to how one is taken; of this project's, all but a few.
_CALLBACKS = frozenset(
    f"pytorch_lightning.callbacks.{name}"
    for name in (
        "EMAWeightAveraging",
        "EarlyStopping",
        "LearningRateMonitor",
        "ModelCheckpoint",
        "ModelSummary",
        "RichProgressBar",
        "Timer",
    )
)
_OWN_BUT = ("NanWatch",)
_OPTIMIZERS_BUT = ("torch.optim.LBFGS", "torch.optim.SparseAdam")
_PRECISIONS = ("32-true", "32", "64-true", "64")


def require_config(config: Mapping[str, Any]) -> None:
    """Look at a resolved config.

    Raises:
        NotInOnePassError: What of it cannot be trained in one pass.
    """
    trainer, classifier = config.get("trainer") or {}, config.get("classifier") or {}
    for refused, what in (
        (bool(config.get("init_from")), "init_from is set"),
        (int(trainer.get("devices") or 1) > 1, "trainer.devices is more than 1"),
        (
            str(trainer.get("precision", "32-true")) not in _PRECISIONS,
            f"trainer.precision is {trainer.get('precision')}",
        ),
        (int(trainer.get("accumulate_grad_batches") or 1) > 1, "trainer.accumulate_grad_batches is more than 1"),
        (bool(trainer.get("overfit_batches")), "trainer.overfit_batches is set"),
        (bool(trainer.get("fast_dev_run")), "trainer.fast_dev_run is set"),
        (bool(trainer.get("profiler")), "trainer.profiler is set"),
        (bool(trainer.get("detect_anomaly")), "trainer.detect_anomaly is set"),
        (classifier.get("compile") is not None, "classifier.compile is set"),
        (bool((config.get("data") or {}).get("num_workers")), "data.num_workers is more than 0"),
        (bool(config.get("trace")), "trace is true"),
        (bool((config.get("probe") or {}).get("depth")), "probe.depth looks into training steps"),
    ):
        if refused:
            raise NotInOnePassError(what)
    for key, node in (config.get("callbacks") or {}).items():
        target = str((node or {}).get("_target_", ""))
        own = target.startswith("vision_baselines.") and target.rpartition(".")[2] not in _OWN_BUT
        if node and not own and target not in _CALLBACKS:
            raise NotInOnePassError(f"callbacks.{key} may act inside of a training step")
    groups = (config.get("parameter_groups") or {}).values()
    nodes = [config.get("optimizer"), *(group.get("optimizer") for group in groups if isinstance(group, Mapping))]
    for node in nodes:
        target = str((node or {}).get("_target_", "torch.optim.SGD"))
        if not target.startswith(("torch.optim.", "vision_baselines.optim.")) or target in _OPTIMIZERS_BUT:
            raise NotInOnePassError(f"{target} may ask for a gradient more than once a step")


def require_net(net: nn.Module, image_shape: tuple[int, ...]) -> None:
    """Try two copies of a net on two images.

    Raises:
        NotInOnePassError: What of it has no batched form.
    """
    with default_generators_kept(), torch.no_grad():
        copies = [copy.deepcopy(net).train(), copy.deepcopy(net).train()]
        stacked = StackedNet(copies, torch.device("cpu"))
        stacked.draws.seed([0, 1])
        images = torch.rand(2, *image_shape).to(next(net.parameters()).dtype)
        try:
            outputs = stacked([images, images])
        except NotInOnePassError:
            raise
        except Exception as error:  # whatever torch says of shapes that do not fit
            raise NotInOnePassError(f"its layers do not fit together ({' '.join(str(error).split())[:120]})") from error
        for one in copies:
            one.eval()
        both, alone = stacked([images, images]), copies[1](images)
        if (
            outputs.dim() != 3
            or both[1].shape != alone.shape
            or not torch.allclose(both[1], alone, atol=1e-3, rtol=1e-2)
        ):
            raise NotInOnePassError("computed at once it is another function")


def require_task(task: Task) -> None:
    """Look at what is learned.

    Raises:
        NotInOnePassError: It is not one of this project's, whose steps are known.
    """
    if not type(task).__module__.startswith("vision_baselines."):
        raise NotInOnePassError(f"the step of {type(task).__name__} may need more of a net than its outputs")
