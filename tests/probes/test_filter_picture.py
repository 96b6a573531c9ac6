"""The picture that a run logs: the colours of the comparison's page, and no carpet of hundreds of filters."""

import numpy as np
import pytest
import torch

from vision_baselines.plots.filters import mosaic
from vision_baselines.plots.sheet import Sheet
from vision_baselines.probes import filters as module
from vision_baselines.probes.filters import labelled_grid


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "shape",
    [
        *((1, 1, 3, 3), (9, 2, 1, 7), (70, 1, 4, 4)),
        *(
            pytest.param(shape, marks=[pytest.mark.slow, pytest.mark.ci])
            for shape in ((32, 3, 5, 5), (64, 1, 28, 28), (512, 1, 28, 28))
        ),
    ],
)
def test_a_runs_picture_holds_the_mosaic_of_the_page_and_says_what_is_left_out(shape, monkeypatch):
    filters = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    titles = []
    write = Sheet.write

    def noted(self, top, left, text, **look):
        titles.append(text)
        write(self, top, left, text, **look)

    monkeypatch.setattr(Sheet, "write", noted)
    picture = labelled_grid(filters, "before training").permute(1, 2, 0).numpy()

    shown = filters[: module.MOST_FILTERS].numpy()
    drawn = mosaic(shown, float(abs(shown).max()))[..., :3].reshape(-1, 3)
    assert titles[0].startswith(f"64 of {shape[0]} first" if shape[0] > 64 else f"{shape[0]} first")
    assert {tuple(pixel) for pixel in np.unique(drawn, axis=0)} - {(0, 0, 0)} <= {
        tuple(pixel) for pixel in np.unique(picture.reshape(-1, 3), axis=0)
    }


def test_filters_of_zeros_are_drawn():
    assert labelled_grid(torch.zeros(2, 1, 3, 3), "before training").dtype == torch.uint8
