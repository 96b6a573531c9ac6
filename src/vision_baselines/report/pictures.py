"""All pictures of a comparison, each drawn once and kept in the two forms that are needed.

A page shows SVG without a legend (it has one of its own, which stays in view, and colours by its style sheet);
TensorBoard shows a PNG that must stand alone, so the legend and the page's colours are added before the second export.
Accuracy shows every group; of many, the other figures show the best and the baseline, since nobody can tell forty
curves apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from matplotlib.figure import Figure

from vision_baselines.analysis.calibration import FEW
from vision_baselines.comparison.formatting import capital, listed, one_line
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.plots.confusion import Confusion, confusion_figure, summed_confusion
from vision_baselines.plots.confusion_picture import confusions_png
from vision_baselines.plots.cost import parameters_figure, seconds_figure
from vision_baselines.plots.curves import curves_figure, timed_curves_figure
from vision_baselines.plots.export import pixels_png, png, svg
from vision_baselines.plots.filters import (
    Filters,
    filters_figure,
    mosaic,
    ramp,
    read_filters,
    scale_in_words,
    shared_limit,
)
from vision_baselines.plots.hierarchy import HIERARCHY_FILE, read_hierarchies
from vision_baselines.plots.interval_rows import accuracy_chart, difference_chart, zero_note
from vision_baselines.plots.intervals import interval_figure
from vision_baselines.plots.measured import (
    beside_note,
    curve_figure,
    curve_names,
    over_difference_figure,
    over_figure,
)
from vision_baselines.plots.reliability import reliability_figure
from vision_baselines.plots.search import search_figures
from vision_baselines.plots.style import OTHER, PALETTE, Look, add_legend, house_style, recolored
from vision_baselines.report.marks import colors_of
from vision_baselines.report.mistakes_page import MistakesSection, mistakes_section

GROUPS_IN_FIGURES = 12
GROUPS_IN_TILES = 6
CHARTS = ("accuracy", "difference")
"""Figures that the page draws itself, so that their rows can be folded and hidden (`report.dots`)."""


@dataclass(frozen=True)
class Picture:
    """A figure for the page (`svg`) and for TensorBoard (`png`); `lines` are those that it has instead of groups."""

    key: str
    title: str
    caption: str
    svg: str
    png: bytes
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tile:
    """One group's part of a picture that has a part per group; `svg` or `png` (and `own_png`) is there."""

    label: str
    caption: str
    svg: str = ""
    png: bytes = b""
    own_png: bytes = b""
    own_limit: float = 0.0


@dataclass(frozen=True)
class Pictures:
    """Everything there was data for; `in_figures` and `in_tiles` are the labels of the groups shown there."""

    figures: tuple[Picture, ...]
    filters: tuple[Tile, ...]
    filters_limit: float
    filters_ramp: tuple[str, ...]
    filters_scales: tuple[str, ...]
    confusions: tuple[Tile, ...]
    hierarchies: tuple[Tile, ...]
    mistakes: MistakesSection | None
    sheets: dict[str, bytes]
    in_figures: tuple[str, ...]
    in_tiles: tuple[str, ...]
    search: tuple[Picture, ...] = ()

    def pngs(self) -> dict[str, bytes]:
        """Every picture for TensorBoard, by name."""
        return {picture.key: picture.png for picture in (*self.figures, *self.search)} | self.sheets


