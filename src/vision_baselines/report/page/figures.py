"""The page's figures: accuracy, curves and costs; filters of all groups on one scale; confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib

from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.plots.filters import COLOR_MAP
from vision_baselines.report.page.markup import Html, element, folded, joined, png_source
from vision_baselines.report.page.results import group_name
from vision_baselines.report.pictures import Pictures, Tile


def figures_section(comparison: ComparisonTable, pictures: Pictures) -> Html:
    """Figures over all groups, under a legend that stays in view."""
    if not pictures.figures:
        return Html("")
    legend = element("div", *(group_name(comparison, label) for label in pictures.in_figures), class_="legend")
    figures = [
        element(
            "figure",
            element("h3", picture.title),
            Html(picture.svg.replace("<svg", '<svg role="img" aria-label="' + picture.key + '"', 1)),
            element("figcaption", picture.caption),
        )
        for picture in pictures.figures
    ]
    note = _left_out(comparison, pictures.in_figures, "Curves and costs")
    return element(
        "section",
        element("h2", "Figures"),
        note,
        legend,
        element("div", *figures, class_="pair"),
        id="figures",
    )


def filters_section(comparison: ComparisonTable, pictures: Pictures) -> Html:
    """First-layer filters, on the shared scale and, folded away, each group on its own."""
    if not pictures.filters:
        return Html("")
    shared = [_filters(comparison, tile, tile.png, tile.caption) for tile in pictures.filters]
    own = [
        _filters(comparison, tile, tile.own_png, f"±{tile.own_limit:.3g}; {tile.caption}") for tile in pictures.filters
    ]
    return element(
        "section",
        element("h2", "First-layer filters"),
        element(
            "p",
            "Weights of the best checkpoint of each group's first seed, all on one scale, so that strengths compare.",
            class_="note",
        ),
        _left_out(comparison, pictures.in_tiles, "Filters"),
        _scale(pictures.filters_limit),
        element("div", *shared, class_="pair"),
        folded("Each group on its own scale, so that weak patterns show", element("div", *own, class_="pair")),
        id="filters",
    )


def confusions_section(comparison: ComparisonTable, pictures: Pictures) -> Html:
    """One confusion matrix per group."""
    if not pictures.confusions:
        return Html("")
    figures = [
        element(
            "figure",
            element("h3", group_name(comparison, tile.label)),
            Html(tile.svg.replace("<svg", '<svg role="img" aria-label="confusion matrix"', 1)),
            element("figcaption", f"Sum over {tile.caption} jobs."),
        )
        for tile in pictures.confusions
    ]
    note = (
        "Test images by true class (rows) and predicted class (columns). Numbers are counts, summed over seeds; colour "
        "is the share of the row on a square-root scale, so that rare confusions show."
    )
    return element(
        "section",
        element("h2", "Confusion matrices"),
        element("p", note, class_="note"),
        _left_out(comparison, pictures.in_tiles, "Matrices"),
        element("div", *figures, class_="pair"),
        id="confusion",
    )


def _left_out(comparison: ComparisonTable, shown: Sequence[str], what: str) -> Html:
    hidden = sum(bool(row.counted) for row in comparison.rows) - len(shown)
    if not hidden:
        return Html("")
    base = " (with the baseline)" if comparison.baseline in shown else ""
    return element("p", f"{what} show the {len(shown)} best groups{base}; {hidden} are left out.", class_="note")


def _filters(comparison: ComparisonTable, tile: Tile, png: bytes, caption: str) -> Html:
    return element(
        "figure",
        element("h3", group_name(comparison, tile.label)),
        element("img", src=png_source(png), alt=f"first-layer filters of {tile.label}"),
        element("figcaption", caption),
    )


def _scale(limit: float) -> Html:
    colors = matplotlib.colormaps[COLOR_MAP]([0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0])
    stops = ", ".join("#" + "".join(f"{round(255 * part):02x}" for part in color[:3]) for color in colors)
    ramp = element("span", class_="ramp", style=f"background:linear-gradient(to right, {stops})")
    return element("div", joined([f"−{limit:.3g}", ramp, f"+{limit:.3g}"]), class_="scale")
