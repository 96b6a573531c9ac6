"""Two runs under Lightning: this project's real path, and the way a well-known Lightning and Hydra template goes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MaxMetric, MeanMetric
from torchmetrics.classification import MulticlassAccuracy
from torchvision.transforms import Compose, Normalize, ToTensor

from benchmark.clock import now
from benchmark.workload import IMAGE_SHAPE, MEAN, NUM_CLASSES, STD, Workload, made_up, plain_net
from vision_baselines.config.compose import composed
from vision_baselines.data.splits import Split, Splits
from vision_baselines.steps.unwatched import Unwatched
from vision_baselines.training import build
from vision_baselines.training.build import quieten_lightning
from vision_baselines.training.loop import choose_loop


class _Clock(Callback, Unwatched):
    """Times the steps after the warm-up, from the start of the first to the end of the last."""

    def __init__(self, work: Workload) -> None:
        self.work = work
        self.started = 0.0
        self.seconds = 0.0

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        """Start the clock at the first step that counts."""
        if trainer.global_step == self.work.warmup:
            self.started = now(self.work.clock, pl_module.device)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        """Stop it at the last."""
        if trainer.global_step == self.work.total_steps:
            self.seconds = now(self.work.clock, pl_module.device) - self.started

    def unwatched_steps(self, trainer: pl.Trainer) -> int:
        """To the first step that counts, and from there to the last."""
        left = self.work.warmup - trainer.global_step
        return left if left > 0 else self.work.total_steps - trainer.global_step


class _Given:
    """A data source that has its tensors already."""

    def __init__(self, work: Workload) -> None:
        names = tuple(str(label) for label in range(NUM_CLASSES))
        few = [made_up(work.model, 16, steps=1, warmup=0, seed=seed) for seed in (1, 2)]  # no picture is in two splits
        val, test = (Split(one.images, one.target) for one in few)
        self.splits = Splits(Split(work.images, work.target), val, test, names)

    def prepare(self) -> None:
        """Nothing to do."""

    def load(self) -> Splits:
        """The tensors."""
        return self.splits


def ours(work: Workload) -> float:
    """The real path: Hydra's config, `assembly`, the default callbacks and logger."""
    quieten_lightning()
    on_cuda = work.device == "cuda"
    options = ",".join(f"{key}:{value}" for key, value in (work.compiled or {}).items())
    with tempfile.TemporaryDirectory() as folder:
        cfg = composed(
            [
                "name=benchmark",
                f"model={work.model}",
                "data=mnist",
                f"data.batch_size={work.batch_size}",
                "trainer.max_epochs=1",
                f"trainer.precision={work.precision}",
                f"trainer.accelerator={'gpu' if on_cuda else 'cpu'}",
                f"data.on_device={str(on_cuda).lower()}",  # as the limit's are
                f"paths.run_dir={folder}",
                "+trainer.limit_val_batches=0",
                "data.mean=[0.5]",  # of random pixels
                "data.std=[0.29]",
                *([f"classifier.compile={{{options}}}"] if work.compiled is not None else []),
            ]
        )
        datamodule = build.datamodule(cfg)
        datamodule.source = _Given(work)
        clock = _Clock(work)
        loggers = build.loggers(cfg)
        trainer = build.trainer(cfg, callbacks=[clock, *build.callbacks(cfg)], loggers=loggers)
        classifier = build.classifier(cfg)
        choose_loop(trainer, classifier, datamodule, {})
        trainer.fit(classifier, datamodule=datamodule)
        for logger in loggers:
            logger.finalize("success")
        return clock.seconds


def template(work: Workload) -> float:
    """Pictures turned and normalised one by one, metrics forwarded and values logged in each step; in 32 bits."""
    quieten_lightning()
    with tempfile.TemporaryDirectory() as folder:
        clock = _Clock(work)
        trainer = pl.Trainer(
            default_root_dir=folder,
            max_epochs=1,
            accelerator="gpu" if work.device == "cuda" else "cpu",
            devices=1,
            logger=TensorBoardLogger(folder, name="template"),
            callbacks=[clock, ModelCheckpoint(Path(folder) / "checkpoints", save_last=True)],
            limit_val_batches=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        loader = DataLoader(Pictures(work.images, work.target), batch_size=work.batch_size, shuffle=True, num_workers=0)
        unused = DataLoader(Pictures(work.images[:1], work.target[:1]))
        trainer.fit(TemplateModule(work.model), loader, unused)
        return clock.seconds


class Pictures(Dataset[tuple[Tensor, int]]):
    """What torchvision's MNIST does in ``__getitem__``, on tensors that are in memory already.

    Args:
        images: uint8 (N, 1, H, W).
        target: int64 (N,).
    """

    def __init__(self, images: Tensor, target: Tensor) -> None:
        self.data, self.targets = images[:, 0], target
        self.transform = Compose([ToTensor(), Normalize((MEAN,), (STD,))])

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """One picture, float32 (1, H, W), and its label."""
        picture, target = self.data[index], int(self.targets[index])
        return self.transform(Image.fromarray(picture.numpy(), mode=None)), target


class TemplateModule(pl.LightningModule):
    """The usual module: metrics as attributes, forwarded and logged in each step, of training or not.

    Args:
        model: ``cnn`` or ``fc``.
        image_shape: (1, height, width).
    """

    def __init__(self, model: str, image_shape: tuple[int, ...] = IMAGE_SHAPE) -> None:
        super().__init__()
        self.net = plain_net(model, image_shape)
        self.criterion = torch.nn.CrossEntropyLoss()
        for stage in ("train", "val", "test"):
            setattr(self, f"{stage}_acc", MulticlassAccuracy(NUM_CLASSES, average="micro"))
            setattr(self, f"{stage}_loss", MeanMetric())
        self.val_acc_best = MaxMetric()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss, metrics, two values logged."""
        return self._step("train", batch)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """The same on a validation batch."""
        self._step("val", batch)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """The same on a test batch."""
        self._step("test", batch)

    def on_validation_epoch_end(self) -> None:
        """The best accuracy so far, logged as a value."""
        accuracy: Any = self.val_acc
        self.val_acc_best(accuracy.compute())
        self.log("val/acc_best", self.val_acc_best.compute(), sync_dist=True, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW as torch makes it."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3, weight_decay=0.01)

    def _step(self, stage: str, batch: tuple[Tensor, Tensor]) -> Tensor:
        images, target = batch
        logits = self.net(images)
        loss: Tensor = self.criterion(logits, target)
        loss_metric, acc_metric = getattr(self, f"{stage}_loss"), getattr(self, f"{stage}_acc")
        loss_metric(loss)
        acc_metric(torch.argmax(logits, dim=1), target)
        self.log(f"{stage}/loss", loss_metric, on_step=False, on_epoch=True, prog_bar=True)
        self.log(f"{stage}/acc", acc_metric, on_step=False, on_epoch=True, prog_bar=True)
        return loss
