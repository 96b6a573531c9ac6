"""Mean and deviation of each channel agree with torch's own, and figures of other data are said."""

from __future__ import annotations

import pytest
import torch

from vision_baselines.data import channel_statistics as module
from vision_baselines.data.channel_statistics import channel_statistics, warn_if_far_off
from vision_baselines.data.sources import Circles, Digits, Noise
from vision_baselines.seeding import generator

STATED = {
    "digits": (Digits(), [0.3046], [0.3180]),
    "noise": (Noise(), [0.5020], [0.1255]),
    "circles": (Circles(), [0.5009, 0.5011], [0.2931, 0.2905]),
}


@pytest.fixture
def images():
    draws = generator(0, "test")
    dark = torch.randint(0, 40, (30, 1, 6, 5), dtype=torch.uint8, generator=draws)
    bright = torch.randint(90, 256, (30, 1, 6, 5), dtype=torch.uint8, generator=draws)
    return torch.cat([dark, bright], dim=1)


def test_they_are_torchs_own_mean_and_deviation(images):
    floats = (images.double() / 255).transpose(0, 1).flatten(1)
    mean, std = channel_statistics(images)
    torch.testing.assert_close(torch.tensor(mean, dtype=torch.float64), floats.mean(1))
    torch.testing.assert_close(torch.tensor(std, dtype=torch.float64), floats.std(1, correction=0))


def test_very_many_images_are_sampled_evenly(images, monkeypatch):
    monkeypatch.setattr(module, "_MOST_VALUES", images.numel() // 3)
    assert channel_statistics(images) == channel_statistics(images[::3].clone())


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n == "circles" else [pytest.mark.slow, pytest.mark.ci]) for n in STATED]
)
def test_what_a_config_states_is_what_the_training_split_has(compose, name):
    source, mean, std = STATED[name]
    cfg = compose(f"data={name}")
    assert (list(cfg.data.mean), list(cfg.data.std)) == (mean, std)
    measured = channel_statistics(source.load().train.images)
    half_a_unit = 5e-5 if name != "noise" else 5e-4  # noise states the figures of its distribution
    assert measured[0] == pytest.approx(mean, abs=half_a_unit)
    assert measured[1] == pytest.approx(std, abs=half_a_unit)


def test_figures_of_other_data_are_said_with_the_right_ones(images, caplog):
    mean, std = ([round(value, 2) for value in values] for values in channel_statistics(images))
    warn_if_far_off(images, mean=mean, std=std)
    assert not caplog.messages
    warn_if_far_off(images, mean=[mean[0], mean[1] + 0.03], std=std)
    [message] = caplog.messages
    assert message.startswith(f"data.mean and data.std are [{mean[0]},{mean[1] + 0.03:.4g}] and [{std[0]},{std[1]}]; ")


def test_what_is_said_can_be_put_on_the_command_line(images, caplog):
    warn_if_far_off(images, mean=[0.5, 0.5], std=[0.5, 0.5])
    figures, _, remedy = caplog.messages[0].split("; the training images have ")[1].partition(": ")
    assert remedy == "data.mean=auto data.std=auto takes these"
    overrides = dict(word.split("=") for word in figures.split())
    caplog.clear()
    stated = {key: [float(n) for n in value.strip("[]").split(",")] for key, value in overrides.items()}
    warn_if_far_off(images, mean=stated["data.mean"], std=stated["data.std"])
    assert not caplog.messages


@pytest.mark.slow
@pytest.mark.ci
def test_a_data_module_measures_the_whole_data_whatever_is_kept_of_it(compose, caplog):
    from vision_baselines.training import build

    build.datamodule(compose("data.classes=[0,1]", "data.num_classes=2")).setup()
    assert not caplog.messages
    build.datamodule(compose("data.mean=[0.1307]", "data.std=[0.3081]")).setup()
    assert caplog.messages == [
        "data.mean and data.std are [0.1307] and [0.3081]; the training images have data.mean=[0.3046] data.std=[0.318]"
        ": data.mean=auto data.std=auto takes these"
    ]
