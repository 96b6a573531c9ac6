"""Batches that are made at once are those that Lightning gets from the loader one after the other."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from vision_baselines.data.batch_changes import in_batches
from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.data.sources import Split, Splits

CONF = Path(__file__).resolve().parents[2] / "conf"
AUGMENTS, MIXES = (sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in ("augment", "mix"))
SHAPE = (3, 12, 12)
_EVERY = list(itertools.product(AUGMENTS, MIXES, [(5,), (2, 1, 9), (1, 1, 1, 1, 1)]))
VARIANTS = [_EVERY[7 * at % len(_EVERY)] for at in range(len(_EVERY))]  # the first few are of every sort


class Source:
    def prepare(self) -> None:
        pass

    def load(self) -> Splits:
        images = torch.randint(0, 256, (23, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
        split = Split(images, torch.arange(23) % 3)
        return Splits(split, split, split, class_names=("a", "b", "c"))


def data_at(epoch: int, **options: Any) -> tuple[ImageDataModule, SimpleNamespace]:
    """The data, and where its trainer stands."""
    facts = {"image_shape": SHAPE, "num_classes": 3, "mean": [0.5] * 3, "std": [0.25] * 3, "batch_size": 5, "seed": 7}
    made = ImageDataModule(Source(), **{**facts, **options})
    current = SimpleNamespace(processed=0)
    progress = SimpleNamespace(batch_progress=SimpleNamespace(current=current))
    made.trainer = SimpleNamespace(  # type: ignore[assignment]
        training=True, testing=False, current_epoch=epoch, lightning_module=None, overfit_batches=0,
        strategy=SimpleNamespace(root_device=torch.device("cpu")), fit_loop=SimpleNamespace(epoch_loop=progress),
    )  # fmt: skip
    return made, current


def configured(group: str, name: str) -> Any:
    return instantiate(OmegaConf.load(CONF / group / f"{name}.yaml")) or None


@pytest.mark.parametrize(("augment", "mix", "counts"), VARIANTS, ids=str)
@pytest.mark.few(8)
@pytest.mark.ci(every=7)
def test_they_are_those_of_the_loader(augment: str, mix: str, counts: tuple[int, ...]) -> None:
    options = {"augment": configured("augment", augment), "mix": configured("mix", mix)}
    for epoch in (0, 3):
        one, at = data_at(epoch, **options)
        expected = []
        for batch in one.train_dataloader():
            moved = one.transfer_batch_to_device(batch, torch.device("cpu"), 0)
            expected.append(one.on_after_batch_transfer(moved, 0))
            at.processed += 1
        other, at = data_at(epoch, **options)
        found = []
        for count in counts:
            found += other.next_batches(count)
            at.processed = len(found)
        assert [len(images) for images, _ in expected] == [5, 5, 5, 5, 3]
        assert len(found) == len(expected)
        for mine, its in zip(found, expected, strict=True):
            assert all(torch.equal(own, given) for own, given in zip(mine, its, strict=True))


def test_a_split_is_moved_to_its_device_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``data.on_device=true``; meta stands for a device, as on a CPU nothing would be moved."""
    one, at = data_at(0, on_device=True)
    one.trainer.strategy.root_device = torch.device("meta")  # type: ignore[union-attr,misc]
    moved: list[int] = []
    to = torch.Tensor.to

    def noting(self: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        found = to(self, *arguments, **options)
        if found.is_meta and not self.is_meta:
            moved.append(self.numel())
        return found

    monkeypatch.setattr(torch.Tensor, "to", noting)
    for step in range(4):
        at.processed = step
        assert all(part.is_meta for part in one.next_batches(1)[0])
    assert one.splits is not None
    assert moved.count(one.splits.train.images.numel()) == 1
    assert sum(moved) < 1.1 * one.splits.train.images.numel()


@pytest.mark.parametrize("size", [1, 3, 5, 8])
@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 5, 5), (3, 7, 3)])
def test_each_is_aligned_as_memory_of_its_own(shape: tuple[int, ...], size: int) -> None:
    """Or a run whose steps are taken at once could have other bits than one whose batches come one by one."""
    whole = torch.rand(23, *shape), torch.arange(23)
    batches = in_batches(whole, size)
    assert all(part.data_ptr() % 64 == 0 for batch in batches for part in batch)
    for part, again in zip(whole, zip(*batches, strict=True), strict=True):
        assert torch.equal(part, torch.cat(again))
