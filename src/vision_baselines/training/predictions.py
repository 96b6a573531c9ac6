"""What a run's net answers, kept beside its record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.probes.probe import outputs_of
from vision_baselines.runs.predictions import PREDICTIONS_FILE, Predictions, packed
from vision_baselines.runs.record import RunRecord
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.training.task_module import Answered, TaskModule

_MOST_PROBABILITIES = 2**27  # a quarter of a gigabyte


def keep_predictions(
    which: str, record: RunRecord, folder: Path, trainer: pl.Trainer, classifier: TaskModule, data: ImageDataModule
) -> None:
    """Write what was answered in the last test, and note its SHA-256; nothing for a task without classes.

    Args:
        which: ``test``; ``all`` for train, as it is without augmentation, and val too, which takes a pass over each; or
            ``none``.
        record: Of the run.
        folder: The run's.
        trainer: Which tested.
        classifier: What was tested, its weights still in place.
        data: What it was tested on.
    """
    record.predictions_sha256 = None
    if which == "none" or classifier.task.num_classes is None:
        return
    answers = {"test": classifier.answered()}
    assert data.splits is not None
    for name in ("train", "val") if which == "all" else ():
        split = getattr(data.splits, name)
        answers[name] = list(_answers(trainer, classifier, data, split.images, split.target))
    kept = {name: found for name, of in answers.items() if (found := _named(of, name, data)) is not None}
    if kept:
        content = packed(kept)
        write_atomically(folder / PREDICTIONS_FILE, content)
        record.predictions_sha256 = hashlib.sha256(content).hexdigest()


def _answers(
    trainer: pl.Trainer, classifier: TaskModule, data: ImageDataModule, images: Tensor, target: Tensor
) -> Iterator[Answered]:
    classifier.eval()
    with torch.no_grad():
        for start in range(0, len(target), data.eval_batch_size):
            part = slice(start, start + data.eval_batch_size)
            yield classifier.answer(outputs_of(trainer, classifier, images[part], target[part]), target[part])


def _named(answers: Sequence[Answered], split: str, data: ImageDataModule) -> Predictions | None:
    """All answers of a split; None where the task has no probabilities of classes."""
    shares = [answer.probabilities for answer in answers if answer.probabilities is not None]
    if not shares or len(shares) < len(answers):
        return None
    predicted = torch.cat([answer.predicted for answer in answers]).cpu().numpy()
    targets = torch.cat([answer.targets for answer in answers]).cpu().numpy()
    probabilities = torch.cat(shares)
    return Predictions(
        predicted=predicted.astype(np.int32),
        targets=targets.astype(np.int32),
        probabilities=probabilities.numpy() if probabilities.numel() <= _MOST_PROBABILITIES else None,
        ids=data.sample_ids(split)[: len(targets)],
    )
