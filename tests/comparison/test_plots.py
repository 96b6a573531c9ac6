"""Figures: what they are computed from, and that they can be pasted into a page."""

from __future__ import annotations

import io
import re
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib import image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vision_baselines.comparison.collection import Collection, Job, collect
from vision_baselines.comparison.table import tabulate
from vision_baselines.plots.confusion import Confusion, confusion_figure, summed_confusion
from vision_baselines.plots.curves import group_curve, mean_curve
from vision_baselines.plots.export import pixels_png, svg
from vision_baselines.plots.filters import Filters, mosaic, read_filters, shared_limit
from vision_baselines.plots.intervals import accuracy_figure
from vision_baselines.plots.style import WIDTH_IN, Look, add_legend, house_style
from vision_baselines.report.pictures import _by_classes, best_rows, draw
from vision_baselines.runs.record import EpochRow, Parameters, Timings


def table_of(*records, **options):
    return tabulate(
        Collection(tuple(Job(Path(str(n)), f"place{n}", found) for n, found in enumerate(records))), **options
    )


def history(values):
    return [
        EpochRow(epoch=e, step=e, lr=0.1, metrics={"val/acc": v, "train/loss": 1 - v}) for e, v in enumerate(values)
    ]


@pytest.fixture
def small(record):
    """Four groups of one short job each, with every field a picture is made from."""
    return [
        record(
            f"model={model},seed={seed}",
            0.5 + 0.1 * seed,
            history=history([0.2, 0.4, 0.6]),
            confusion=[[3, 1], [0, 4]],
            class_names=["cat", "dog"],
            parameters=Parameters(total=10 * (1 + len(model)), trainable=10),
            timings=Timings(fit_s=2.0 + seed),
        )
        for model in ("a", "bb", "fc")
        for seed in (0, 1, 2)
    ]


@pytest.mark.parametrize("other", [["cow", "dog"], ["cat", "dog", "cow"], None])
def test_curves_of_other_classes_are_drawn_apart(small, record, other):
    pretrained = record("model=pre,seed=0", 0.9, history=history([0.5, 0.7]), class_names=other)
    rows = table_of(*small, pretrained).rows
    found = _by_classes(rows)
    if other is None:  # a record that names no classes: of none is known that it has others
        assert found == [("", list(rows))]
    else:
        assert [of for of, _ in found] == [", classes cat, dog", f", classes {', '.join(other)}"]
        assert [len(members) for _, members in found] == [3, 1]


TITLES = [
    "Accuracy",
    "Validation accuracy over training time, classes 5 - five, 6 - six, 7 - seven, 8 - eight, 9 - nine",
    "WWWW " * 40,
    "Difference to the baseline over " + "W" * 200,
]


@pytest.mark.parametrize("title", TITLES, ids=["short", "long", "wide", "one long word"])
def test_a_title_is_whole_and_above_the_names_and_the_axes(title):
    with house_style():
        figure = Figure(figsize=(WIDTH_IN, 2.0))
        figure.add_subplot()
        add_legend(figure, [("model=a", Look("#000000", "o"))], title)
        drawn = FigureCanvasAgg(figure).get_renderer()
        box, names = figure.texts[0].get_window_extent(drawn), figure.legends[0].get_window_extent(drawn)
        width, height = figure.canvas.get_width_height()
    assert box.x0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height
    assert box.y0 >= names.y1 - 1
    assert names.y0 >= figure.axes[0].get_window_extent(drawn).y1 - 1
    assert ("…" in figure.texts[0].get_text()) == ("W" * 200 in title)


def test_a_band_matches_numpy_where_all_seeds_got_that_far():
    curves = np.random.default_rng(0).random((5, 7))
    found = mean_curve(dict(enumerate(curve)) for curve in curves)

    np.testing.assert_allclose(found.mean, curves.mean(axis=0))
    np.testing.assert_allclose(found.std, curves.std(axis=0, ddof=1))
    assert found.n.tolist() == [5] * 7


def test_a_band_goes_on_with_the_seeds_that_are_left():
    found = mean_curve([{0: 1.0, 1: 2.0}, {0: 3.0}, {0: np.nan}])

    assert (found.mean.tolist(), found.n.tolist()) == ([2.0, 2.0], [2, 1])
    assert found.std.tolist() == pytest.approx([np.sqrt(2), 0.0])


def test_epochs_of_a_group_count_from_zero_as_in_the_record_and_leave_failed_jobs_out(record, failed):
    table = table_of(record("seed=0", history=history([0.5, 0.7])), failed("seed=1", history=history([0.1])))
    found = group_curve(table.rows[0], "val/acc")

    assert (found.epochs.tolist(), found.mean.tolist()) == ([0, 1], [0.5, 0.7])


