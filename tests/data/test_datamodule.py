"""Batches are what plain torch would make of the tensors, and facts that do not hold are refused."""

from __future__ import annotations

import pytest
import torch

from vision_baselines.data.datamodule import ImageDataModule
from vision_baselines.data.dataset import BatchedImages, as_is
from vision_baselines.data.sources import Split, Splits
from vision_baselines.errors import ConfigError

MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


class FromTensors:
    """A source of a few random pictures; counts how often it is read."""

    def __init__(self, shape=(3, 5, 4), classes=3):
        draws = torch.Generator().manual_seed(0)
        self.reads = self.preparations = 0

        def split(size):
            images = torch.randint(0, 256, (size, *shape), dtype=torch.uint8, generator=draws)
            return Split(images, torch.arange(size) % classes)

        self.splits = Splits(split(10), split(4), split(6), class_names=tuple("abc"[:classes]))

    def prepare(self):
        self.preparations += 1

    def load(self):
        self.reads += 1
        return self.splits


def module(source=None, **options):
    facts = {"image_shape": [3, 5, 4], "num_classes": 3, "mean": MEAN, "std": STD, "batch_size": 4}
    return ImageDataModule(source or FromTensors(), **{**facts, **options})


def test_normalising_equals_scaling_to_one_then_mean_and_standard_deviation():
    images = torch.randint(0, 256, (6, 3, 5, 4), dtype=torch.uint8)
    expected = (images.float() / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(module().normalize(images), expected)


def test_normalising_equals_torchvision():
    transforms = pytest.importorskip("torchvision.transforms.v2.functional")
    images = torch.randint(0, 256, (2, 3, 5, 4), dtype=torch.uint8)
    expected = transforms.normalize(transforms.to_dtype(images, torch.float32, scale=True), MEAN, STD)
    torch.testing.assert_close(module().normalize(images), expected)


def test_normalising_leaves_the_pixels_in_memory_as_they_are():
    images = torch.randint(0, 256, (2, 3, 5, 4), dtype=torch.uint8)
    before = images.clone()
    module().normalize(images)
    assert torch.equal(images, before)


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_layout_of_images_changes_no_value(channels_last):
    images = torch.randint(0, 256, (2, 3, 5, 4), dtype=torch.uint8)
    normalized = module(channels_last=channels_last).normalize(images)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert normalized.is_contiguous(memory_format=layout)
    assert torch.equal(normalized, module().normalize(images))


def test_batches_stay_uint8_until_they_are_on_their_device():
    images, _ = next(iter(module().train_dataloader()))
    assert images.dtype is torch.uint8
    floats, _ = module().on_after_batch_transfer((images, torch.zeros(4)), 0)
    assert floats.dtype is torch.float32


def test_a_batch_is_gathered_at_once_and_equals_one_by_one():
    splits = FromTensors().splits
    dataset = BatchedImages(splits.train.images, splits.train.target)
    images, target = as_is(dataset.__getitems__([7, 0, 7]))
    one_by_one = [dataset[index] for index in (7, 0, 7)]
    assert torch.equal(images, torch.stack([image for image, _ in one_by_one]))
    assert torch.equal(target, torch.stack([label for _, label in one_by_one]))


def test_validation_and_test_batches_come_in_order_and_whole():
    source = FromTensors()
    data = module(source, eval_batch_size=4)
    for loader, split in [(data.val_dataloader(), source.splits.val), (data.test_dataloader(), source.splits.test)]:
        assert torch.equal(torch.cat([images for images, _ in loader]), split.images)


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_the_number_of_workers_changes_no_batch(num_workers):
    plain = list(module().train_dataloader())
    loaded = list(module(num_workers=num_workers).train_dataloader())
    assert len(plain) == len(loaded) == 3
    for (images, target), (others, labels) in zip(plain, loaded, strict=True):
        assert torch.equal(images, others)
        assert torch.equal(target, labels)


def test_data_on_the_device_cannot_be_loaded_by_other_processes():
    with pytest.raises(ConfigError, match=r"data\.num_workers is 2; expected 0 beside data\.on_device=true"):
        module(num_workers=2, on_device=True)


def test_seeds_shuffle_the_training_split_differently():
    orders = [torch.cat([t for _, t in module(seed=s).train_dataloader()]).tolist() for s in (0, 1)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_the_source_is_read_once():
    source = FromTensors()
    data = module(source)
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    data.train_dataloader()
    assert (source.preparations, source.reads) == (1, 1)


def test_a_wrong_image_shape_is_refused_with_both_shapes():
    with pytest.raises(
        ConfigError,
        match=r"data\.image_shape is \[3, 4, 5\]; the data has \[3, 5, 4\]: add data\.image_shape=\[3,5,4\]",
    ):
        module(image_shape=[3, 4, 5]).setup()


@pytest.mark.parametrize("num_classes", [2, 4])
def test_a_wrong_number_of_classes_is_refused_with_both_numbers(num_classes):
    with pytest.raises(ConfigError, match=rf"data\.num_classes is {num_classes}; the data has 3"):
        module(num_classes=num_classes).setup()


@pytest.mark.parametrize("key", ["batch_size", "eval_batch_size"])
@pytest.mark.parametrize("size", [0, -8])
def test_a_batch_size_below_one_is_refused_by_name(key, size):
    with pytest.raises(ConfigError, match=rf"data\.{key} is {size}; expected a whole number of at least 1"):
        module(**{key: size})


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(ConfigError, match=r"data\.num_workers is -1"):
        module(num_workers=-1)


@pytest.mark.parametrize("facts", [{"mean": [0.5]}, {"std": [0.5, 0.5]}])
def test_a_mean_or_deviation_for_other_channels_is_refused(facts):
    with pytest.raises(ConfigError, match=r"expected 3, one for each channel.* data\.mean=\[0\.5,0\.5,0\.5\]"):
        module(**facts)


def test_a_standard_deviation_of_zero_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"data\.std"):
        module(std=[0.2, 0.0, 0.3])


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_last_batch_of_one_image_is_left_out_and_one_of_two_is_not(num_workers):
    """Batch normalisation refuses to train on a single image."""
    sizes = {
        batch_size: [len(t) for _, t in module(batch_size=batch_size, num_workers=num_workers).train_dataloader()]
        for batch_size in (1, 3, 4)
    }
    assert sizes == {1: [1] * 10, 3: [3, 3, 3], 4: [4, 4, 2]}