def draw(table: ComparisonTable) -> Pictures:
    """Draw what the records have data for."""
    rows, tiled = best_rows(table, GROUPS_IN_FIGURES), best_rows(table, GROUPS_IN_TILES)
    filters = [found for row in tiled if (found := read_filters(row))]
    matrices = [summed for row in tiled if (summed := summed_confusion(row))]
    mistakes = mistakes_section(tiled, table.reference)
    limit = shared_limit(filters)
    sheets: dict[str, bytes] = {}
    with house_style():
        figures = _figures(table, rows)
        if filters:
            sheets["filters"] = png(filters_figure(filters))
        if matrices:
            sheets["confusion"] = confusions_png(matrices)
        if mistakes is not None:
            sheets |= mistakes.sheets()
        return Pictures(
            figures=tuple(figures),
            filters=tuple(_filter_tile(found, limit) for found in filters),
            filters_limit=limit,
            filters_ramp=() if all(map(_is_coloured, filters)) else ramp(),
            filters_scales=_scales(filters, limit),
            confusions=tuple(_confusion_tile(found, index) for index, found in enumerate(matrices)),
            hierarchies=tuple(
                Tile(label, f"Seed {job.record.seed}: {job.folder.name}/{HIERARCHY_FILE}", png=png)
                for label, job, png in read_hierarchies(tiled)
            ),
            mistakes=mistakes,
            sheets=sheets,
            in_figures=tuple(row.label for row in rows),
            in_tiles=tuple(row.label for row in tiled),
            search=tuple(_search_pictures(table)),
        )


def best_rows(table: ComparisonTable, limit: int) -> list[GroupRow]:
    """Groups with finished jobs, in the order of the table: all, or `limit` and the baseline, the best if ranked."""
    finished = [row for row in table.rows if row.counted]
    if len(finished) <= limit:
        return finished
    kept = {row.label for row in table.best_first()[:limit]} | {table.baseline}
    return [row for row in finished if row.label in kept]


def _figures(table: ComparisonTable, shown: Sequence[GroupRow]) -> Iterator[Picture]:
    metric, validation = table.metric, Metric(table.metric.validation_name)
    title, n, setting = capital(metric.title), _n_note(shown), one_line(table.over or "", 40)
    curve = f"Mean over seeds at each epoch; the band is one standard deviation. {n}"
    cost = f"Mean over seeds; the line is its 95% interval. {n}"
    band = "the band is its 95% interval (Student's t)"
    zero = zero_note(table)
    charts = [accuracy_chart(table), difference_chart(table)]
    figures: list[tuple[str, str, str, Figure | None]] = [
        (chart.key, chart.title, chart.caption, interval_figure(chart)) for chart in charts if chart
    ]
    drawn: dict[str, Sequence[GroupRow]] = {}
    for place, (of, rows) in enumerate(_by_classes(shown)):
        key = f"_{place}" if place else ""
        drawn |= {f"curves_{name}{key}": rows for name in ("val", "val_by_second", "train")}
        figures += [
            (f"curves_val{key}", capital(validation.title) + of, curve, curves_figure(table, rows, validation.name)),
            (
                f"curves_val_by_second{key}",
                f"{capital(validation.title)} over training time{of}",
                f"The same by the mean second at which an epoch was done. {curve}",
                timed_curves_figure(table, rows, validation.name),
            ),
            (f"curves_train{key}", f"Training loss{of}", curve, curves_figure(table, rows, "train/loss")),
        ]
    figures += [
        ("over", f"{title} over {setting}", f"Mean over seeds at each value; {band}.", over_figure(table)),
        (
            "over_difference",
            f"Difference to the baseline over {setting}",
            f"Mean over pairs of one seed at each value; {band}. {zero}",
            over_difference_figure(table),
        ),
    ]
    figures += [
        (
            key,
            capital(Metric(name).title),
            f"Mean over seeds; {band}.{beside_note(shown, name)} {n}",
            curve_figure(table, shown, name),
        )
        for key, name in _plain_keys(curve_names(shown)).items()
    ]
    figures += [
        (
            "reliability",
            "Calibration",
            "Right answers by confidence, over all runs of a group, in 15 bins of equal width; a mark's area is the "
            f"share of the images in its bin. Bins of fewer than {FEW} images are left out, and so is a group that has "
            "no other. Below the dashed diagonal nets are surer than they are right.",
            reliability_figure(table, shown),
        ),
        ("parameters", f"{title} against parameters", cost, parameters_figure(table, shown)),
        ("seconds", f"{title} against seconds", cost, seconds_figure(table, shown)),
    ]
    legends = {
        "accuracy": [],
        "difference": [],
        "over": [line.label for line in table.series],
        "over_difference": [line.label for line in table.series if line.differences],
    }
    series = [line.label for line in table.series]
    groups, chosen = [row.label for row in table.rows], colors_of(table)
    colors = {label: PALETTE[chosen[label]] if label in chosen else OTHER for label in groups}
    for key, heading, caption, figure in figures:
        if figure is not None:
            vector = "" if key in CHARTS else svg(figure, key)
            own = legends.get(key)
            labels, among = ([row.label for row in drawn.get(key, shown)], groups) if own is None else (own, series)
            looks = {label: Look.of(place) for place, label in enumerate(among)}
            if own is None:
                looks = {label: replace(look, color=colors[label]) for label, look in looks.items()}
            recolored(figure, dict(enumerate(colors.values())))
            add_legend(figure, [(label, looks[label]) for label in labels], heading)
            yield Picture(key, heading, caption, vector, png(figure), tuple(own or ()))


