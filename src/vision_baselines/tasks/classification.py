"""`Classification`: one of several classes for each image, learned with cross-entropy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from vision_baselines.errors import ConfigError
from vision_baselines.tasks.metrics import MetricSpec
from vision_baselines.tasks.task import Task, TestReport, constant_caveat

_MOST_CLASSES_IN_MATRIX = 1_000  # a record of it has 7 MB; 100,000 classes would take 80 GB
_OFTEN = 5  # test images of a class, of which a net that knows it gets one right
_CLASSES_NAMED = 5


class Classification(Task):
    """Cross-entropy on logits (N, num_classes) and labels (N,) int64; a prediction is the class of the largest logit.

    Smoothing and weights act on the loss that is minimised. Validation and test report plain cross-entropy, so that
    their losses compare whatever was trained with.

    Args:
        num_classes: Number of classes.
        headline: See `Task`.
        mode: See `Task`.
        metrics: See `named_metrics`.
        label_smoothing: Share of the target that is spread over all classes, in [0, 1).
        class_weights: None; ``balanced``: N / (num_classes · images of the class) in the training split, as in
            scikit-learn; or a number of at least 0 for each class.
        top_k: Also log ``topK``, the share of images whose class is among the K largest logits.

    Raises:
        ConfigError: An argument is out of its range.
    """

    weight: Tensor | None
    learns_shares = True

    def __init__(
        self,
        num_classes: int,
        *,
        headline: str = "acc",
        mode: str = "max",
        metrics: Sequence[MetricSpec] = ("accuracy",),
        label_smoothing: float = 0.0,
        class_weights: str | Sequence[float] | None = None,
        top_k: int | None = None,
    ) -> None:
        if num_classes < 2:
            raise ConfigError(f"data.num_classes is {num_classes}; classification expects at least 2")
        if top_k is not None:
            if isinstance(top_k, bool) or not isinstance(top_k, int) or not 0 < top_k < num_classes:
                raise ConfigError(f"task.top_k is {top_k!r}; expected a whole number from 1 to {num_classes - 1}")
            metrics = [*metrics, f"top{top_k}"] if f"top{top_k}" not in metrics else metrics
        super().__init__(headline=headline, mode=mode, metrics=metrics, num_classes=num_classes)
        if isinstance(label_smoothing, bool) or not isinstance(label_smoothing, int | float):
            raise ConfigError(f"task.label_smoothing is {label_smoothing!r}; expected a number")
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"task.label_smoothing is {label_smoothing}; expected at least 0 and less than 1")
        self.label_smoothing = float(label_smoothing)
        self._balanced = class_weights == "balanced"
        weight = None if class_weights is None or self._balanced else _weights(class_weights, num_classes)
        self.register_buffer("weight", weight, persistent=False)

    def prepare(self, target: Tensor, class_names: Sequence[str]) -> None:
        """Weigh the classes by the training labels (N,), where that was asked for."""
        if not class_names:
            raise ConfigError("task=classification learns classes; the targets of this data set are numbers")
        if self._balanced:
            self.weight = balanced_weights(target, self.num_classes or 0).to(target.device)

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy of logits (N, num_classes) and labels (N,), smoothed and weighted where asked for.

        Targets may be a share of each class, (N, num_classes).
        """
        return cross_entropy(outputs, target, weight=self.weight, label_smoothing=self.label_smoothing)

    def losses_of_copies(self, outputs: Tensor, targets: Sequence[Tensor]) -> Tensor | None:
        """The loss of each of S nets, (S,), for logits (S, N, num_classes); one by one where classes are weighted."""
        if type(self) is not Classification or self.weight is not None:
            return None
        copies, images = outputs.shape[:2]
        of_each = cross_entropy(
            outputs.flatten(0, 1), torch.cat(list(targets)), reduction="none", label_smoothing=self.label_smoothing
        )
        return of_each.view(copies, images).mean(dim=1)

    def loss_weight(self, target: Tensor) -> float:
        """The weights of the labels (N,), by whose sum the cross-entropy is divided; N where none are weighted."""
        if self.weight is None or target.is_floating_point():
            return float(len(target))
        return float(self.weight.to(target.device)[target].sum())

    def eval_loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy of logits (N, num_classes) and labels (N,)."""
        return cross_entropy(outputs, target)

    def prediction(self, outputs: Tensor) -> Tensor:
        """The class of the largest logit, (N,) int64."""
        return outputs.argmax(dim=1)

    def probabilities(self, outputs: Tensor) -> Tensor | None:
        """The softmax of the logits, (N, num_classes)."""
        return outputs.softmax(dim=1)

    def averaged(self, outputs: Tensor) -> Tensor:
        """Logits (N, num_classes) of the mean probabilities of views (views, N, num_classes); each first one is 0."""
        logarithms = outputs.log_softmax(dim=-1).logsumexp(dim=0)
        return logarithms - logarithms[:, :1]

    def warning(self, outputs: Tensor) -> str | None:
        """A net that ends in softmax trains on probabilities of probabilities, and badly."""
        rows = outputs.detach().float()
        if rows.ndim != 2 or rows.shape[1] < 2 or not bool((rows >= 0).all()):
            return None
        if not bool(((rows.sum(dim=1) - 1).abs() < 1e-2).all()):
            return None
        return (
            "the net's outputs are probabilities (at least 0, rows sum to 1), but the loss expects logits: "
            "remove the softmax at the net's end"
        )

    def report(self, predictions: Tensor, target: Tensor, class_names: Sequence[str]) -> TestReport:
        """The confusion matrix of labels (N,), of at most 1,000 classes; and which classes were never predicted."""
        size = self.num_classes or 0
        confusion: list[list[int]] | None = None
        if size <= _MOST_CLASSES_IN_MATRIX:
            counts = torch.bincount(target * size + predictions, minlength=size * size).view(size, size)
            confusion = counts.tolist()
        return TestReport(confusion=confusion, caveats=_never_predicted(predictions, target, class_names))


def _never_predicted(predictions: Tensor, target: Tensor, class_names: Sequence[str]) -> tuple[str, ...]:
    """A sentence where all were taken for one class, or some classes that are in the test often enough for none."""

    def name(label: int) -> str:
        return class_names[label] if label < len(class_names) else str(label)

    if constant_caveat(predictions):
        only = int(predictions[0])
        share = float((target == only).double().mean())
        return (f"every test prediction is one class, {name(only)}: that of {share:.2%} of the test images",)
    classes = int(max(predictions.max(), target.max())) + 1 if len(target) else 0
    occurring, predicted = (torch.bincount(labels, minlength=classes) for labels in (target, predictions))
    missing = ((occurring >= _OFTEN) & (predicted == 0)).nonzero().flatten().tolist()
    if not missing:
        return ()
    more = f" and {len(missing) - _CLASSES_NAMED} more" if len(missing) > _CLASSES_NAMED else ""
    names = ", ".join(name(label) for label in missing[:_CLASSES_NAMED])
    return (f"never predicted: {'class' if len(missing) == 1 else 'classes'} {names}{more}",)


def balanced_weights(target: Tensor, num_classes: int) -> Tensor:
    """N / (number of classes that occur · images of the class), (num_classes,) float32; 0 where a class has none.

    >>> balanced_weights(torch.tensor([0, 0, 0, 1]), num_classes=2)
    tensor([0.6667, 2.0000])
    """
    counts = torch.bincount(target, minlength=num_classes).double()
    present = counts > 0
    weights = torch.where(present, len(target) / (present.sum() * counts.clamp(min=1)), 0.0)
    return weights.float()


def _weights(given: object, num_classes: int) -> Tensor:
    expected = f"expected balanced, or {num_classes} numbers of at least 0, not all 0"
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != num_classes:
        raise ConfigError(f"task.class_weights is {given!r}; {expected}")
    numbers = [value for value in given if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < num_classes or not all(math.isfinite(v) and v >= 0 for v in numbers) or not any(numbers):
        raise ConfigError(f"task.class_weights is {list(given)}; {expected}")
    return torch.tensor(numbers, dtype=torch.float32)
