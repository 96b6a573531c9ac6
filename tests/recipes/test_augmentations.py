"""Augmentation and mixing: draws that belong to the image, against torchvision's own classes and hand arithmetic."""

from __future__ import annotations

import math
from unittest import mock

import pytest
import torch
from torchvision.transforms import v2

from vision_baselines.data.augmentations import Chain, CropFlip, Erasing, Rotate
from vision_baselines.data.mixing import Mix
from vision_baselines.data.perturbations import Augment
from vision_baselines.data.policies import BINS, OPERATIONS, RandAugment, TrivialAugment
from vision_baselines.data.sample_draws import SampleDraws
from vision_baselines.errors import ConfigError

KINDS = {
    "crop_flip": CropFlip(crop_px=3),
    "reflect": CropFlip(crop_px=5, fill="reflect"),
    "alternating": CropFlip(crop_px=0, alternate=True),
    "rotate": Rotate(degrees=40.0),
    "erasing": Erasing(share=0.8),
    "randaugment": RandAugment(strength=20),
    "trivial_augment": TrivialAugment(),
    "chain": Chain({"a": CropFlip(), "b": Erasing()}),
}


def pictures(count: int = 40, channels: int = 3, side: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (count, channels, side, side), generator=generator, dtype=torch.uint8)


def draws_of(samples, epoch: int = 3, seed: int = 1) -> SampleDraws:
    return SampleDraws(torch.as_tensor(samples), seed=seed, epoch=epoch)


@pytest.mark.few(3)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_what_becomes_of_an_image_depends_on_no_other(kind, channels):
    augment, images = KINDS[kind], pictures(channels=channels)
    whole = augment(images, draws_of(range(40)))
    assert whole.shape == images.shape
    assert not torch.equal(whole.float(), images.float())
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    for size in (1, 7, 40):
        parts = [augment(images[part], draws_of(part)) for part in order.split(size)]
        assert torch.equal(torch.cat(parts), whole[order])


@pytest.mark.parametrize("kind", KINDS)
def test_another_epoch_and_another_seed_draw_otherwise_and_the_same_ones_the_same(kind):
    augment, images = KINDS[kind], pictures()
    first = augment(images, draws_of(range(40)))
    assert torch.equal(first, augment(images, draws_of(range(40))))
    assert not torch.equal(first, augment(images, draws_of(range(40), epoch=4)))
    assert not torch.equal(first, augment(images, draws_of(range(40), seed=2)))


def test_draws_are_uniform_and_of_different_purposes_independent():
    draws = draws_of(range(20_000))
    one, other = draws.uniform("one", 3), draws.uniform("other", 3)
    assert 0 <= float(one.min()) < float(one.max()) < 1
    for column in range(3):
        counts = torch.histc(one[:, column], bins=20, min=0, max=1)
        assert float(((counts - 1000) ** 2 / 1000).sum()) < 50  # chi-squared of 19 degrees: 1 in 10,000 is above
    both = torch.stack([*one.T, *other.T])
    assert float((torch.corrcoef(both) - torch.eye(6)).abs().max()) < 0.04
    counts = torch.bincount(draws.integers("number", 7), minlength=7)
    assert counts.min() > 2_600
    assert len(counts) == 7


def test_alternating_flip_mirrors_each_image_in_every_second_epoch():
    images, augment = pictures(), KINDS["alternating"]
    by_epoch = [augment(images, draws_of(range(40), epoch=epoch)) for epoch in range(4)]
    mirrored = torch.stack([(made == images.flip(-1)).flatten(1).all(1) for made in by_epoch])
    plain = torch.stack([(made == images).flatten(1).all(1) for made in by_epoch])
    assert torch.equal(mirrored, ~plain)
    assert torch.equal(mirrored[0], ~mirrored[1])
    assert torch.equal(mirrored[0], mirrored[2])
    assert 8 < int(mirrored[0].sum()) < 32


@pytest.mark.parametrize("fill", ["black", "reflect"])
def test_a_crop_is_a_window_of_the_padded_image(fill):
    images = pictures(side=8)
    made = CropFlip(crop_px=3, flip=0.0, fill=fill)(images, draws_of(range(40)))
    mode = "constant" if fill == "black" else "reflect"
    padded = torch.nn.functional.pad(images.float(), (3, 3, 3, 3), mode=mode).to(torch.uint8)
    windows = {(y, x): padded[:, :, y : y + 8, x : x + 8] for y in range(7) for x in range(7)}
    found = [{place for place, window in windows.items() if torch.equal(window[k], made[k])} for k in range(40)]
    assert all(found)
    assert len(set.union(*found)) > 20


