"""The film of filters: every n-th epoch on one scale, the same after a kill, and nothing else about the run changed."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import Callback
from torch import nn

from vision_baselines.errors import ConfigError
from vision_baselines.plots.filter_film import film_gif, film_sheet
from vision_baselines.probes.filters import MOST_FILMED, FilterPictures

FILES = ("filters_film.gif", "filters_film.png")


class FallsOver(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, *rest):
        if trainer.global_step == self.step:
            raise RuntimeError("the roof fell in")


def shown(folder, events):
    """The run's pictures in TensorBoard: tag, step and bytes."""
    accumulator = events(folder)
    return {
        tag: [(event.step, event.encoded_image_string) for event in accumulator.Images(tag)]
        for tag in accumulator.Tags()["images"]
        if tag.startswith("filters/")
    }


@pytest.fixture(scope="module")
def filmed(train_tiny, tmp_path_factory):
    """A finished run with a film: record and folder."""
    from vision_baselines.training import build

    folder, original = tmp_path_factory.mktemp("filmed") / "run", build.callbacks
    build.callbacks = lambda cfg: [*original(cfg), FilterPictures(every_n_epochs=1)]
    try:
        return train_tiny(folder, "logger=tensorboard"), folder
    finally:
        build.callbacks = original


@pytest.mark.slow
@pytest.mark.ci
def test_a_film_is_left_and_listed_and_the_weights_are_those_of_the_run_without(filmed, probed, events):
    record, folder = filmed
    assert set(FILES) <= set(record.files)
    assert record.final_weights_sha256 == probed[0].final_weights_sha256
    with Image.open(folder / "filters_film.gif") as film:
        assert film.n_frames == 3
    last = [epoch.step - 1 for epoch in record.history]
    assert [step for step, _ in shown(folder, events)["filters/film"]] == last


@pytest.mark.slow
@pytest.mark.parametrize(
    ("every", "step"),
    [pytest.param(1, 8, marks=[pytest.mark.ci]), *((3, 8), (3, 7), (1, 3), (2, 11), (1000, 8))],
)
def test_a_run_that_was_killed_and_resumed_has_the_same_film(
    filmed, train_tiny, tmp_path, with_callback, events, every, step
):
    more = ["logger=tensorboard", f"checkpoint_every_n_steps={every}"]
    with_callback(FilterPictures(every_n_epochs=1), FallsOver(step))
    with pytest.raises(RuntimeError, match="the roof fell in"):
        train_tiny(tmp_path / "run", *more)
    with_callback(FilterPictures(every_n_epochs=1), FallsOver(-1))
    resumed = train_tiny(tmp_path / "run", *more)

    assert resumed.attempts == 2
    for name in FILES:
        assert (tmp_path / "run" / name).read_bytes() == (filmed[1] / name).read_bytes()
    assert shown(tmp_path / "run", events) == shown(filmed[1], events)


