"""A run's own curves as one picture, in the look of the comparison's figures."""

from __future__ import annotations

from collections.abc import Sequence

from vision_baselines.comparison.metric import Metric
from vision_baselines.plots.export import png
from vision_baselines.plots.scale import label_steps
from vision_baselines.plots.style import Look, add_legend, finish, house_style, new_axes
from vision_baselines.runs.record import Curve


def curves_png(name: str, title: str, lines: Sequence[tuple[str, Curve]]) -> bytes:
    """Curves that share their axes.

    Args:
        name: The metric's name, which tells the unit.
        title: Written above.
        lines: The curves and what the legend calls them; one without a name has no line in it.

    Returns:
        A PNG file.
    """
    metric = Metric(name)
    with house_style():
        figure, axes = new_axes(2.9)
        for index, (_, curve) in enumerate(lines):
            look = Look.of(index)
            marker = look.marker if len(curve.x) <= 24 else ""
            values = [metric.scaled(value) for value in curve.y]
            axes.plot(curve.x, values, color=look.color, marker=marker, markersize=3.5, zorder=3)
        label_steps(axes.xaxis, lines[0][1].x)
        finish(axes, lines[0][1].x_label, f"{lines[0][1].y_label}{', %' if metric.unit else ''}")
        add_legend(figure, [(label, Look.of(index)) for index, (label, _) in enumerate(lines) if label], title)
        return png(figure)