def test_erasing_paints_one_box_of_an_area_and_a_ratio_within_bounds():
    images = torch.full((200, 1, 20, 30), 200, dtype=torch.uint8)
    made = Erasing(share=0.5, area=[0.05, 0.2], ratio=[0.5, 2.0], value=9)(images, draws_of(range(200)))
    erased = (made == 9)[:, 0]
    assert 70 < int(erased.flatten(1).any(1).sum()) < 130
    for box in erased[erased.flatten(1).any(1)]:
        rows, columns = box.any(1).sum(), box.any(0).sum()
        assert int(box.sum()) == int(rows * columns)
        assert 0.03 < float(rows * columns) / 600 < 0.25
        assert 0.35 < float(rows / columns) < 2.9
    assert set(made.unique().tolist()) == {9, 200}


SIGNED = {"shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness", "color", "contrast", "sharpness"}


@pytest.mark.parametrize("strength", [0, 9, 30])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(RandAugment(), v2.RandAugment()), (TrivialAugment(), v2.TrivialAugmentWide())]
)
def test_operations_and_strengths_are_those_of_torchvision(ours, theirs, strength):
    images = pictures(count=4, side=96)
    space = theirs._AUGMENTATION_SPACE
    names = set(OPERATIONS)
    for reference, (magnitudes, signed) in space.items():
        name = {"ShearX": "shear_x", "ShearY": "shear_y", "TranslateX": "translate_x", "TranslateY": "translate_y"}.get(
            reference, reference.lower()
        )
        names.remove(name)
        assert signed == (name in SIGNED)
        values = magnitudes(BINS, 96, 96)
        value = 0.0 if values is None else float(values[strength]) if values.ndim else float(values)
        expected = theirs._apply_image_or_video_transform(
            images, reference, value, interpolation=theirs.interpolation, fill=theirs._fill
        )
        own = ours.value(name, strength, (96, 96))
        away = (OPERATIONS[name](images, own).int() - expected.int()).abs()
        assert float((away <= 1).float().mean()) > 0.999, name  # its strengths are rounded to 32 bits, ours are not
    assert not names


def test_a_moved_image_does_not_leave_its_frame():
    assert TrivialAugment().value("translate_x", 30, (16, 16)) < 8


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixing_is_that_of_torchvision_for_the_same_draw(kind):
    images, target = pictures(count=6), torch.tensor([0, 1, 2, 3, 2, 1])
    made, shares = Mix(**{kind: 0.7})(images, target, 4, draws_of(range(6)))
    for k in range(6):
        kept = _kept(shares[k], target[k], target[k - 1])
        assert float(shares[k].sum()) == pytest.approx(1)
        if kind == "mixup":
            reference = v2.MixUp(num_classes=4)
            params = {"lam": kept, "labels": target, "batch_size": 6}
        else:
            changed = (made[k] != images[k]).any(0)
            rows, columns = changed.any(1).nonzero()[:, 0], changed.any(0).nonzero()[:, 0]
            if not len(rows):
                assert kept == 1
                continue
            box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
            reference = v2.CutMix(num_classes=4)
            params = {"box": box, "lam_adjusted": kept, "labels": target, "batch_size": 6}
            assert kept == pytest.approx(1 - (box[2] - box[0]) * (box[3] - box[1]) / 144)
        expected = reference.transform(images.float(), params)[k]
        assert torch.allclose(made[k], expected, atol=1e-3)
        assert torch.allclose(shares[k], reference.transform(target, params)[k].float(), atol=1e-6)


def _kept(shares, own, other) -> float:
    return 1.0 if own == other else float(shares[own])


def test_mixing_draws_by_image_and_changes_its_share():
    images, target = pictures(count=40), torch.arange(40) % 4
    _, shares = Mix(mixup=1.0, cutmix=1.0, share=0.5)(images, target, 4, draws_of(range(40)))
    untouched = int((shares.max(1).values == 1).sum())
    assert 8 < untouched < 32
    start = next(k for k in range(5, 40) if shares[k].max() < 1 and k % 4)
    _, again = Mix(mixup=1.0, cutmix=1.0, share=0.5)(images[start:], target[start:], 4, draws_of(range(start, 40)))
    assert torch.equal(again[1:], shares[start + 1 :])
    assert not torch.equal(again[0], shares[start])  # its partner is another one