def test_confusion_is_summed_over_seeds_and_shares_are_of_rows(record):
    records = [
        record(f"seed={s}", confusion=m, class_names=["x", "y"])
        for s, m in enumerate([[[3, 1], [0, 0]], [[1, 3], [0, 0]]])
    ]
    found = summed_confusion(table_of(*records).rows[0])

    assert found.counts.tolist() == [[4, 4], [0, 0]]
    assert found.shares().tolist() == [[0.5, 0.5], [0.0, 0.0]]
    assert found.n == 2


def test_confusion_of_other_classes_is_not_added(record):
    records = [
        record("seed=0", confusion=[[1, 0], [0, 1]], class_names=["x", "y"]),
        record("seed=1", confusion=[[1, 0], [0, 1]], class_names=["y", "x"]),
    ]

    assert summed_confusion(table_of(*records).rows[0]).n == 1


def test_a_mosaic_shows_every_weight_on_the_common_scale():
    weights = np.array([[[[1.0, -1.0], [0.0, 0.5]]]], dtype=np.float32)
    pixels = mosaic(weights, limit=1.0)
    quarter = pixels.shape[0] // 2
    colors = matplotlib.colormaps["RdBu_r"]([1.0, 0.0, 0.5, 0.75], bytes=True)

    shown = pixels[[0, 0, quarter, -1], [0, -1, 0, -1]].astype(int)

    np.testing.assert_allclose(shown, colors, atol=1)  # Matplotlib cuts fractions off, the mosaic rounds


def test_zero_is_grey_in_three_channels_and_gaps_are_transparent():
    pixels = mosaic(np.zeros((9, 3, 5, 5), dtype=np.float32), limit=2.0)

    assert set(map(tuple, pixels.reshape(-1, 4))) == {(128, 128, 128, 255), (0, 0, 0, 0)}


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (40, 1, 28, 28), (5, 2, 7, 3), (32, 3, 11, 11), (3, 1, 200, 100)])
def test_a_mosaic_of_any_shape_becomes_a_png_of_its_size(shape):
    pixels = mosaic(np.ones(shape, dtype=np.float32)[:32], limit=1.0)

    assert image.imread(io.BytesIO(pixels_png(pixels))).shape == pixels.shape


def test_filters_come_from_the_first_seed_that_has_them_and_all_are_counted(tmp_path, record, write):
    write(tmp_path, record("model=a,seed=0"), record("model=a,seed=1"), record("model=a,seed=2"))
    (tmp_path / "model=a,seed=0" / "filters.npy").write_bytes(b"broken")
    np.save(tmp_path / "model=a,seed=1" / "filters.npy", np.full((100, 1, 3, 3), 0.5, dtype=np.float32))
    found = read_filters(tabulate(collect([tmp_path])).rows[0])

    assert (found.seed, found.total, found.weights.shape) == (1, 100, (32, 1, 3, 3))
    assert found.caption() == "32 of 100 filters, 3 × 3 px, 1 ch, seed 1"


def test_a_pickle_in_place_of_filters_is_not_run(tmp_path, record, write):
    write(tmp_path, record("model=a,seed=0"))
    np.save(tmp_path / "model=a,seed=0" / "filters.npy", np.array([print], dtype=object), allow_pickle=True)

    assert read_filters(tabulate(collect([tmp_path])).rows[0]) is None


def test_the_scale_is_shared_and_never_zero():
    made = [Filters("a", 0, np.full((1, 1, 1, 1), w, dtype=np.float32), 1) for w in (0.25, -0.5)]

    assert shared_limit(made) == 0.5
    assert shared_limit([]) == 1.0


@pytest.mark.slow
@pytest.mark.ci
def test_pictures_are_drawn_for_what_there_is_and_only_that(record, small):
    full, bare = draw(table_of(*small)), draw(table_of(record("seed=0")))

    assert [picture.key for picture in full.figures] == [
        "accuracy", "difference", "curves_val", "curves_train", "parameters", "seconds"
    ]  # fmt: skip
    assert list(full.pngs()) == [*(picture.key for picture in full.figures), "confusion"]
    assert [picture.key for picture in bare.figures] == ["accuracy"]
    assert (bare.filters, bare.confusions) == ((), ())


def test_nothing_finished_draws_nothing(failed):
    assert draw(table_of(failed("seed=0"))).pngs() == {}


@pytest.mark.slow
def test_the_same_records_give_the_same_bytes(small):
    one, other = draw(table_of(*small)), draw(table_of(*small))

    assert [picture.svg for picture in one.figures] == [picture.svg for picture in other.figures]
    assert one.pngs() == other.pngs()


@pytest.mark.slow
def test_no_two_figures_share_a_definition_and_every_reference_is_defined(small):
    pictures = draw(table_of(*small))
    svgs = [picture.svg for picture in pictures.figures] + [tile.svg for tile in pictures.confusions]
    ids = [name for markup in svgs for name in re.findall(r' id="([^"]*)"', markup)]

    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|href="#)([^")]*)', "".join(svgs))) <= set(ids)


