"""Integrated gradients: exact where that is known, complete within the tolerance, and nothing of the run is changed."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from vision_baselines.analysis.integrated_gradients import integrated_gradients
from vision_baselines.errors import ConfigError
from vision_baselines.plots.saliency import Explained, _seen, saliency_sheet, scale_limit
from vision_baselines.probes.saliency import Saliency, _why_no_gradient, chosen
from vision_baselines.tasks.classification import Classification
from vision_baselines.training.run import train

OPTIONS = {"steps": 64, "max_steps": 1024, "tolerance": 0.01, "batch_size": 16}


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**16),
    shape=st.tuples(*[st.integers(1, 4)] * 3),
    steps=st.integers(1, 5),
    batch_size=st.integers(1, 4),
)
def test_of_a_linear_net_they_are_its_weights_times_the_image_minus_the_baseline(seed, shape, steps, batch_size):
    drawn = torch.Generator().manual_seed(seed)
    weights, image, baseline = (torch.randn(shape, generator=drawn, dtype=torch.float64) for _ in range(3))
    found = integrated_gradients(
        lambda images: (images * weights).sum(dim=(1, 2, 3)) + 1.5,
        image,
        baseline,
        **{**OPTIONS, "steps": steps, "batch_size": batch_size},
    )
    torch.testing.assert_close(found.values, weights * (image - baseline))
    assert found.steps == steps
    assert found.violation < 1e-12


def test_of_a_product_they_are_those_of_the_integral():
    # f = x·y from (0, 0) to (a, b): the integral of the gradient is a·b/2 for each; midpoints integrate lines exactly
    found = integrated_gradients(
        lambda images: images[:, 0, 0, 0] * images[:, 0, 0, 1],
        torch.tensor([[[3.0, 5.0]]]),
        torch.zeros(1, 1, 2),
        **{**OPTIONS, "steps": 1},
    )
    assert found.values.flatten().tolist() == pytest.approx([7.5, 7.5])


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16))
def test_a_net_of_relus_is_complete_within_the_tolerance(seed):
    drawn = torch.Generator().manual_seed(seed)
    first, second = (torch.randn(8, n, generator=drawn, dtype=torch.float64) for n in (6, 1))

    def score(images):
        return (torch.relu(images.flatten(1) @ first.T) @ second).flatten()

    image, baseline = torch.randn(2, 1, 2, 3, generator=drawn, dtype=torch.float64)
    found = integrated_gradients(score, image[None], baseline[None], **OPTIONS)
    assert found.violation <= OPTIONS["tolerance"] or found.steps == OPTIONS["max_steps"]
    exact = float(score(image[None, None]) - score(baseline[None, None]))
    assert found.difference == pytest.approx(exact)
    # each of 8 kinks lies in one step
    assert abs(float(found.values.sum()) - exact) < 8 * float(first.abs().sum() * second.abs().max()) * 4 / found.steps


def test_steps_are_doubled_until_complete_and_no_further_than_allowed():
    def jumps(images):  # a step has no gradient: nothing is ever complete
        return (images.sum(dim=(1, 2, 3)) > 0.5).float() + 0 * images.sum(dim=(1, 2, 3))

    found = integrated_gradients(jumps, torch.ones(1, 1, 1), torch.zeros(1, 1, 1), **{**OPTIONS, "max_steps": 300})
    assert (found.steps, found.violation) == (300, 1.0)
    flat = integrated_gradients(
        lambda images: 0 * images.sum(dim=(1, 2, 3)), torch.ones(1, 1, 1), torch.zeros(1, 1, 1), **OPTIONS
    )
    assert (flat.steps, flat.violation) == (64, 0.0)


def test_a_net_may_change_its_input_in_place():
    def score(images):
        return images.mul_(2).relu_().sum(dim=(1, 2, 3))

    found = integrated_gradients(score, torch.tensor([[[3.0, 5.0]]]), torch.zeros(1, 1, 2), **OPTIONS)
    assert found.values.flatten().tolist() == pytest.approx([6.0, 10.0])


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.floats(0, 1)), min_size=1), st.integers(1, 6))
def test_of_each_class_the_first_that_is_right_and_the_surest_that_is_wrong(rows, most):
    predicted, targets, sure = (np.array(column) for column in zip(*rows, strict=True))
    found = chosen(predicted, targets, sure, most)
    assert len(found) == min(most, len(set(targets.tolist())))
    for label, right, wrong in found:
        rights = [i for i in range(len(rows)) if targets[i] == label == predicted[i]]
        wrongs = [i for i in range(len(rows)) if targets[i] == label != predicted[i]]
        assert right == (rights[0] if rights else None)
        assert wrong == (max(wrongs, key=lambda i: (sure[i], -i)) if wrongs else None)
        assert rights or wrongs


class Detached(nn.Linear):
    def forward(self, images):
        return super().forward(images.detach().flatten(1))


class Rounded(nn.Linear):
    def forward(self, images):
        return super().forward(images.flatten(1)).argmax(dim=1, keepdim=True).expand(-1, 3)


class WithoutGradient(nn.Linear):
    @torch.no_grad()
    def forward(self, images):
        return super().forward(images.flatten(1))


class InPlace(nn.Linear):
    def forward(self, images):
        return super().forward(images.flatten(1).mul_(2).relu_())


@pytest.mark.parametrize("kind", [Detached, Rounded, WithoutGradient])
def test_a_net_without_the_gradient_is_known_before_training(kind):
    reason = _why_no_gradient(kind(4, 3), Classification(3), (1, 2, 2))
    assert reason
    assert "\n" not in reason


def test_a_net_with_the_gradient_or_that_does_not_run_is_left_to_training():
    net, in_place = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(4, 3)), InPlace(4, 3)
    before = torch.get_rng_state()
    assert _why_no_gradient(net, Classification(3), (1, 2, 2)) is None
    assert _why_no_gradient(net, Classification(3), (1, 9, 9)) is None
    assert _why_no_gradient(in_place, Classification(3), (1, 2, 2)) is None
    assert net[1].training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baseline": "white"}, r"baseline is 'white'; expected black or mean"),
        ({"steps": 0}, r"steps is 0; expected a whole number of at least 1"),
        ({"max_classes": True}, r"max_classes is True"),
        ({"steps": 100, "max_steps": 50}, r"max_steps is 50; expected at least probe\.saliency\.steps, 100"),
        ({"tolerance": 1}, r"tolerance is 1; expected a number between 0 and 1"),
    ],
)
def test_odd_arguments_are_refused(options, message):
    with pytest.raises(ConfigError, match=rf"^probe\.saliency\.{message}"):
        Saliency(**options)


def test_the_scale_is_shared_symmetric_and_not_that_of_a_single_pixel():
    values = np.zeros((10, 50))
    values[0, :100] = -1.0
    assert scale_limit([values]) == 1.0
    one = np.zeros((10, 50))
    one[3, 3] = -7.0
    assert scale_limit([one]) == 7.0  # where all else is 0 there is no other scale
    assert scale_limit([np.zeros((2, 2))]) == 1.0

    image = np.zeros((4, 4, 3), dtype=np.uint8)
    assert _seen(np.ones((224, 100))).shape == (112, 50)
    checks = np.indices((448, 448)).sum(axis=0) % 2 * 2.0 - 1  # what cancels is not shown as strong
    assert np.abs(_seen(checks)).max() < 1e-6
    plus_minus = np.array([[1.0, -1.0], [0.0, 0.0]]).repeat(2, axis=0).repeat(2, axis=1)
    rows = [("a", [Explained(image, plus_minus, "caption"), None])]
    png = saliency_sheet("title", "note", rows, ("first", "second"))
    pixels = np.array(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    red = (pixels[..., 0] - pixels[..., 2]) > 60
    blue = (pixels[..., 2] - pixels[..., 0]) > 60
    assert red.sum() == blue.sum() > 1000


@pytest.mark.slow
@pytest.mark.ci
def test_a_linear_run_s_numbers_are_those_of_its_weights(compose, tiny, tmp_path, rebuilt, monkeypatch):
    kept = {}
    original = Saliency._report

    def report(self, trainer, pl_module, found):
        kept.update(found)
        original(self, trainer, pl_module, found)

    monkeypatch.setattr(Saliency, "_report", report)
    data = [text for text in tiny if not text.startswith("model")]
    for baseline in ("black", "mean"):
        folder = tmp_path / baseline
        words = ["model=linear", "probe=saliency", f"probe.saliency.baseline={baseline}", "logger=none"]
        record = train(compose(*data, *words, run_dir=folder))
        datamodule, classifier, best = rebuilt(record, folder)
        classifier.load_state_dict(best)
        images = datamodule.normalize(datamodule.splits.test.images)
        black = datamodule.normalize(torch.zeros_like(datamodule.splits.test.images))[0]
        start = black if baseline == "black" else torch.zeros_like(black)
        [weight] = [p for p in classifier.net.parameters() if p.ndim == 2]
        with torch.no_grad():
            labels = classifier.net(images).argmax(dim=1)
            for index, attribution in kept.items():
                expected = weight[labels[index]].view(images.shape[1:]) * (images[index] - start)
                torch.testing.assert_close(attribution.values, expected.double(), rtol=1e-4, atol=1e-6)
        assert record.metrics["saliency/violation"] < 1e-5
        assert record.metrics["saliency/images"] == len(kept)
        assert "saliency/attributions.png" in record.files
