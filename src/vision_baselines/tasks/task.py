"""`Task`: what every task answers, so that nothing else has to know a loss, a metric or a target by name.

Training asks for the loss of a batch, for the metrics to keep and for the one that decides (`headline`) with its
direction (`mode`). The test asks what a prediction is and what there is to show of all predictions (`report`). The
optimizer, the schedule and how often anything is logged are left to the Lightning module.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn
from torchmetrics import Metric

from vision_baselines.errors import ConfigError
from vision_baselines.tasks.metrics import MetricSpec, named_metrics

Batch = tuple[Tensor, Tensor]


class Step(NamedTuple):
    """A training batch: its loss (scalar), what the net put out (N, …) and what it should have been (N, …)."""

    loss: Tensor
    outputs: Tensor
    target: Tensor


@dataclass(frozen=True)
class TestReport:
    """What there is to show of a test beside its metrics.

    Attributes:
        confusion: Counts (num_classes, num_classes), rows are targets, columns predictions; none for other tasks.
        curves: By name, ``{"x": [...], "y": [...], "x_label": "...", "y_label": "..."}``; drawn with the report.
        caveats: What a reader must know before believing the metrics, a sentence each without its full stop.
    """

    __test__ = False  # no test, whatever pytest makes of its name

    confusion: list[list[int]] | None = None
    curves: dict[str, dict[str, Any]] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()


class Task(nn.Module, ABC):
    """A loss, metrics, and what a prediction is.

    A subclass defines `loss`; the rest has defaults. Buffers follow the net to its device.

    Args:
        headline: The metric that decides which epoch is best, and by which runs are compared: one of `metrics` by its
            name in logs, or ``loss``.
        mode: ``max`` or ``min``: which end of the headline metric is better.
        metrics: See `named_metrics`.
        num_classes: Number of classes, where the task has any.

    Raises:
        ConfigError: The headline metric is not among the metrics, or `mode` is not its direction.
    """

    learns_shares = False  # whether a target may be a share of each class, (N, num_classes), as that of a mixed image

    def __init__(
        self, *, headline: str, mode: str, metrics: Sequence[MetricSpec] = (), num_classes: int | None = None
    ) -> None:
        super().__init__()
        self.headline, self.mode = headline, mode
        self.num_classes = num_classes
        self._specs = metrics
        self.modes = {"loss": "min"}
        for name, metric in self.metrics().items():
            if metric.higher_is_better is not None:
                self.modes[name] = "max" if metric.higher_is_better else "min"
            else:
                self.modes[name] = mode if name == headline else ""
        if headline not in self.modes:
            raise ConfigError(f"task.headline is {headline!r}; expected one of {', '.join(self.modes)}")
        if mode not in ("max", "min") or mode != self.modes[headline]:
            better = {"max": "higher", "min": "lower", "": "max or min"}[self.modes[headline]]
            raise ConfigError(f"task.mode is {mode!r}; expected {self.modes[headline]}: {headline} is better {better}")

    def metrics(self) -> dict[str, Metric]:
        """New metrics by their names in logs; each is updated with (outputs, target)."""
        return named_metrics(self._specs, num_classes=self.num_classes)

    def prepare(self, target: Tensor, class_names: Sequence[str]) -> None:
        """Look at the training targets before the first step.

        Args:
            target: (N, …), those of the training split.
            class_names: Empty where targets are numbers.

        Raises:
            ConfigError: They are not what this task learns.
        """

    def outputs(self, net: nn.Module, images: Tensor) -> Tensor:
        """What is taken from the net for normalised images (N, C, H, W): all it puts out, unless overridden."""
        found: Tensor = net(images)
        return found

    @abstractmethod
    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss that is minimised, a scalar: the mean over a batch."""

    def loss_weight(self, target: Tensor) -> float:
        """What the loss of a batch with these targets (N, …) counts in the mean loss of batches put together.

        Several processes weigh their parts of a batch by it. It is N for a mean over images.
        """
        return float(len(target))

    def eval_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The loss that validation and test report, a scalar; the same unless overridden."""
        return self.loss(outputs, target)

    def step(self, net: nn.Module, batch: Batch) -> Step:
        """A training batch to its loss; override it where a loss needs more than outputs and targets."""
        images, target = batch
        outputs = self.outputs(net, images)
        return Step(self.loss(outputs, target), outputs, target)

    def losses_of_copies(self, outputs: Tensor, targets: Sequence[Tensor]) -> Tensor | None:
        """The loss of each of S nets at once, (S,), for what they put out (S, N, …) and S targets (N, …).

        None, unless overridden: then `step` is asked for each of them.
        """
        return None

    def prediction(self, outputs: Tensor) -> Tensor:
        """What is predicted (N, …), from `outputs`: the outputs themselves, unless overridden."""
        return outputs

    def probabilities(self, outputs: Tensor) -> Tensor | None:
        """A probability for each class (N, num_classes), from `outputs`; None for a task without classes."""
        return None

    def averaged(self, outputs: Tensor) -> Tensor:
        """One output (N, …) for several views of each image (views, N, …): their mean, unless overridden.

        Raises:
            ConfigError: The task has probabilities, and does not say how they come from outputs.
        """
        if self.probabilities(outputs[0]) is not None:
            raise ConfigError(f"{type(self).__name__} does not say how several views of an image are averaged")
        return outputs.mean(dim=0)

    def warning(self, outputs: Tensor) -> str | None:
        """What is suspicious about the first outputs (N, …) of an untrained net; None if nothing is."""
        return None

    def report(self, predictions: Tensor, target: Tensor, class_names: Sequence[str]) -> TestReport:
        """What there is to show of all predictions (N, …) on the test split, both on the CPU."""
        return TestReport(caveats=constant_caveat(predictions))

    def extra_repr(self) -> str:
        """The headline metric and its direction."""
        return f"headline={self.headline}, mode={self.mode}"


def constant_caveat(predictions: Tensor) -> tuple[str, ...]:
    """A sentence where more than one prediction (N, …) was made and all are the same; nothing where they differ.

    >>> import torch
    >>> constant_caveat(torch.tensor([0.5, 0.5])), constant_caveat(torch.tensor([0.5, 0.7]))
    (('every test prediction is the same: 0.5',), ())
    """
    if len(predictions) < 2 or not bool((predictions == predictions[0]).all()):
        return ()
    first = predictions[0]
    shown = f"{float(first):.6g}" if first.numel() == 1 else str([round(float(v), 4) for v in first.flatten()[:4]])
    return (f"every test prediction is the same: {shown}",)


def residual_curve(predictions: Tensor, target: Tensor, *, bins: int = 12, unit: str = "") -> dict[str, dict[str, Any]]:
    """A residual plot: the mean of prediction minus target where the targets lie, as a curve of a `TestReport`.

    The bins hold equally many targets, so runs that are tested on the same targets have the same bins.

    Args:
        predictions: (N,), numbers.
        target: (N,), numbers.
        bins: Bins at most.
        unit: Of both, for the axes.

    >>> import torch
    >>> found = residual_curve(torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([1.0, 1.0, 5.0, 5.0]), bins=2)
    >>> found["test/residual"]["x"], found["test/residual"]["y"]
    ([1.0, 5.0], [0.5, 1.0])
    """
    order = target.double().argsort(stable=True)
    sizes = min(bins, max(1, len(order)))
    parts = [part for part in order.tensor_split(sizes) if len(part)]
    x = [float(target[part].double().mean()) for part in parts]
    y = [float((predictions[part].double() - target[part].double()).mean()) for part in parts]
    kept = [(at, value) for at, value in zip(x, y, strict=True) if math.isfinite(at) and math.isfinite(value)]
    written = f", {unit}" if unit else ""
    return {
        "test/residual": {
            "x": [at for at, _ in kept],
            "y": [value for _, value in kept],
            "x_label": f"target{written}",
            "y_label": f"prediction - target{written}",
        }
    }
