"""Which pixels speak for a net's answer: integrated gradients of a right and a wrong test image of each class.

The line that is integrated over starts at a black picture, as in the source: no light is the absence of what is
photographed or written. So a pixel that is black is given nothing; ``baseline=mean`` starts at the data's mean colour
instead. What is explained is the logit of the predicted class, of two classes the difference of their logits, which is
all that a binary task has. Passes are made by a copy of the net, uncompiled, in evaluation mode and at least 32 bits.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vision_baselines.analysis.integrated_gradients import Attribution, Score, integrated_gradients
from vision_baselines.analysis.layer_trace import evaluation_mode, example_of
from vision_baselines.errors import ConfigError
from vision_baselines.probes.probe import Probe
from vision_baselines.seeding import default_generators_kept
from vision_baselines.tasks.task import Task

log = logging.getLogger(__name__)

BASELINES = ("black", "mean")


class Saliency(Probe):
    """Draws ``saliency/attributions.png`` and logs ``saliency/violation``, ``saliency/steps`` and ``saliency/images``.

    The images are, of each class, the first test image that is classified rightly and the one that is classified
    wrongly with the largest confidence. `violation` is the largest of theirs (`analysis.integrated_gradients`), `steps`
    the most that one took. It takes at most 4 · `max_classes` · `max_steps` passes of one image, there and back, in
    batches as large as those of training, or of the test where these are smaller.

    Args:
        baseline: Where the line starts: ``black``, or ``mean``, the data's mean colour.
        steps: Steps of the line at first.
        max_steps: Steps at most: they are doubled until completeness holds.
        tolerance: Largest violation of completeness with which that is so.
        max_classes: Classes that are shown, spread evenly over those of the test split.

    Raises:
        ConfigError: An argument is out of range, or at `setup` the net's outputs have no gradient with respect to the
            image.
    """

    def __init__(
        self,
        baseline: str = "black",
        steps: int = 64,
        max_steps: int = 1024,
        tolerance: float = 0.01,
        max_classes: int = 10,
    ) -> None:
        super().__init__()
        if baseline not in BASELINES:
            raise ConfigError(f"probe.saliency.baseline is {baseline!r}; expected {' or '.join(BASELINES)}")
        for name, value in (("steps", steps), ("max_steps", max_steps), ("max_classes", max_classes)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"probe.saliency.{name} is {value!r}; expected a whole number of at least 1")
        if max_steps < steps:
            raise ConfigError(
                f"probe.saliency.max_steps is {max_steps}; expected at least probe.saliency.steps, {steps}"
            )
        if isinstance(tolerance, bool) or not isinstance(tolerance, float) or not 0 < tolerance < 1:
            raise ConfigError(f"probe.saliency.tolerance is {tolerance!r}; expected a number between 0 and 1")
        self.baseline = baseline
        self.steps, self.max_steps, self.tolerance = steps, max_steps, tolerance
        self.max_classes = max_classes

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse a net without the gradient, before anything is trained."""
        net = _copied(pl_module.net)  # type: ignore[arg-type]
        reason = None if net is None else _why_no_gradient(net, pl_module.task, trainer.datamodule.image_shape)  # type: ignore[arg-type, attr-defined]
        if reason is not None:
            raise ConfigError(
                "probe.saliency needs the gradient of the net's outputs with respect to the image, and this net has "
                f"none ({reason}); expected probes without saliency, such as probe=[depth,units]"
            )

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure, log and draw."""
        self.pictures = {}
        answers: Any = pl_module.answered()  # type: ignore[operator]
        if pl_module.task.num_classes is None or any(answer.probabilities is None for answer in answers):  # type: ignore[union-attr]
            log.info("probe.saliency: nothing is done, the task has no probabilities of classes")
            return
        predicted, targets = (
            torch.cat([getattr(a, of) for a in answers]).cpu().numpy() for of in ("predicted", "targets")
        )
        sure = torch.cat([a.probabilities.float().amax(dim=1) for a in answers]).cpu().numpy()
        rows = chosen(predicted, targets, sure, self.max_classes)
        indices = [index for _, right, wrong in rows for index in (right, wrong) if index is not None]
        with torch.inference_mode(False), torch.no_grad():  # gradients are made from ordinary tensors
            net = _copied(pl_module.net)  # type: ignore[arg-type]
            if net is None:
                log.info("probe.saliency: nothing is done, the net cannot be copied")
                return
            try:
                found = self._explained(trainer, pl_module.task, net, {i: int(predicted[i]) for i in indices})  # type: ignore[arg-type]
            except (RuntimeError, NotImplementedError) as error:
                log.warning("probe.saliency: nothing is measured, the net has no gradient (%s)", _line(error))
                return
        self._report(trainer, pl_module, found)
        self._draw(trainer, rows, found, predicted, sure)

    def _explained(self, trainer: pl.Trainer, task: Task, net: nn.Module, of: dict[int, int]) -> dict[int, Attribution]:
        """Attributions to the class `of` each test image, by the image's index."""
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        device, precise = trainer.strategy.root_device, _precise(net)
        options: dict[str, Any] = {
            "steps": self.steps,
            "max_steps": self.max_steps,
            "tolerance": self.tolerance,
            "batch_size": min(datamodule.batch_size, datamodule.eval_batch_size),
        }
        with evaluation_mode(precise), default_generators_kept(device):
            found = {}
            for index, label in of.items():
                image = datamodule.splits.test.images[index : index + 1]
                ready = [_ready(trainer, pixels, precise) for pixels in (image, torch.zeros_like(image))]
                start = ready[1] if self.baseline == "black" else torch.zeros_like(ready[0])
                found[index] = integrated_gradients(_score(task, precise, label), ready[0], start, **options)
        return found

    def _report(self, trainer: pl.Trainer, pl_module: pl.LightningModule, found: dict[int, Attribution]) -> None:
        violation = max(attribution.violation for attribution in found.values())
        steps = max(attribution.steps for attribution in found.values())
        numbers = {"violation": violation, "steps": steps, "images": len(found)}
        self.log_metrics(pl_module, {f"saliency/{name}": float(value) for name, value in numbers.items()})
        if violation > self.tolerance:
            log.warning(
                "probe.saliency: after %d steps attributions still miss completeness by %.2g %% of their absolute sum; "
                "probe.saliency.max_steps=%d takes more, and a net that rounds or cuts off gradients stays so",
                *(steps, 100 * violation, 4 * self.max_steps),
            )

    def _draw(
        self,
        trainer: pl.Trainer,
        rows: Sequence[tuple[int, int | None, int | None]],
        found: dict[int, Attribution],
        predicted: NDArray[Any],
        sure: NDArray[Any],
    ) -> None:
        from vision_baselines.comparison.formatting import shortened
        from vision_baselines.data.displayed import displayed
        from vision_baselines.plots.saliency import Explained, saliency_sheet
        from vision_baselines.plots.style import house_style

        splits = trainer.datamodule.splits  # type: ignore[attr-defined]
        names = splits.class_names

        def cell(index: int | None) -> Explained | None:
            if index is None:
                return None
            values = found[index].values.sum(dim=0).numpy()
            is_right = int(splits.test.target[index]) == predicted[index]
            answer = f"{'' if is_right else 'taken for '}{shortened(names[predicted[index]], 14)}"
            caption = f"image {index}: {answer}, {100 * sure[index]:.3g} %; sum {values.sum():+.3g}"
            return Explained(displayed(splits.test.images[index].cpu()), values, caption)

        start = "a black picture" if self.baseline == "black" else "the data's mean colour"
        with house_style():
            png = saliency_sheet(
                "Which pixels speak for the answer: integrated gradients",
                f"From {start} to the image; above each the answer, how sure, and the sum of all pixels.",
                [(names[label], [cell(right), cell(wrong)]) for label, right, wrong in rows],
                ("Right: the first of its class", "Wrong: the surest of its class"),
            )
        self.add_picture(trainer, "saliency/attributions", png)


