"""Moved images: the curve against a slow way to move them, and what it is at no distance."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy

from vision_baselines.errors import ConfigError
from vision_baselines.probes.shift import Shift, metric_by_shift


def moved(image, down, right):
    """An image (C, H, W) moved pixel by pixel, black where nothing came from."""
    result = np.zeros_like(image)
    _, height, width = image.shape
    for y in range(height):
        for x in range(width):
            if 0 <= y - down < height and 0 <= x - right < width:
                result[:, y, x] = image[:, y - down, x - right]
    return result


def test_the_curve_is_that_of_images_moved_pixel_by_pixel_in_four_directions():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (23, 2, 6, 5), dtype=torch.uint8, generator=generator)
    target = torch.randint(0, 3, (23,), generator=generator)
    weights = torch.randn(60, 3, generator=generator)

    def put_out(batch, _=None):
        return batch.flatten(1).float() @ weights

    expected = []
    for px in range(4):
        hits = [
            int(put_out(torch.from_numpy(moved(image.numpy(), down, right))[None]).argmax(1)) == int(label)
            for down, right in [(px, 0), (-px, 0), (0, px), (0, -px)]
            for image, label in zip(images, target, strict=True)
        ]
        expected.append(np.mean(hits))

    new_metric = partial(MulticlassAccuracy, 3, average="micro")
    found = metric_by_shift(put_out, new_metric, images, target, max_px=3, batch_size=5)
    assert found == pytest.approx(expected, abs=1e-6)
    assert len(set(found)) > 1


def test_at_no_distance_it_is_the_test_accuracy_bit_for_bit(probed):
    record, _ = probed
    curve = record.curves["shift/acc"]

    assert curve.y[0] == record.metrics["shift/acc_0px"] == record.metrics["test/acc"]
    assert curve.x == [0, 1, 2, 3, 4]
    assert curve.y == [record.metrics[f"shift/acc_{px}px"] for px in range(5)]


def test_a_run_s_curve_is_that_of_its_net_on_moved_pixels(probed, rebuilt):
    record, folder = probed
    datamodule, classifier, best = rebuilt(record, folder)
    classifier.load_state_dict(best)
    test = datamodule.splits.test
    hits = []
    for down, right in [(2, 0), (-2, 0), (0, 2), (0, -2)]:
        images = torch.from_numpy(np.stack([moved(image.numpy(), down, right) for image in test.images]))
        with torch.no_grad():
            logits = classifier.net(datamodule.normalize(images))
        hits.append((logits.argmax(1) == test.target).float().mean())

    assert record.metrics["shift/acc_2px"] == pytest.approx(float(torch.stack(hits).mean()), abs=1e-6)


@pytest.mark.parametrize("px", [0, -1, 1.5, True, "far"])
def test_a_distance_that_is_none_is_refused(px):
    with pytest.raises(ConfigError, match=r"^probe\.shift\.max_px is .*; expected a whole number of at least 1"):
        Shift(px)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("probe.shift.max_px=8", r"^probe\.shift\.max_px is 8; expected less than an image's shorter side, 8 px"),
        ("data.permute_pixels=true", r"^probe\.shift moves images, which data\.permute_pixels=true takes apart"),
    ],
)
def test_what_cannot_be_moved_is_refused_before_training(run_tiny, override, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        run_tiny("run", "probe=shift", override)
    assert not list((tmp_path / "outputs" / "run" / "checkpoints").glob("*.ckpt"))


@pytest.mark.slow
@pytest.mark.ci
def test_a_limit_on_test_batches_holds_for_moved_images_too(run_tiny):
    options = ["probe=shift", "probe.shift.max_px=1", "data.eval_batch_size=3", "+trainer.limit_test_batches=2"]
    metrics = run_tiny("run", *options).metrics
    assert metrics["shift/acc_0px"] == metrics["test/acc"]
    # sixths of six images, and twenty-fourths of them moved four ways
    assert metrics["shift/acc_0px"] * 6 == pytest.approx(round(metrics["shift/acc_0px"] * 6), abs=1e-5)
    assert metrics["shift/acc_1px"] * 24 == pytest.approx(round(metrics["shift/acc_1px"] * 24), abs=1e-5)


@pytest.mark.parametrize("headline", ["loss", pytest.param("macro_f1", marks=[pytest.mark.slow, pytest.mark.ci])])
def test_it_measures_whatever_decides(run_tiny, headline):
    mode = "min" if headline == "loss" else "max"
    options = ["task.metrics=[accuracy,macro_f1]", f"task.headline={headline}", f"task.mode={mode}"]
    record = run_tiny("run", "probe=shift", "probe.shift.max_px=1", *options)
    assert record.metrics[f"shift/{headline}_0px"] == pytest.approx(record.metrics[f"test/{headline}"], rel=1e-6)
    assert f"shift/{headline}" in record.curves
