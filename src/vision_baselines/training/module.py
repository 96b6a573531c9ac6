"""`ImageClassifier`: what is the same for every net: loss, metrics, optimizer and schedule."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from vision_baselines.seeding import draw_seed, seed_default_generator

Batch = tuple[Tensor, Tensor]

# Training steps, and logits in all, that the metrics are told of at once.
_MOST_UNTOLD_STEPS = 64
_MOST_UNTOLD_LOGITS = 2**20


class ImageClassifier(pl.LightningModule):
    """Trains any net that maps images (N, C, H, W) to logits (N, num_classes), with cross-entropy.

    Logs ``train/loss``, ``train/acc``, ``val/loss``, ``val/acc``, ``test/loss`` and ``test/acc`` once an epoch.
    Dropout draws from a generator that is seeded anew in each step by (seed, epoch, step), so what it draws does
    not depend on what ran before.

    Args:
        net: The net.
        num_classes: Number of classes.
        optimizer: Makes the optimizer from the parameters.
        scheduler: Makes the learning-rate schedule from the optimizer; none keeps the rate. One that takes
            ``total_steps`` is given the number of steps of the whole run.
        scheduler_interval: ``epoch`` or ``step``: when the schedule moves on.
        seed: The run's seed.
        channels_last: Whether 4-D weights are laid out channels last.
        compile: Options of `torch.compile` for the net, ``{}`` for its defaults; none leaves it as it is. On CUDA
            ``{"mode": "reduce-overhead"}`` records CUDA graphs. Names of weights stay as they are.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        num_classes: int,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        scheduler: Callable[..., Any] | None = None,
        scheduler_interval: str = "epoch",
        seed: int = 0,
        channels_last: bool = True,
        compile: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if channels_last:
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.net: nn.Module = net
        self.seed = seed
        self._compile = compile
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler
        self._scheduler_interval = scheduler_interval
        # Micro averaging is plain accuracy. Arguments are checked by the data module, once, not here in each step.
        for stage in ("train", "val", "test"):
            setattr(self, f"{stage}_loss", MeanMetric(nan_strategy="disable"))
            setattr(self, f"{stage}_acc", MulticlassAccuracy(num_classes, average="micro", validate_args=False))
        # What training steps have given and the metrics have not been told yet: telling them costs as much for many
        # steps as for one.
        self._untold: list[tuple[Tensor, Tensor, Tensor]] = []
        self.test_confusion = MulticlassConfusionMatrix(num_classes, validate_args=False)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: Any, map_location: Any = "cpu", *, trusted_packages: Sequence[str] = (), **unused: Any
    ) -> ImageClassifier:
        """The classifier of a checkpoint, in evaluation mode; its config travels in the file, so nothing is restated.

        Raises:
            StorageError: The file is missing, damaged, or holds no config.
            ConfigError: Its config names a class that is not allowed.
        """
        from vision_baselines.training.load import load_classifier  # it builds what this module defines

        return load_classifier(Path(checkpoint_path), trusted_packages=trusted_packages, map_location=map_location)[0]

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) for normalised images (N, C, H, W)."""
        logits: Tensor = self.net(images)
        return logits

    def on_train_start(self) -> None:
        """Compile the net if that was asked for; callbacks have traced it by now."""
        if self._compile is not None:
            self.net.compile(**self._compile)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean cross-entropy of a batch, a scalar."""
        seed = draw_seed(self.seed, "step", self.trainer.current_epoch, batch_idx, self.global_rank)
        seed_default_generator(seed, self.device)
        images, target = batch
        logits = self.net(images)
        loss = cross_entropy(logits, target)
        self._untold.append((loss.detach(), logits.detach(), target))
        if len(self._untold) * logits.numel() >= _MOST_UNTOLD_LOGITS or len(self._untold) == _MOST_UNTOLD_STEPS:
            self._tell_metrics()
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the validation metrics."""
        self._evaluate("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the test metrics and the confusion matrix (rows targets, columns predictions)."""
        logits = self._evaluate("test", batch)
        self.test_confusion.update(logits, batch[1])

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training metrics."""
        self._tell_metrics()
        self._log_epoch("train")

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's validation metrics."""
        self._log_epoch("val")

    def on_test_epoch_end(self) -> None:
        """Log the test metrics."""
        self._log_epoch("test")

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Drop the gradients; torch's own wraps this in a profiler's record and a compiler's guard."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip where the trainer was told to; Lightning goes through the motions where it was not."""
        if gradient_clip_val is not None:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning sets this before and after each hook, some forty times a step, and `nn.Module` looks each time
        # whether it is a parameter, a buffer or a module.
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def configure_optimizers(self) -> Any:
        """The optimizer and, if there is one, its schedule, in Lightning's form."""
        optimizer = self._make_optimizer(p for p in self.net.parameters() if p.requires_grad)
        if self._make_scheduler is None:
            return optimizer
        options: dict[str, Any] = {}
        if _takes(self._make_scheduler, "total_steps"):
            options["total_steps"] = int(self.trainer.estimated_stepping_batches)
        scheduler = self._make_scheduler(optimizer, **options)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": self._scheduler_interval, "monitor": "val/loss"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the epoch's training metrics have gathered; Lightning would start them at nought again."""
        checkpoint["train_metrics"] = {
            name: {
                "updates": metric.update_count,
                "state": {k: torch.as_tensor(v).clone() for k, v in metric.metric_state.items()},
            }
            for name, metric in self._train_metrics().items()
        }
        checkpoint["train_untold"] = [[value.clone() for value in step] for step in self._untold]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the gathered training metrics back."""
        metrics = self._train_metrics()
        for name, saved in checkpoint.get("train_metrics", {}).items():
            for key, value in saved["state"].items():
                setattr(metrics[name], key, value.clone())
            metrics[name]._update_count = saved["updates"]
        self._untold = [(loss, logits, target) for loss, logits, target in checkpoint.get("train_untold", [])]

    def _train_metrics(self) -> dict[str, Metric]:
        return {name: self._metric("train", name) for name in ("loss", "acc")}

    def _metric(self, stage: str, name: str) -> Metric:
        metric: Metric = getattr(self, f"{stage}_{name}")
        return metric

    def _evaluate(self, stage: str, batch: Batch) -> Tensor:
        images, target = batch
        logits: Tensor = self.net(images)
        # one value per image; torchmetrics ignores a `weight` beside nan_strategy="disable"
        self._metric(stage, "loss").update(cross_entropy(logits, target).expand(len(target)))
        self._metric(stage, "acc").update(logits, target)
        return logits

    def _tell_metrics(self) -> None:
        """Update the training metrics with the steps they have not been told of."""
        if self._untold:
            losses, logits, targets = zip(*self._untold, strict=True)
            values = [loss.expand(len(target)) for loss, target in zip(losses, targets, strict=True)]
            self._metric("train", "loss").update(torch.cat(values))
            self._metric("train", "acc").update(torch.cat(logits), torch.cat(targets))
            self._untold.clear()

    def _log_epoch(self, stage: str) -> None:
        for name in ("loss", "acc"):
            metric = self._metric(stage, name)
            self.log(f"{stage}/{name}", metric.compute(), prog_bar=name == "acc", sync_dist=False)
            metric.reset()


# Lightning asks for this function's signature in each step; `inspect` finds a ready one at once.
ImageClassifier.training_step.__signature__ = inspect.signature(ImageClassifier.training_step)  # type: ignore[attr-defined]


def _takes(factory: Callable[..., Any], parameter: str) -> bool:
    function = getattr(factory, "func", factory)
    given = getattr(factory, "keywords", {})
    return parameter in inspect.signature(function).parameters and parameter not in given
