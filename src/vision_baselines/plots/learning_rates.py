"""The loss over growing learning rates, with the rate where it falls steepest and the one that a run uses."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from vision_baselines.plots.scale import scale_logarithmic
from vision_baselines.plots.style import Look, add_legend, finish, new_axes


def learning_rates_figure(
    rates: Sequence[float], losses: Sequence[float], smooth: Sequence[float], *, steepest: float | None, used: float
) -> Figure:
    """A step's loss at each rate as dots, their moving average as a line.

    Args:
        rates: Growing.
        losses: The training loss of one batch at each.
        smooth: Their moving average.
        steepest: Where that falls fastest.
        used: The rate of the run.
    """
    figure, axes = new_axes(2.9)
    look, other, third = Look.of(0), Look.of(1), Look.of(2)
    axes.plot(rates, losses, ".", color=look.color, alpha=0.35, markersize=4)
    axes.plot(rates, smooth, color=look.color, zorder=3)
    low, high = min(smooth), max(smooth[: max(len(smooth) // 2, 1)])
    axes.set_ylim(min(0.0, low), max(high, low) * 1.25)  # where the loss has left is of no interest
    scale_logarithmic(axes.xaxis, rates[0], rates[-1], pad=1.3)
    entries = [("loss, and its moving average", look)]
    if steepest is not None:
        axes.axvline(steepest, color=other.color, linewidth=1.4)
        entries.append((f"falls steepest at {steepest:.2g}", other))
    if rates[0] <= used <= rates[-1]:
        axes.axvline(used, color=third.color, linewidth=1.4, linestyle="--")
    entries.append((f"optimizer.lr is {used:.2g}", third))
    finish(axes, "learning rate", "training loss")
    add_legend(figure, entries, "A step at each learning rate, before training")
    return figure