def chosen(
    predicted: NDArray[Any], targets: NDArray[Any], sure: NDArray[Any], max_classes: int
) -> list[tuple[int, int | None, int | None]]:
    """Of some classes: the class, its first image that is right, and its most confident one that is wrong.

    Args:
        predicted: (N,), classes.
        targets: (N,), classes.
        sure: (N,), the predictions' probabilities.
        max_classes: Classes at most, spread evenly over those that occur.

    >>> chosen(np.array([0, 0, 1, 0]), np.array([0, 0, 0, 2]), np.array([0.5, 0.9, 0.8, 0.7]), 10)
    [(0, 0, 2), (2, None, 3)]
    """
    from vision_baselines.plots.features import spread

    found = []
    for label in spread(np.unique(targets).tolist(), max_classes):
        right, wrong = (
            np.flatnonzero((targets == label) & is_so) for is_so in (predicted == targets, predicted != targets)
        )
        surest = int(wrong[np.argmax(sure[wrong])]) if len(wrong) else None
        found.append((int(label), int(right[0]) if len(right) else None, surest))
    return found


def _score(task: Task, net: nn.Module, label: int) -> Score:
    """The logit of a class; of two classes its logit minus the other's."""

    def score(images: Tensor) -> Tensor:
        outputs = task.outputs(net, images)
        return outputs[:, label] - outputs[:, 1 - label] if outputs.shape[1] == 2 else outputs[:, label]

    return score


def _ready(trainer: pl.Trainer, image: Tensor, net: nn.Module) -> Tensor:
    """An image (1, C, H, W) as the net takes it: (C, H, W), an ordinary tensor on the net's device."""
    ready: Tensor = trainer.strategy.batch_to_device((image, torch.zeros(1, dtype=torch.int64)), dataloader_idx=0)[0]
    image = ready[0].clone()  # it may come from inference mode
    return image.to(example_of(net).dtype)


def _copied(net: nn.Module) -> nn.Module | None:
    try:
        return copy.deepcopy(net)
    except Exception:  # a user's net may hold anything
        return None


def _precise(net: nn.Module) -> nn.Module:
    """The net with weights of at least 32 bits."""
    return net.float() if example_of(net).dtype.itemsize < 4 else net


def _why_no_gradient(net: nn.Module, task: Task, image_shape: Sequence[int]) -> str | None:
    """Why there is no gradient; None where there is one, and where the net does not run at all, which training says."""
    example = example_of(_precise(net))
    image = torch.zeros(2, *image_shape, dtype=example.dtype, device=example.device, requires_grad=True)
    kept = default_generators_kept(example.device)
    with torch.inference_mode(False), torch.enable_grad(), evaluation_mode(net), kept:
        try:
            outputs = task.outputs(net, image.clone())  # it may be changed in place
            if not isinstance(outputs, Tensor) or outputs.ndim != 2:
                return None
        except Exception:
            return None
        if not outputs.requires_grad:
            return "its outputs have no gradient at all"
        try:
            [gradient] = torch.autograd.grad(outputs.sum(), image, allow_unused=True)
        except Exception as error:  # of a user's own function
            return _line(error)
    return "between image and outputs something has no gradient" if gradient is None else None


def _line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:160]
