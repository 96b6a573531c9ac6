"""A confusion matrix as pixels shows what the page's figure shows: a cell's share as its colour, numbers, names."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image, ImageColor

from vision_baselines.plots import confusion_picture
from vision_baselines.plots.confusion import Confusion, confusion_figure, has_counts, margins, names_of
from vision_baselines.plots.confusion_picture import confusion_png, confusions_png
from vision_baselines.plots.export import PNG_DPI, png
from vision_baselines.plots.sheet import Sheet
from vision_baselines.plots.style import PALETTE, house_style

ODD = ["", " ", "$x_1$", "a\u202eb", "日本語", "🙂", "<b>", "ä" * 40, "1", "-"]
BLUE = np.array(ImageColor.getrgb(PALETTE[0]))


def matrix(size, seed=0, names=None):
    draws = np.random.RandomState(seed)
    counts = np.diag(draws.randint(0, 50, size)) + draws.poisson(0.3, (size, size))
    return Confusion(f"model=m{seed}", counts, tuple(names or map(str, range(size))), 1)


def opened(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


@pytest.mark.parametrize("size", [1, 2, 3, 10, 12, 13, 30, 31, 100, 501])
def test_a_picture_has_the_size_of_the_figure(size):
    with house_style():
        figure = opened(png(confusion_figure(matrix(size))))
    assert np.abs(np.subtract(opened(confusion_png(matrix(size))).shape, figure.shape)).max() <= 3


@pytest.mark.parametrize("size", [1, 2, 3, 10, 12, 13, 30, 31, 100])
def test_the_colour_of_a_cell_is_the_root_of_its_share(size):
    confusion = matrix(size, seed=size)
    side = round(margins(confusion).side * PNG_DPI)
    pixels = confusion_picture._matrix(confusion, side).astype(int)
    assert pixels.shape == (side, side, 3)
    places = [(true, predicted) for true in range(size) for predicted in range(size)]
    for true, predicted in random.Random(size).sample(places, min(len(places), 60)):
        y, x = (int((place + 0.5) * side / size) for place in (true, predicted))
        share = confusion.counts[true, predicted] / max(confusion.counts[true].sum(), 1)
        assert np.abs(pixels[y, x] - (255 + (BLUE - 255) * np.sqrt(share))).max() <= 1, (true, predicted)


def test_of_more_classes_than_pixels_no_share_is_lost():
    for size in (400, 470, 499, 500, 501, 999, 3_000):
        counts = np.zeros((size, size), dtype=np.int64)
        counts[random.Random(size).randrange(size), random.Random(-size).randrange(1, size - 1)] = 1
        confusion = Confusion("a", counts, tuple(map(str, range(size))), 1)
        pixels = confusion_picture._matrix(confusion, round(margins(confusion).side * PNG_DPI))
        assert 1 <= (pixels == BLUE).all(axis=2).sum() <= 4, size


@pytest.mark.parametrize("size", [2, 10, 12, 13, 30, 31])
def test_every_count_and_name_is_written_once_where_it_belongs(size, monkeypatch):
    put = []
    monkeypatch.setattr(Sheet, "put", lambda _self, y, x, text, **_options: put.append((y, x, text)))
    confusion = matrix(size, names=[f"c{place}" for place in range(size)])
    confusion_png(confusion)
    words = [text for *_, text in put]
    names = [f"c{place}" for place in range(size)] if size <= 30 else []
    assert names_of(confusion) == names
    numbers = [str(n) for n in confusion.counts.flatten() if n] if size <= 12 else []
    assert has_counts(confusion) is (size <= 12)
    assert sorted(words) == sorted([*names, *names, *numbers, "predicted", "true"])
    rows = [y for y, x, text in put if text in names and x < margins(confusion).left * PNG_DPI]
    assert rows == sorted(rows)


@pytest.mark.parametrize("size", [1, 3, 12, 30])
def test_names_of_any_kind_are_drawn_without_a_warning(size):
    names = [ODD[place % len(ODD)] for place in range(size)]
    drawn = opened(confusion_png(matrix(size, names=names)))
    assert (drawn != 255).any(axis=2).mean() > 0.002


def test_a_class_that_never_occurs_is_a_white_row():
    counts = np.array([[3, 1], [0, 0]])
    confusion = Confusion("a", counts, ("x", "y"), 1)
    pixels = confusion_picture._matrix(confusion, 100)
    assert (pixels[60:99, 1:99] == 255).mean() > 0.95


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_matrices_stand_three_in_a_row_each_as_by_itself(count):
    confusions = [matrix(3 + place, seed=place) for place in range(count)]
    sheet, one = opened(confusions_png(confusions)), opened(confusion_png(confusions[-1]))
    columns, rows = min(3, count), -(-count // 3)
    width, height = sheet.shape[1] // columns, sheet.shape[0] // rows
    assert (sheet.shape[1] % columns, sheet.shape[0] % rows) == (0, 0)
    top = sheet.shape[0] - height + confusion_picture._TITLE_PX
    left = (count - 1) % 3 * width
    part = sheet[top : top + one.shape[0], left : left + one.shape[1]]
    assert np.abs(part - one).mean() < 2  # each has colours of its own, of which there are 256


@pytest.mark.parametrize("size", [2, 6, 13, 30])
def test_long_names_that_differ_in_their_middles_stay_apart(size):
    shown = names_of(matrix(size, names=[f"experiment_2024_run_{place:02}_left_eye" for place in range(size)]))
    assert len(set(shown)) == size
    assert max(map(len, shown)) <= 11
