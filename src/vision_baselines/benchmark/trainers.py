"""Two runs under Lightning: this project's real path, and the way a well-known Lightning and Hydra template goes."""

from __future__ import annotations

import tempfile
import time
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

from vision_baselines import assembly
from vision_baselines.benchmark.loops import synchronize
from vision_baselines.benchmark.workload import MEAN, NUM_CLASSES, STD, Workload, plain_net
from vision_baselines.data.splits import Split, Splits
from vision_baselines.resolvers import composed
from vision_baselines.train import quieten_lightning


class _Clock(Callback):
    """Times the steps after the warm-up, from the start of the first to the end of the last."""

    def __init__(self, work: Workload) -> None:
        self.work = work
        self.started = 0.0
        self.seconds = 0.0

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        """Start the clock at the first step that counts."""
        if trainer.global_step == self.work.warmup:
            synchronize(pl_module.device)
            self.started = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        """Stop it at the last."""
        if trainer.global_step == self.work.total_steps:
            synchronize(pl_module.device)
            self.seconds = time.perf_counter() - self.started


class _Given:
    """A data source that has its tensors already."""

    def __init__(self, work: Workload) -> None:
        few = Split(work.images[:16], work.target[:16])
        names = tuple(str(label) for label in range(NUM_CLASSES))
        self.splits = Splits(Split(work.images, work.target), few, few, names)

    def prepare(self) -> None:
        """Nothing to do."""

    def load(self) -> Splits:
        """The tensors."""
        return self.splits


def ours(work: Workload) -> float:
    """The real path: Hydra's config, `assembly`, the default callbacks and logger."""
    quieten_lightning()
    with tempfile.TemporaryDirectory() as folder:
        cfg = composed(
            [
                "name=benchmark",
                f"model={work.model}",
                "data=mnist",
                f"data.batch_size={work.batch_size}",
                "trainer.max_epochs=1",
                f"trainer.precision={work.precision}",
                f"trainer.accelerator={'gpu' if work.device == 'cuda' else 'cpu'}",
                f"paths.run_dir={folder}",
                "+trainer.limit_val_batches=0",
            ]
        )
        datamodule = assembly.datamodule(cfg)
        datamodule.source = _Given(work)
        clock = _Clock(work)
        loggers = assembly.loggers(cfg)
        trainer = assembly.trainer(cfg, callbacks=[clock, *assembly.callbacks(cfg)], loggers=loggers)
        trainer.fit(assembly.classifier(cfg), datamodule=datamodule)
        for logger in loggers:
            logger.finalize("success")
        return clock.seconds


def template(work: Workload) -> float:
    """Pictures turned and normalised one by one, metrics forwarded and values logged in each step."""
    quieten_lightning()
    with tempfile.TemporaryDirectory() as folder:
        clock = _Clock(work)
        trainer = pl.Trainer(
            default_root_dir=folder,
            max_epochs=1,
            accelerator="gpu" if work.device == "cuda" else "cpu",
            devices=1,
            precision=work.precision,  # type: ignore[arg-type]
            logger=TensorBoardLogger(folder, name="template"),
            callbacks=[clock, ModelCheckpoint(Path(folder) / "checkpoints", save_last=True)],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        loader = DataLoader(_Pictures(work), batch_size=work.batch_size, shuffle=True, num_workers=0)
        trainer.fit(_TemplateModule(work), train_dataloaders=loader)
        return clock.seconds


class _Pictures(Dataset[tuple[Tensor, int]]):
    """What torchvision's MNIST does in ``__getitem__``, on tensors that are in memory already."""

    def __init__(self, work: Workload) -> None:
        self.data = work.images[:, 0]
        self.targets = work.target
        self.transform = Compose([ToTensor(), Normalize((MEAN,), (STD,))])

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture, target = self.data[index], int(self.targets[index])
        return self.transform(Image.fromarray(picture.numpy(), mode=None)), target


class _TemplateModule(pl.LightningModule):
    """The usual module: metrics as attributes, forwarded and logged in each step."""

    def __init__(self, work: Workload) -> None:
        super().__init__()
        self.net = plain_net(work.model)
        self.criterion = torch.nn.CrossEntropyLoss()
        self.train_acc = MulticlassAccuracy(NUM_CLASSES, average="micro")
        self.train_loss = MeanMetric()
        self.val_acc_best = MaxMetric()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss, metrics, two values logged."""
        images, target = batch
        logits = self.net(images)
        loss: Tensor = self.criterion(logits, target)
        preds = torch.argmax(logits, dim=1)
        self.train_loss(loss)
        self.train_acc(preds, target)
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log("train/acc", self.train_acc, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW as torch makes it."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3, weight_decay=0.01)
