"""The first layer from data: filters that whiten patches, kept or trained, the same after a resume."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d

from vision_baselines.analysis.whitening import whitening_filters
from vision_baselines.errors import ConfigError


@pytest.mark.parametrize(("channels", "kernel"), [(1, (3, 3)), (3, (2, 2)), (2, (1, 3))])
def test_answers_of_whitening_filters_are_uncorrelated_and_of_unit_variance(channels, kernel):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(300, channels, 9, 9, generator=generator, dtype=torch.float64).cumsum(-1)
    filters = whitening_filters(images, kernel, eps=0.0)
    size = channels * kernel[0] * kernel[1]
    assert filters.shape == (size, channels, *kernel)
    answers = conv2d(images, filters).transpose(0, 1).flatten(1)
    assert torch.allclose(answers @ answers.T / answers.shape[1], torch.eye(size, dtype=torch.float64), atol=1e-8)
    flat = filters.flatten(1)
    assert bool((flat.gather(1, flat.abs().argmax(1, keepdim=True)) > 0).all())
    norms = flat.norm(dim=1)
    assert bool((norms[1:] >= norms[:-1] - 1e-9).all())  # the strongest direction needs the smallest filter


def test_filters_larger_than_the_images_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        whitening_filters(torch.zeros(1, 1, 2, 2), (3, 3))


@pytest.mark.parametrize("first", [torch.nn.Linear(4, 4), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 4, 1, groups=4)])
def test_a_net_that_begins_with_no_convolution_of_all_channels_is_refused(first):
    from vision_baselines.training.first_weights import first_convolution

    with pytest.raises(ConfigError, match="first layer is a convolution") as caught:
        first_convolution(torch.nn.Sequential(first, torch.nn.Conv2d(4, 4, 1)), "first_layer=whiten")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
@pytest.mark.ci
def test_whitened_and_kept_filters_are_those_of_the_data_after_training_and_after_a_resume(
    run_tiny, resumed_after, tmp_path
):
    from vision_baselines.training.load import load_classifier

    options = ["first_layer=whiten", "freeze=first_layer", "checkpoint_every_n_steps=1", "checkpoint=last"]
    whole = run_tiny("whole", *options)
    record = resumed_after(5, run_tiny, *options)
    assert whole.init_weights_sha256
    assert record.init_weights_sha256 == whole.init_weights_sha256
    assert record.final_weights_sha256 == whole.final_weights_sha256
    classifier, datamodule = load_classifier(tmp_path / "outputs" / "whole" / "checkpoints" / "best.ckpt")
    layer = next(module for module in classifier.net.modules() if isinstance(module, torch.nn.Conv2d))
    datamodule.setup()
    expected = whitening_filters(datamodule.normalize(datamodule.splits.train.images), layer.kernel_size)
    assert torch.allclose(layer.weight[0].double(), expected[0], atol=1e-5)
    assert torch.allclose(layer.weight[1].double(), -expected[0], atol=1e-5)
