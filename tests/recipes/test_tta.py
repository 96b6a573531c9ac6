"""Test-time augmentation: which views there are, how they are averaged, and that the run's record stays."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from vision_baselines.data.augmentations import CropFlip
from vision_baselines.data.perturbations import Augment
from vision_baselines.data.test_views import TestViews
from vision_baselines.errors import ConfigError
from vision_baselines.tasks.binary import Binary
from vision_baselines.tasks.classification import Classification


def module(augment=None, *, permute_pixels: bool = False):
    return SimpleNamespace(augment=augment, permute_pixels=permute_pixels, source=object(), seed=3)


def pictures() -> torch.Tensor:
    return torch.randint(0, 256, (6, 1, 5, 5), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_views_begin_with_the_image_itself():
    images = pictures()
    flipped = TestViews("flip", module())(images).unflatten(0, (2, 6))
    assert torch.equal(flipped[0], images.float())
    assert torch.equal(flipped[1], images.flip(-1).float())
    moved = TestViews("shift", module())(images).unflatten(0, (9, 6))
    assert torch.equal(moved[0], images.float())
    places = {
        (down, right)
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
        for view in moved
        if torch.equal(view[..., 1:-1, 1:-1], images.float()[..., 1 - down : 4 - down, 1 - right : 4 - right])
    }
    assert len(places) == 9


@pytest.mark.parametrize("augment", [CropFlip(crop_px=2), Augment(shift_px=2)])
def test_views_as_in_training_differ_and_are_the_same_each_time(augment):
    images = pictures()
    views, again = TestViews("4", module(augment)), TestViews("4", module(augment))
    made = [views(part) for part in images.split(3)]
    assert all(torch.equal(one, again(part)) for one, part in zip(made, images.split(3), strict=True))
    first = made[0].unflatten(0, (4, 3))
    assert torch.equal(first[0], images[:3].float())
    assert not torch.equal(first[1], first[2])


@pytest.mark.parametrize(
    ("kind", "of"),
    [
        ("flop", module()),
        ("1", module(CropFlip())),
        ("1001", module(CropFlip())),
        ("-3", module(CropFlip())),
        ("", module()),
        ("5", module()),
        ("flip", module(permute_pixels=True)),
    ],
)
def test_other_views_are_refused_in_a_line(kind, of):
    with pytest.raises(ConfigError, match="--tta") as caught:
        TestViews(kind, of)
    assert len(str(caught.value).splitlines()) == 1


def test_what_is_averaged_are_probabilities():
    logits = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    task = Classification(3)
    mean = logits.softmax(-1).mean(0)
    averaged = task.averaged(logits)
    assert torch.allclose(averaged.softmax(-1), mean)
    two = torch.stack([torch.zeros(4, 6, dtype=torch.float64), logits[..., 0]], -1)
    binary = Binary(2).averaged(two)
    assert bool((binary[:, 0] == 0).all())
    assert torch.allclose(binary[:, 1].sigmoid(), logits[..., 0].sigmoid().mean(0))


@pytest.mark.slow
def test_a_run_is_tested_on_views_and_its_record_stays(run_tiny, tmp_path):
    from vision_baselines.evaluation.evaluate import evaluate
    from vision_baselines.training.load import load_classifier

    run_tiny("run", "augment=shift", "augment.shift_px=1")
    folder = tmp_path / "outputs" / "run"
    before = (folder / "run.json").read_bytes()
    found = evaluate(folder, views="flip")
    assert (found.views, found.same, found.not_compared) == ("flip", None, "this is with --tta flip")
    classifier, datamodule = load_classifier(folder / "checkpoints" / "best.ckpt")
    datamodule.setup()
    images, target = datamodule.splits.test.images, datamodule.splits.test.target
    with torch.no_grad():
        both = [classifier(datamodule.normalize(view)).softmax(1) for view in (images, images.flip(-1))]
    right = ((both[0] + both[1]).argmax(1) == target).float().mean()
    assert found.metrics["test/acc"] == pytest.approx(float(right))
    expected = torch.nn.functional.nll_loss(((both[0] + both[1]) / 2).log(), target)
    assert found.metrics["test/loss"] == pytest.approx(float(expected), rel=1e-4)
    assert evaluate(folder, views="3").metrics != found.metrics
    assert evaluate(folder).same is True
    assert (folder / "run.json").read_bytes() == before
    with pytest.raises(ConfigError, match="expected one of them"):
        evaluate(folder, views="flip", overrides=["probe=shift"])
