"""Metrics by name: those that are ready, and any other of torchmetrics with its arguments.

Every metric is updated with a batch's outputs and targets, as the task hands them over.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, classification, regression
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError, MulticlassF1Score

from vision_baselines.errors import ConfigError

MetricSpec = str | Mapping[str, Any]


class BalancedAccuracy(Metric):
    """Mean over the classes that occur among the targets of the share of their images that are classified right.

    torchmetrics' macro average also counts, as 0, a class that is predicted but never occurs; scikit-learn's does not.

    Args:
        num_classes: Number of classes.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    correct: Tensor
    total: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("correct", torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, target: Tensor) -> None:
        """Count a batch: logits (N, num_classes), target (N,) int64."""
        right = target[logits.argmax(dim=1) == target]
        self.correct += torch.bincount(right, minlength=self.num_classes)
        self.total += torch.bincount(target, minlength=self.num_classes)

    def compute(self) -> Tensor:
        """The mean, a scalar."""
        present = self.total > 0
        return (self.correct[present] / self.total[present]).mean()


# Name in a config: name in logs, class and arguments. Micro averaging is plain accuracy.
_READY: dict[str, tuple[str, type[Metric], dict[str, Any]]] = {
    "accuracy": ("acc", MulticlassAccuracy, {"average": "micro"}),
    "acc": ("acc", MulticlassAccuracy, {"average": "micro"}),
    "macro_f1": ("macro_f1", MulticlassF1Score, {"average": "macro"}),
    "balanced_accuracy": ("balanced_accuracy", BalancedAccuracy, {}),
    "ece": ("ece", MulticlassCalibrationError, {"n_bins": 15, "norm": "l1"}),
    "mae": ("mae", regression.MeanAbsoluteError, {}),
    "mse": ("mse", regression.MeanSquaredError, {}),
    "rmse": ("rmse", regression.MeanSquaredError, {"squared": False}),
    "r2": ("r2", regression.R2Score, {}),
}
_TOP = re.compile(r"top([1-9]\d*)")


def named_metrics(specs: Sequence[MetricSpec], *, num_classes: int | None = None) -> dict[str, Metric]:
    """Metrics by the name under which they are logged.

    Args:
        specs: Names (``accuracy, macro_f1, balanced_accuracy, top5, ece, mae, mse, rmse, r2``), or for any other
            ``{name: macro_f2, metric: MulticlassFBetaScore, beta: 2.0, average: macro}``, where `metric` is a class of
            ``torchmetrics.classification`` or ``torchmetrics.regression`` and the rest are its arguments.
        num_classes: Given to those that take it.

    Raises:
        ConfigError: A name is not known or stands twice, or arguments do not fit.
    """
    if isinstance(specs, str) or not isinstance(specs, Sequence):
        raise ConfigError(f"task.metrics is {specs!r}; expected a list of names, such as [accuracy, macro_f1]")
    made: dict[str, Metric] = {}
    for spec in specs:
        name, metric = _metric(spec, num_classes)
        if name in made or name == "loss":
            raise ConfigError(f"task.metrics has {name!r} twice; expected each name once, and loss is always there")
        made[name] = metric
    return made


def _metric(spec: MetricSpec, num_classes: int | None) -> tuple[str, Metric]:
    if isinstance(spec, Mapping):
        arguments = {key: value for key, value in spec.items() if key not in ("name", "metric")}
        kind, name = _torchmetrics_class(str(spec.get("metric"))), str(spec.get("name", spec.get("metric")))
        if not re.fullmatch(r"\w+", name):
            raise ConfigError(f"task.metrics has the name {name!r}; expected letters, digits and _")
    elif isinstance(spec, str) and (top := _TOP.fullmatch(spec)):
        name, kind, arguments = spec, MulticlassAccuracy, {"average": "micro", "top_k": int(top[1])}
        if num_classes is not None and int(top[1]) >= num_classes:
            raise ConfigError(f"task.metrics has {spec}, which is always 1 with {num_classes} classes; leave it out")
    elif isinstance(spec, str) and spec in _READY:
        name, kind, arguments = _READY[spec]
    else:
        known = ", ".join(key for key in _READY if key != "acc")
        raise ConfigError(
            f"task.metrics has {spec!r}; expected {known}, top5, or {{name: …, metric: a class of torchmetrics, …}}"
        )
    return name, _made(name, kind, dict(arguments), num_classes)


def _made(name: str, kind: type[Metric], arguments: dict[str, Any], num_classes: int | None) -> Metric:
    parameters = inspect.signature(kind).parameters
    if num_classes is not None and "num_classes" in parameters:
        arguments.setdefault("num_classes", num_classes)
    if "validate_args" in parameters:
        arguments.setdefault("validate_args", False)  # targets are checked once, when the data is read
        arguments_checked = {**arguments, "validate_args": True}
    else:
        arguments_checked = arguments
    try:
        kind(**arguments_checked)
        return kind(**arguments)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"task.metrics: {name} cannot be made: {' '.join(str(error).split())}") from error


def _torchmetrics_class(name: str) -> type[Metric]:
    for package in (classification, regression):
        found = getattr(package, name, None)
        if isinstance(found, type) and issubclass(found, Metric):
            return found
    raise ConfigError(
        f"task.metrics has metric: {name!r}; expected a class of torchmetrics.classification or torchmetrics.regression"
    )
