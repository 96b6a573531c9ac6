"""What probe=features leaves on the comparison's page: its picture, and trained beside untrained in one figure."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from vision_baselines.comparison.collection import collect
from vision_baselines.comparison.table import tabulate
from vision_baselines.plots.hierarchy import HIERARCHY_FILE, read_hierarchies
from vision_baselines.plots.measured import beside_note, curve_figure, curve_names
from vision_baselines.runs.record import Curve


def curve(*y):
    return Curve(x=[1.0, 2.0], y=list(y), x_label="convolution", y_label="side, px")


def png(side=4):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((side, side, 3), dtype=np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def featured(train_tiny, tmp_path_factory):
    """``featured(folder)``: a table of a run with curves of features and a picture, without training it again."""
    source = tmp_path_factory.mktemp("featured") / "run"
    record = train_tiny(source, "trainer.max_epochs=1")

    def make(folder, content, listed=True):
        record.curves = {
            "features/effective_field": curve(3.0, 7.0),
            "features/effective_field_untrained": curve(2.5, 9.0),
            "features/effective_field_theoretical": curve(3.0, 14.0),
        }
        record.files = [HIERARCHY_FILE] if listed else []
        record.write(folder / "run")
        (folder / "run" / "features").mkdir()
        (folder / "run" / HIERARCHY_FILE).write_bytes(content)
        return tabulate(collect([folder]))

    return make


def test_untrained_and_theoretical_are_in_the_figure_of_the_trained_net_and_inside_its_axes(featured, tmp_path):
    table = featured(tmp_path, png())
    assert curve_names(table.rows) == ["features/effective_field"]
    assert beside_note(table.rows, "features/effective_field") == (
        " Dashed is the untrained net; dotted is the theoretical value."
    )
    axes = curve_figure(table, table.rows, "features/effective_field").axes[0]
    drawn = {line.get_linestyle(): list(line.get_ydata()) for line in axes.lines}

    assert drawn == {"-": [3, 7], "--": [2.5, 9], ":": [3, 14]}
    assert axes.get_ylim()[0] < 2.5
    assert axes.get_ylim()[1] > 14


@pytest.mark.parametrize(
    ("content", "listed", "shown"),
    [(png(), True, 1), (png(), False, 0), (b"no picture", True, 0), (png() + bytes(400_000), True, 0)],
)
def test_a_picture_is_shown_where_the_record_lists_it_and_it_is_a_png_of_bounded_size(
    featured, tmp_path, content, listed, shown
):
    assert len(read_hierarchies(featured(tmp_path, content, listed).rows)) == shown