def test_cross_entropy_of_shares_is_the_mean_of_both_labels():
    from vision_baselines.tasks.binary import Binary
    from vision_baselines.tasks.classification import Classification

    torch.manual_seed(0)
    logits, shares = torch.randn(5, 3), torch.tensor([[0.3, 0.7, 0.0]]).expand(5, 3)
    task = Classification(3, class_weights=[1.0, 2.0, 3.0])
    weighted = -(logits.log_softmax(1) * torch.tensor([1.0, 2.0, 3.0]) * shares).sum(1).mean()
    assert float(task.loss(logits, shares)) == pytest.approx(float(weighted))
    two = torch.cat([torch.zeros(5, 1), logits[:, :1]], 1)
    mixed = Binary(2).loss(two, torch.tensor([[0.4, 0.6]]).expand(5, 2))
    one, other = (Binary(2).loss(two, torch.full((5,), label)) for label in (0, 1))
    assert float(mixed) == pytest.approx(float(0.4 * one + 0.6 * other))


@pytest.mark.parametrize(
    "make",
    [
        lambda: CropFlip(crop_px=-1),
        lambda: CropFlip(flip=1.5),
        lambda: CropFlip(fill="white"),
        lambda: CropFlip(alternate=True, flip=0.3),
        lambda: Rotate(degrees=200),
        lambda: Erasing(share=2),
        lambda: Erasing(area=[0.5, 0.2]),
        lambda: Erasing(ratio=[0, 1]),
        lambda: Erasing(value=256),
        lambda: Chain({"a": Augment(shift_px=1)}),
        lambda: RandAugment(operations=0),
        lambda: RandAugment(strength=31),
        lambda: Mix(),
        lambda: Mix(mixup=-1.0),
        lambda: Mix(cutmix=1.0, share=1.1),
        lambda: CropFlip(crop_px=8).check_places((1, 8, 8), permuted=False),
        lambda: RandAugment().check_places((2, 8, 8), permuted=False),
        lambda: Erasing().check_places((1, 8, 8), permuted=True),
    ],
)
def test_arguments_out_of_range_are_refused_in_a_line(make):
    with pytest.raises(ConfigError) as caught:
        make()
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.few(1)
@pytest.mark.ci(every=3)
@pytest.mark.parametrize("more", [[], ["+trainer.overfit_batches=6"]])
def test_the_draws_of_a_batch_are_of_the_images_that_it_holds(more, run_tiny):
    """The order of the epoch, not a number that travels with the batch, says which images these are."""
    from vision_baselines.data.datamodule import ImageDataModule

    seen, changed, original = [], [], ImageDataModule._samples

    def samples(self, at, count):
        found = original(self, at, count)
        seen.append((self, at, found))
        return found

    def plain(self, images, draws):
        if not seen:  # tried before there is any data
            return images
        module, at, found = seen[-1]
        assert torch.equal(draws.samples, found)
        assert torch.equal(module.splits.train.images[found], images)
        of_a_call = math.ceil(len(found) / module.batch_size)  # one batch, or several at once
        changed.extend((at.epoch, at.batches_done + step) for step in range(of_a_call))
        return images

    with mock.patch.object(ImageDataModule, "_samples", samples), mock.patch.object(CropFlip, "__call__", plain):
        run_tiny("run", "augment=crop_flip", "augment.crop_px=1", *more)
    batches = [(epoch, batch) for epoch in range(2) for batch in range(6)]
    assert [(0 if more else epoch, batch) for epoch, batch in changed] == [
        (0 if more else epoch, batch) for epoch, batch in batches
    ]


@pytest.mark.few(1)
@pytest.mark.ci(every=3)
@pytest.mark.parametrize(("data", "warns"), [("digits", True), ("circles", False)])
def test_a_flip_that_changes_a_digit_is_said(data, warns, caplog, compose):
    from vision_baselines.training import build

    more = [] if data == "digits" else ["augment.crop_px=0"]
    module = build.datamodule(compose(f"data={data}", "augment=crop_flip", *more))
    module.setup()
    assert ("mirrored character" in caplog.text) is warns
    caplog.clear()
    module = build.datamodule(compose(f"data={data}", "augment=crop_flip", "augment.flip=0", *more))
    module.setup()
    assert "mirrored character" not in caplog.text
