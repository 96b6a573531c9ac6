"""`TaskModule`: what is the same for every net and task: steps, logging, optimizer and schedule.

The loss, the metrics and what a prediction is are left to the task (`vision_baselines.tasks`).
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MeanMetric, Metric

from vision_baselines.data.shares import share_of
from vision_baselines.errors import ConfigError
from vision_baselines.optim.groups import assigned
from vision_baselines.optim.make import optimizer_of
from vision_baselines.passes.weights import unshared
from vision_baselines.seeding import draw_seed, seed_default_generator
from vision_baselines.steps.step_cost import LeanModule
from vision_baselines.tasks.classification import Classification
from vision_baselines.tasks.task import Task, TestReport
from vision_baselines.training.agreement import first_ones, gathered
from vision_baselines.training.metric_states import joined_states, metric_states, restore_states
from vision_baselines.training.trial_step import accepts, check_optimizer

log = logging.getLogger(__name__)

Batch = tuple[Tensor, Tensor]

# Training steps, and outputs in all, that are flushed into the metrics at once: the fc of batch 64 trains 1.09 times as
# many images a second of CPU time as with one (docs/performance.md says how that was measured).
_MOST_PENDING_STEPS = 64
_MOST_PENDING_OUTPUTS = 2**20


class Answered(NamedTuple):
    """A batch: `predicted` (B, …), `targets` (B, …), and `probabilities`, float16 (B, num_classes), if any."""

    predicted: Tensor
    targets: Tensor
    probabilities: Tensor | None


class TaskModule(LeanModule):
    """Trains any net on a task, by default on classification: images (N, C, H, W) to logits (N, num_classes).

    Logs ``loss`` and every metric of the task under ``train/``, ``val/`` and ``test/`` once an epoch.
    Dropout draws from a generator that is seeded anew in each step by (seed, epoch, step), so what it draws does
    not depend on what ran before. Where several processes train, each is given the whole batch and takes its part;
    the gradient is that of the mean loss of the whole batch also where the parts differ in size.

    Args:
        net: The net.
        num_classes: Number of classes, for the default task.
        task: What is learned; none is `Classification` of `num_classes`.
        optimizer: Makes the optimizer from the parameters.
        scheduler: Makes the learning-rate schedule from the optimizer; none keeps the rate. One that takes
            ``total_steps`` is given the length of the whole run, in optimizer steps or in epochs as it moves on.
        scheduler_interval: ``epoch`` or ``step``: when the schedule moves on.
        parameter_groups: Parameters with settings or an optimizer of their own; see `optim.groups.assigned`.
        lookahead: Arguments of `optim.joint.Lookahead` around the optimizer; none for none.
        seed: The run's seed.
        channels_last: Whether 4-D weights are laid out channels last.
        compile: Options of `torch.compile` for the net, ``{}`` for its defaults; none leaves it as it is. On CUDA
            ``{"mode": "reduce-overhead"}`` records CUDA graphs. Names of weights stay as they are.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        num_classes: int | None = None,
        task: Task | None = None,
        scheduler: Callable[..., Any] | None = None,
        scheduler_interval: str = "epoch",
        parameter_groups: Mapping[str, Mapping[str, Any]] | None = None,
        lookahead: Mapping[str, Any] | None = None,
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
        self.is_compiled = False  # then no hook on a module is called
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler
        self._scheduler_interval = scheduler_interval
        self._parameter_groups, self._lookahead = parameter_groups, lookahead
        if task is None:
            if num_classes is None:
                raise ConfigError("classifier has neither num_classes nor a task; expected one of them")
            task = Classification(num_classes)
        if not isinstance(task, Task):
            raise ConfigError(f"task._target_ makes a {type(task).__name__}; expected a Task of vision_baselines.tasks")
        self.task = task
        self._names = ["loss", *task.metrics()]
        for stage in ("train", "val", "test"):
            for name, metric in {"loss": MeanMetric(nan_strategy="disable"), **task.metrics()}.items():
                setattr(self, f"{stage}_{name}", metric)
        # Training batches that are not in the metrics yet: updating costs as much for many as for one.
        self._pending: list[tuple[Tensor, Tensor, Tensor]] = []
        self._tested: list[Answered] = []
        self._outputs_checked = False
        self.caveats: list[str] = []

    def forward(self, images: Tensor) -> Tensor:
        """The task's outputs for normalised images (N, C, H, W): logits (N, num_classes) for classification."""
        parameter = next(self.net.parameters(), images)
        return self.task.outputs(self.net, images.to(parameter.dtype))

    def setup(self, stage: str) -> None:
        """Let the task look at the training targets."""
        splits = getattr(getattr(self.trainer, "datamodule", None), "splits", None)
        if splits is not None:
            self.task.prepare(splits.train.target, splits.class_names)

    def on_train_start(self) -> None:
        """Compile the net if that was asked for; callbacks have traced it by now.

        Raises:
            ConfigError: torch does not accept the options.
        """
        if self._compile is None:
            return
        torch.compiler.reset()  # what an earlier run compiled here has its weights
        try:
            self.net.compile(**self._compile)
            self.is_compiled = True
        except Exception as error:  # torch has no common class for what it says of its options
            text = " ".join(str(error).split())
            raise ConfigError(f"classifier.compile is {dict(self._compile)}; torch.compile says: {text}") from error

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The task's loss of a batch, a scalar."""
        seed = draw_seed(self.seed, "step", self.trainer.current_epoch, batch_idx, self.global_rank)
        seed_default_generator(seed, self.device)
        own, weight = self._own_part(batch)
        loss, outputs, target = self.task.step(self.net, own)
        if not weight:
            return loss * 0.0  # it joins in summing the gradients
        self.note_step(loss, outputs, target)
        return loss if weight == 1.0 else loss * weight

    def note_step(self, loss: Tensor, outputs: Tensor, target: Tensor) -> None:
        """Let the training metrics have a step: its loss, a scalar, its outputs (N, …) and targets (N, …)."""
        if not self._outputs_checked:
            self._check_outputs(outputs)
        if self.task.learns_shares and target.dim() == 2:
            target = target.argmax(dim=1)  # of a mixed image, the class with the larger share
        outputs = outputs.detach()
        if self.is_compiled:  # CUDA graphs write the next step's outputs where this one's are
            outputs = outputs.clone()
        self._pending.append((loss.detach(), outputs, target))
        if len(self._pending) * outputs.numel() >= _MOST_PENDING_OUTPUTS or len(self._pending) == _MOST_PENDING_STEPS:
            self._flush_pending()

    def _own_part(self, batch: Batch) -> tuple[Batch, float]:
        """This process's part of a training batch, and what its mean loss counts in the mean over the processes."""
        count = self.trainer.world_size
        if count == 1:
            return batch, 1.0
        images, target = batch
        least = self._least_images
        part = share_of(len(target), self.global_rank, count, least=least)
        if part.start == part.stop:
            return (images[:least], target[:least]), 0.0
        own = images[part], target[part]
        return own, count * self.task.loss_weight(own[1]) / self.task.loss_weight(target)

    @functools.cached_property
    def _least_images(self) -> int:
        """Images that a process needs for a step of its own; with synchronised statistics one is enough."""
        return 1 if any(isinstance(module, nn.SyncBatchNorm) for module in self.net.modules()) else 2

    def on_validation_epoch_start(self) -> None:
        """Validate what is saved: the batch statistics of the first process, where there are several."""
        first_ones(self.trainer, self.net.buffers())

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the validation metrics."""
        self._evaluate("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the test metrics and keep the predictions."""
        outputs = self._evaluate("test", batch)
        self._tested.append(self.answer(outputs, batch[1]))

    def on_test_epoch_start(self) -> None:
        """Forget the predictions of an earlier test."""
        self._tested.clear()

    def answer(self, outputs: Tensor, target: Tensor) -> Answered:
        """What the net's outputs (N, …) answer for images of these targets."""
        outputs = _precise(outputs)
        probabilities = self.task.probabilities(outputs)
        kept = None if probabilities is None else probabilities.to("cpu", torch.float16)
        return Answered(self.task.prediction(outputs), target, kept)

    def answered(self) -> Sequence[Answered]:
        """The answers of the last test, batch by batch."""
        return self._tested

    def test_report(self) -> TestReport:
        """What the task shows of the last test's predictions."""
        if not self._tested:
            return TestReport()
        predictions, targets = (torch.cat(parts).cpu() for parts in list(zip(*self._tested, strict=True))[:2])
        splits = getattr(getattr(self.trainer, "datamodule", None), "splits", None)
        return self.task.report(predictions, targets, splits.class_names if splits is not None else ())

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training metrics."""
        self._flush_pending()
        self._log_epoch("train")

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's validation metrics."""
        self._log_epoch("val")

    def on_test_epoch_end(self) -> None:
        """Log the test metrics."""
        self._log_epoch("test")

    def configure_optimizers(self) -> Any:
        """The optimizer and, if there is one, its schedule, in Lightning's form."""
        trainer = self.trainer
        trained = {name: parameter for name, parameter in self.net.named_parameters() if parameter.requires_grad}
        optimizer = self.optimizer_over(trained)
        if self._make_scheduler is None:
            return optimizer
        options: dict[str, Any] = {}
        if accepts(self._make_scheduler, "total_steps"):
            options["total_steps"] = self._length_of_schedule()
        scheduler = self._make_scheduler(optimizer, **options)
        follows_validation = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": scheduler,
                "interval": self._scheduler_interval,
                "monitor": "val/loss",
                "frequency": (trainer.check_val_every_n_epoch or 1) if follows_validation else 1,
            },
        }

    def optimizer_over(self, parameters: Mapping[str, nn.Parameter]) -> Optimizer:
        """The optimizer of parameters that stand in the place of the net's, by their names."""
        make, trainer = self._make_optimizer, self.trainer
        clips_mixed = str(trainer.precision).endswith("-mixed") and trainer.gradient_clip_val is not None
        if clips_mixed and getattr(make, "keywords", {}).get("fused"):
            # a fused optimizer undoes mixed precision's scaling itself, so that nothing could be clipped before
            make = functools.partial(make, fused=False)  # type: ignore[call-arg]
        return optimizer_of(parameters, make, assigned(self.net, self._parameter_groups), self._lookahead)

    def check_optimizer(self) -> None:
        """Try the optimizer and its schedule on small parameters; see `trial_step.check_optimizer`."""
        check_optimizer(self._make_optimizer, self._make_scheduler, self.net, self._parameter_groups, self._lookahead)

    def _length_of_schedule(self) -> int:
        """Length of the run in what its schedule moves on by: optimizer steps or epochs."""
        steps = int(self.trainer.estimated_stepping_batches)
        if self._scheduler_interval == "step":
            return steps
        steps_an_epoch = -(-int(self.trainer.num_training_batches) // self.trainer.accumulate_grad_batches)
        return -(-steps // max(1, steps_an_epoch))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the epoch's training metrics have gathered; Lightning would reset them."""
        unshared(checkpoint)
        pending = [[value.cpu().clone() for value in step] for step in self._pending]
        own = {"train_metrics": metric_states(self._train_metrics()), "train_pending": pending}
        every = gathered(self.trainer, own)
        checkpoint.update(every[0])
        checkpoint["other_processes"] = every[1:]
        checkpoint["caveats"] = list(self.caveats)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the gathered training metrics back, each process its own; another number of them: the first has all."""
        if "caveats" in checkpoint:  # the state of a run, whose first outputs were checked; not its best weights alone
            self.caveats, self._outputs_checked = list(checkpoint["caveats"]), True
        every = [checkpoint, *checkpoint.get("other_processes", [])]
        if len(every) != self.trainer.world_size and self.trainer.state.fn == "fit":
            self._note_other_number(len(every))
            every = [joined_states(self._train_metrics(), every)] + [{}] * (self.trainer.world_size - 1)
        own = every[self.trainer.global_rank] if len(every) == self.trainer.world_size else {}
        restore_states(self._train_metrics(), own.get("train_metrics", {}))
        pending = own.get("train_pending") or own.get("train_untold", [])  # its name in 0.1
        self._pending = [tuple(value.to(self.device) for value in step) for step in pending]

    def _note_other_number(self, before: int) -> None:
        now = self.trainer.world_size
        text = (
            f"resumed with {now} process{'es' * (now > 1)} where {before} had trained: the batches are the same, sums "
            "are rounded in another order, and dropout and batch statistics are of each process's part of a batch"
        )
        log.warning("%s", text)
        self.caveats.append(text)

    def _train_metrics(self) -> dict[str, Metric]:
        return {name: self._metric("train", name) for name in self._names}

    def _metric(self, stage: str, name: str) -> Metric:
        metric: Metric = getattr(self, f"{stage}_{name}")
        return metric

    def _check_outputs(self, outputs: Tensor) -> None:
        """Look at the first outputs of this attempt, once."""
        self._outputs_checked = True
        if warning := self.task.warning(outputs):
            log.warning("%s", warning)
            self.caveats.append(warning)

    def _evaluate(self, stage: str, batch: Batch) -> Tensor:
        images, target = batch
        if self.trainer.world_size > 1:
            part = share_of(len(target), self.global_rank, self.trainer.world_size)
            images, target = images[part], target[part]
        outputs = _precise(self.task.outputs(self.net, images))
        if not len(target):
            return outputs
        if len(outputs) != len(target):  # several views of each image
            outputs = self.task.averaged(outputs.reshape(-1, len(target), *outputs.shape[1:]))
        # one value per image; torchmetrics ignores a `weight` beside nan_strategy="disable"
        self._metric(stage, "loss").update(self.task.eval_loss(outputs, target).expand(len(target)))
        for name in self._names[1:]:
            self._metric(stage, name).update(outputs, target)
        return outputs

    def _flush_pending(self) -> None:
        """Update the training metrics with the batches that are not in them yet."""
        if self._pending:
            losses, outputs, targets = zip(*self._pending, strict=True)
            values = [loss.expand(len(target)) for loss, target in zip(losses, targets, strict=True)]
            self._metric("train", "loss").update(torch.cat(values))
            every_output, every_target = torch.cat(outputs), torch.cat(targets)
            for name in self._names[1:]:
                self._metric("train", name).update(every_output, every_target)
            self._pending.clear()

    def _log_epoch(self, stage: str) -> None:
        for name in self._names:
            metric = self._metric(stage, name)
            self.log(f"{stage}/{name}", metric.compute(), prog_bar=name == self.task.headline, sync_dist=False)
            metric.reset()


def _precise(outputs: Tensor) -> Tensor:
    """Outputs of two bytes in float32: a loss of three digits decides badly which epoch is best."""
    return outputs.float() if outputs.dtype.itemsize == 2 else outputs