@pytest.mark.slow
@pytest.mark.ci
def test_svg_is_well_formed_and_takes_its_colours_from_the_page(small):
    drawn = [picture for picture in draw(table_of(*small)).figures if picture.svg]  # the page draws others itself
    assert len(drawn) > 2
    for picture in drawn:
        markup = picture.svg.replace("<svg", '<svg xmlns:xlink="x"', 1)
        ElementTree.fromstring(markup)
        assert "var(--g0)" in markup
        assert "http" not in markup
        assert not re.findall(r"(?:fill|stroke): #", markup)


def test_labels_are_drawn_as_they_are(record):
    labels = ["<script>alert(1)</script>", "a$b$c", "\\frac{1}{0}$", "\"&'", "名前", "%s{0}"]
    records = [record([f"{label}=x", "seed=0"], history=history([0.1, 0.5])) for label in labels]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = table_of(*records, record("_hidden=1,seed=0", history=history([0.1])))
        with house_style():
            vector = svg(accuracy_figure(table), "accuracy")
        curves = next(picture.svg for picture in draw(table).figures if picture.key == "curves_train")
    wanted = {f"{label}=x" for label in labels} | {"_hidden=1"}
    for markup, of in ((vector, "text"), (curves, "title")):
        root = ElementTree.fromstring(markup.replace("<svg", '<svg xmlns:xlink="x"', 1))
        assert wanted <= {(element.text or "").partition("\n")[0] for element in root.iter(of)}
        assert not list(root.iter("script"))


def test_what_shows_a_group_says_whose_it_is_and_what_it_shows(record):
    table = table_of(*(record(f"model={m},seed=0", history=history([0.1, 0.5])) for m in ("a", "b")))
    found = {picture.key: picture.svg for picture in draw(table).figures}

    for key in ("curves_val", "curves_train"):
        assert set(re.findall(r'data-group="(\d+)"', found[key])) == {"0", "1"}
        assert not re.findall(r"<g id=", found[key])
    assert "<title>model=b\n(epoch, from 0)\n0: 10.00%\n1: 50.00%</title>" in found["curves_val"]


def test_a_logarithmic_axis_is_labelled_with_plain_numbers_and_says_that_it_is_one(record):
    losses = [record(f"seed={s}", history=history([-1.0, 0.9, 0.99, 0.999])) for s in (0, 1)]
    found = {picture.key: picture.svg for picture in draw(table_of(*losses)).figures}
    labels = re.findall(r">([^<>]+)</text>", found["curves_train"])

    assert {"0.001", "0.01", "0.1", "1", "training loss, logarithmic"} <= set(labels)
    assert "logarithmic" not in found["curves_val"]
    assert "$" not in "".join(labels)


@pytest.mark.slow
def test_matplotlibs_settings_are_as_before_and_pyplot_is_not_loaded(small):
    before = dict(matplotlib.rcParams)
    draw(table_of(*small))

    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_of_many_groups_the_best_and_the_baseline_are_shown_in_table_order(record):
    records = [record(f"model=m{i},seed=0", i / 20) for i in range(10)] + [record("model=fc,seed=0", 0.0)]

    assert [row.label for row in best_rows(table_of(*records), 3)] == ["model=fc", "model=m7", "model=m8", "model=m9"]


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 10, 25, 60])
def test_confusion_of_any_number_of_classes_is_drawn(record, classes):
    counts = np.eye(classes, dtype=int).tolist()
    found = draw(table_of(record("seed=0", confusion=counts, class_names=[f"class {i}" for i in range(classes)])))

    assert "<svg" in found.confusions[0].svg
    assert ("class 1" in found.confusions[0].svg) is (classes <= 30)


def test_a_matrix_of_many_classes_is_drawn_in_no_more_cells_than_a_picture_shows(monkeypatch):
    drawn = []
    monkeypatch.setattr("matplotlib.axes.Axes.pcolormesh", lambda _self, *data, **_options: drawn.append(data))
    for size in (3, 500, 501, 3_000):
        counts = np.zeros((size, size), dtype=np.int64)
        counts[size - 1, 0] = 1
        confusion_figure(Confusion("a", counts, tuple(map(str, range(size))), 1))
        columns, rows, cells = drawn[-1]
        assert cells.shape == (len(rows) - 1, len(columns) - 1)
        assert len(cells) <= 500
        assert (rows[0], rows[-1]) == (columns[0], columns[-1]) == (0, size)
        assert cells[-1, 0] == cells.sum() == 1  # no share is lost


@pytest.mark.parametrize("matrix", [[[1, 2], [3]], [[10**30, 0], [0, 1]], [[-1, 0], [0, 1]], [[], []]])
def test_a_recorded_matrix_that_is_none_of_counts_is_not_drawn(matrix):
    record = SimpleNamespace(confusion=matrix, class_names=["a", "b"])
    row = SimpleNamespace(counted=[SimpleNamespace(record=record)], label="a")
    assert summed_confusion(row) is None