def _search_pictures(table: ComparisonTable) -> Iterator[Picture]:
    for key, title, caption, figure in search_figures(table.search) if table.search else ():
        vector = svg(figure, key)
        add_legend(figure, [], title)
        yield Picture(key, title, caption, vector, png(figure))


def _by_classes(rows: Sequence[GroupRow]) -> list[tuple[str, list[GroupRow]]]:
    """Groups that learn the same classes, and what to call them; curves of other classes have no common scale."""
    records = [row.counted[0].record for row in rows]
    named = all(record.class_names for record in records)
    found: dict[str, list[GroupRow]] = {}
    for row, record in zip(rows, records, strict=True):
        names = listed([one_line(name, 20) for name in record.class_names or []], 5)
        found.setdefault(names if named else str(record.data.num_classes if record.data else ""), []).append(row)
    if len(found) == 1:
        return [("", list(rows))]
    return [(f", {f'classes {key}' if named else f'{key} classes'}", members) for key, members in found.items()]


def _plain_keys(names: Sequence[str]) -> dict[str, str]:
    """A key for each name that may stand in a file's name and in markup; no two are the same."""
    found: dict[str, str] = {}
    for name in names:
        plain = "curve_" + re.sub(r"[^A-Za-z0-9]", "_", name)
        found[f"{plain}_{len(found)}" if plain in found else plain] = name
    return found


def _is_coloured(found: Filters) -> bool:
    """Whether its input channels are shown as red, green and blue, for which no scale of one sign holds."""
    return int(found.weights.shape[1]) == 3


def _scales(found: Sequence[Filters], limit: float) -> tuple[str, ...]:
    """What colours say of the filters of some groups, where it is not what the ramp says."""
    coloured = [filters.label for filters in found if _is_coloured(filters)]
    if not coloured:
        return ()
    whose = "Input channels" if len(coloured) == len(found) else f"Input channels of {', '.join(coloured)}"
    return (f"{whose} are red, green and blue: {scale_in_words(3, limit)} of each.",)


def _filter_tile(found: Filters, limit: float) -> Tile:
    own = found.largest or 1.0
    return Tile(
        found.label,
        found.caption(),
        png=pixels_png(mosaic(found.weights, limit)),
        own_png=pixels_png(mosaic(found.weights, own)),
        own_limit=own,
    )


def _confusion_tile(found: Confusion, index: int) -> Tile:
    return Tile(found.label, f"n = {found.n}", svg=svg(confusion_figure(found), f"confusion-{index}"))


def _n_note(rows: Sequence[GroupRow]) -> str:
    counts = sorted({row.n_finished for row in rows})
    if not counts:
        return ""
    return f"n = {counts[0]} per group." if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]} per group."