def trained(callback, weights, epochs, *, saved=()):
    """`callback` after so many epochs on a net whose weights are given by epoch; saved and restored at `saved`."""
    net = nn.Sequential(nn.Conv2d(1, len(weights[0]), 2))
    module = SimpleNamespace(net=net)
    for epoch in range(epochs + 1):
        trainer = SimpleNamespace(
            current_epoch=epoch - 1,
            global_step=6 * epoch,
            loggers=[],
            callbacks=[],
            datamodule=SimpleNamespace(image_shape=(1, 8, 8)),
        )
        net[0].weight.data = weights[epoch].clone()
        if epoch == 0:
            callback.on_train_start(trainer, module)
        else:
            callback.on_train_epoch_end(trainer, module)
        if epoch in saved:
            state = callback.state_dict()
            callback = FilterPictures(callback.every_n_epochs)
            callback.load_state_dict(state)
    return callback


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("epochs", [1, 4, 7])
def test_frames_are_of_every_nth_epoch_and_the_last_wherever_the_run_was_resumed(n, epochs):
    weights = torch.randn(epochs + 1, 20, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    whole = trained(FilterPictures(n), weights, epochs)
    resumed = trained(FilterPictures(n), weights, epochs, saved=range(0, epochs, 2))

    assert sorted(whole.frames) == sorted({*range(0, epochs + 1, n), epochs})
    for at, frame in whole.frames.items():
        assert torch.equal(frame, weights[at, :MOST_FILMED])
    assert resumed.frames.keys() == whole.frames.keys()
    assert all(torch.equal(resumed.frames[at], frame) for at, frame in whole.frames.items())


def test_without_the_option_nothing_is_kept_or_saved():
    callback = trained(FilterPictures(), torch.zeros(3, 2, 1, 2, 2), 2)
    assert (callback.frames, callback.state_dict(), callback.film()) == ({}, {}, {})


def test_a_net_without_filters_is_named_and_weights_that_are_not_finite_make_no_frame(caplog):
    weights = torch.tensor([1.0, float("nan"), 2.0])[:, None, None, None, None].expand(3, 2, 1, 2, 2)
    assert sorted(trained(FilterPictures(1), weights, 2).frames) == [0, 2]

    trainer = SimpleNamespace(
        global_step=0, current_epoch=0, loggers=[], datamodule=SimpleNamespace(image_shape=(1, 8, 8))
    )
    callback, module = FilterPictures(1), SimpleNamespace(net=nn.Sequential(nn.ReLU()))
    with caplog.at_level("INFO"):
        callback.on_train_start(trainer, module)
        callback.on_train_epoch_end(trainer, module)
    assert callback.film() == {}
    assert "the first layer of this net has no filters" in caplog.text


def test_another_interval_after_a_resume_is_said(caplog):
    state = trained(FilterPictures(2), torch.zeros(4, 2, 1, 2, 2), 3).state_dict()
    FilterPictures(3).load_state_dict(state)
    assert "every_n_epochs was 2 and is 3" in caplog.text


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "two", [1]])
def test_an_interval_that_is_none_is_refused(value):
    with pytest.raises(
        ConfigError, match=r"callbacks\.filters\.every_n_epochs is .*; expected null, or a whole number"
    ):
        FilterPictures(value)


@pytest.mark.parametrize(
    ("shape", "frames"), [((1, 1, 1, 1), 1), ((16, 3, 5, 5), 2), ((3, 2, 7, 1), 13), ((16, 1, 28, 28), 30)]
)
def test_all_frames_are_as_large_and_share_a_scale_and_the_sheet_has_at_most_13_columns(shape, frames):
    drawn = {3 * i: np.full(shape, i, dtype=np.float32) for i in range(frames)}
    with Image.open(io.BytesIO(film_gif(drawn))) as film:
        assert (film.n_frames, film.info["loop"]) == (frames, 0)
    axes = film_sheet(drawn).axes[0]
    columns = [int(label.get_text()) for label in axes.get_xticklabels()]
    assert columns[0] == 0
    assert columns[-1] == 3 * (frames - 1)
    assert len(columns) <= 13
    assert len(axes.get_yticklabels()) == shape[0]


def test_the_seconds_that_a_frame_takes_are_no_training(run_tiny, monkeypatch):
    from vision_baselines.probes import filters
    from vision_baselines.training import history

    now = [0.0]

    def perf_counter():
        now[0] += 0.001
        return now[0]

    def slow(*given):
        now[0] += 1000.0
        return drawn(*given)

    drawn = filters.labelled_grid
    monkeypatch.setattr(filters, "labelled_grid", slow)
    for module in (filters, history):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=perf_counter, time=lambda: 0.0))
    record = run_tiny("film", "callbacks.filters.every_n_epochs=1", "trainer.max_epochs=2", pictures=True)
    assert now[0] > 4000  # before training, after each of two epochs, and of the best one
    assert 0 < record.timings.fit_s < 100
    assert record.timings.epoch_fit_s[-1] < 100
    assert record.timings.images_per_s > 1
