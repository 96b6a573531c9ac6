"""The hierarchy: patches are the strongest of all, nothing of the net is changed, and what cannot be is said."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from vision_baselines.analysis.conv_units import Box, windows
from vision_baselines.errors import ConfigError
from vision_baselines.probes.feature_passes import Pictures, study
from vision_baselines.probes.feature_pictures import _framed
from vision_baselines.probes.features import Features
from vision_baselines.training import build
from vision_baselines.training.run import train

TINY = ["probe=features", "probe.features.ascent_steps=2", "probe.features.max_channels=2", "trainer.max_epochs=1"]


@pytest.fixture(scope="module")
def seen(train_tiny, tmp_path_factory):
    """A finished tiny run with the probe: its record and its folder."""
    folder = tmp_path_factory.mktemp("features") / "run"
    return train_tiny(folder, *TINY, "logger=tensorboard"), folder


def pictures(folder):
    return {path.name: path.read_bytes() for path in (folder / "features").iterdir()}


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_has_pictures_curves_and_numbers_of_every_convolution(seen, events):
    record, folder = seen
    names = set(pictures(folder))

    assert {"hierarchy.png", "by_depth.png", "patches_01_features.0.0.png", "patches_02_features.1.0.png"} <= names
    assert sum(name.startswith("maps_") for name in names) == 3
    assert {f"features/{name}" for name in names} <= set(record.files)
    for content in pictures(folder).values():
        assert min(Image.open(io.BytesIO(content)).size) > 100
    measures = {"orientation", "class_selectivity", "shift_invariance", "effective_field"}
    assert {f"features/{m}{kind}" for m in measures for kind in ("", "_untrained")} <= set(record.curves)
    assert record.curves["features/effective_field_theoretical"].y == [3.0, 8.0]
    assert record.curves["features/orientation"].x == [1.0, 2.0]
    assert record.metrics["features/orientation_last"] == pytest.approx(record.curves["features/orientation"].y[-1])
    assert {"features/hierarchy", "features/orientation"} <= set(events(folder).Tags()["images"])


@pytest.mark.slow
@pytest.mark.ci
def test_patches_are_those_of_a_plain_search_through_all_test_images(seen, rebuilt):
    record, folder = seen
    datamodule, classifier, best = rebuilt(record, folder)
    classifier.load_state_dict(best)
    images = datamodule.splits.test.images
    conv = classifier.net.features[1][0]
    with torch.no_grad():
        answers = conv(classifier.net.features[0](datamodule.normalize(images)))
    from vision_baselines.analysis.conv_units import conv_units

    units = [unit for unit in conv_units(classifier.net, (1, 8, 8)) if unit.name == "features.1.0"]
    asked = Pictures(images, datamodule.splits.test.target, 10, 4, datamodule.normalize)
    [found] = study(classifier.net, units, asked, (1, 8, 8))

    for channel in range(3):
        expected = sorted(((float(a[channel].max()), i) for i, a in enumerate(answers)), key=lambda pair: -pair[0])[:9]
        assert found.strongest.values[channel].tolist() == pytest.approx([value for value, _ in expected])
        assert found.strongest.images[channel].tolist() == [image for _, image in expected]
        for value, image, row, column in zip(
            *(getattr(found.strongest, of)[channel] for of in ("values", "images", "rows", "columns")), strict=True
        ):
            assert float(answers[image, channel, row, column]) == pytest.approx(float(value))


@pytest.mark.slow
@pytest.mark.ci
def test_the_run_is_the_run_without_and_the_probe_draws_from_no_global_generator(seen, train_tiny, tmp_path):
    without = train_tiny(tmp_path / "run", "trainer.max_epochs=1", "logger=tensorboard")

    assert without.final_weights_sha256 == seen[0].final_weights_sha256
    assert without.weights_sha256 == seen[0].weights_sha256
    assert without.metrics.items() <= seen[0].metrics.items()


@pytest.mark.slow
@pytest.mark.ci
def test_a_finished_run_that_is_asked_later_gets_the_same_pictures(seen, train_tiny, tmp_path):
    train_tiny(tmp_path / "run", "trainer.max_epochs=1")
    record = train_tiny(tmp_path / "run", *TINY)

    assert pictures(tmp_path / "run") == pictures(seen[1])
    assert record.curves == seen[0].curves
    assert {name for name in record.files if name.startswith("features/")} == {
        name for name in seen[0].files if name.startswith("features/")
    }


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_channels": 0}, "probe.features.max_channels is 0; expected a whole number of at least 1"),
        ({"max_images": True}, "probe.features.max_images is True; expected a whole number of at least 1"),
        ({"ascent_steps": -1}, "probe.features.ascent_steps is -1; expected a whole number of at least 0"),
        ({"images": [3, 1.5]}, "probe.features.images is 1.5; expected a whole number of at least 0"),
        ({"images": []}, r"probe.features.images is \[\]; expected a list of at least one, or null"),
        ({"layers": "conv1"}, "probe.features.layers is 'conv1'; expected a list of at least one, or null"),
    ],
)
def test_what_is_out_of_range_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        Features(**arguments)


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "probe.features.layers=[features.0.1]",
            "names 'features.0.1'; expected convolutions of the net: features.0.0",
        ),
        ("probe.features.images=[20]", "has 20; the test split has images 0 to 19"),
    ],
)
def test_a_layer_or_an_image_that_is_not_there_is_refused_before_training(run_tiny, override, message):
    with pytest.raises(ConfigError, match=message):
        run_tiny("run", *TINY, override)


@pytest.mark.slow
@pytest.mark.ci
def test_a_net_without_convolutions_gets_a_line_and_nothing_else(compose, tiny, caplog, tmp_path):
    data = [text for text in tiny if not text.startswith("model")]
    with caplog.at_level("INFO"):
        record = train(compose(*data, "model=linear", "probe=features", "logger=none"))

    assert record.finished
    assert record.curves == {}
    assert not (tmp_path / "outputs" / "run" / "features").exists()
    assert "probe.features: nothing is done, the net has no convolution" in caplog.text


@pytest.mark.slow
def test_a_run_that_starts_from_anothers_weights_has_no_untrained_net(run_tiny, seen):
    record = run_tiny("run", *TINY, f"init_from={seen[1] / 'checkpoints' / 'best.ckpt'}")

    assert "features/orientation" in record.curves
    assert not [name for name in record.curves if name.endswith("_untrained")]


class Shared(nn.Module):
    """One convolution called twice, one that is grouped, one never called, and a ReLU that works in place."""

    def __init__(self):
        super().__init__()
        self.stem, self.conv = nn.Conv2d(1, 4, 3, stride=2), nn.Conv2d(4, 4, (3, 2), padding=1, groups=2)
        self.unused, self.act, self.head = nn.Conv2d(1, 1, 1), nn.ReLU(inplace=True), nn.Linear(4, 10)

    def forward(self, images):
        x = self.act(self.conv(self.act(self.stem(images))))
        return self.head(self.act(self.conv(x)).mean((2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "bf16-true", "64-true"])
def test_a_users_net_in_any_precision_is_shown_call_by_call(run_tiny, monkeypatch, tmp_path, precision):
    made = build.classifier

    def classifier(cfg):
        result = made(cfg)
        result.net = Shared().to(next(result.net.parameters()).dtype)
        return result

    monkeypatch.setattr(build, "classifier", classifier)
    record = run_tiny("run", *TINY, f"trainer.precision={precision}")

    assert record.curves["features/orientation"].x == [1.0, 2.0, 3.0]
    names = {name for name in pictures(tmp_path / "outputs" / "run") if name.startswith("patches")}
    assert names == {"patches_01_stem.png", "patches_02_conv.png", "patches_03_conv_2.png"}


@given(top=st.integers(-12, 6), left=st.integers(-12, 6), height=st.integers(1, 16), width=st.integers(1, 16))
def test_a_patch_shows_what_the_unit_sees_and_nothing_else(top, left, height, width):
    image, box = torch.full((1, 7, 6), 255.0), Box(top, left, height, width)
    window = windows([box], (7, 6))[0]
    shown = _framed(image, box, window).min(axis=-1) == 255
    rows, columns = np.nonzero(shown)
    seen = {(r, c) for r in range(7) for c in range(6) if 0 <= r - top < height and 0 <= c - left < width}
    assert {(int(r) + window.top, int(c) + window.left) for r, c in zip(rows, columns, strict=True)} == seen
