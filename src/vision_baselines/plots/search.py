"""Figures of a search: its history, which parameters mattered, each alone, all at once, and the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from vision_baselines.comparison.formatting import capital, number, shortened
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.search import Search, SearchParameter, SearchTrial, settings_text
from vision_baselines.plots.scale import label_roundly, label_shortly, label_steps, scale_logarithmic
from vision_baselines.plots.style import MUTED, PALETTE, RULE, finish, new_axes

FIGURES_OF_PARAMETERS = 6
_BEST, _OTHER = PALETTE[1], PALETTE[0]
_NAME = 26


def history_figure(search: Search) -> Figure:
    """The first objective of each trial in the order that they were chosen in, and the best so far."""
    metric = first_objective(search)
    figure, axes = new_axes(2.9)
    best: list[tuple[int, float]] = []
    for trial in search.of_state("complete"):
        value = metric.scaled(trial.values[0])
        better = max if metric.mode == "max" else min
        best.append((trial.number, better(value, best[-1][1]) if best else value))
    if best:
        axes.step(*zip(*best, strict=True), where="post", color=_BEST, linewidth=1.2)
    _points(axes, search, lambda trial: trial.number, metric)
    axes.set_xlim(-0.8, max(len(search.trials) - 0.2, 1))
    finish(axes, "trial", metric.axis_label)
    label_steps(axes.xaxis, [float(trial.number) for trial in search.trials])
    label_shortly(axes.yaxis)
    return figure


def importance_figure(search: Search) -> Figure | None:
    """The share of the objective's variance that each parameter explains; None where that is not known."""
    found = list(search.importances.items())[:12]
    if not found:
        return None
    figure, axes = new_axes(0.75 + 0.24 * len(found), left_in=1.75)
    places = list(range(len(found)))[::-1]
    axes.barh(places, [100 * value for _, value in found], height=0.6, color=_OTHER)
    axes.set_yticks(places, [shortened(key, _NAME) for key, _ in found])
    axes.set_xlim(0, 105)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("share of the variance, %")
    return figure


def slice_figure(search: Search, parameter: SearchParameter) -> Figure:
    """The first objective over one parameter; trials differ in the others too."""
    metric = first_objective(search)
    figure, axes = new_axes(2.4)
    _points(axes, search, lambda trial: _place(parameter, trial.settings[parameter.key]), metric)
    _label(axes, axes.xaxis, parameter)
    finish(axes, shortened(parameter.key, 40), metric.axis_label)
    label_shortly(axes.yaxis)
    return figure


def parallel_figure(search: Search) -> Figure | None:
    """Each complete trial as a line over all parameters to its value: the best quarter is coloured."""
    metric, complete = first_objective(search), search.of_state("complete")
    shown = ranked_parameters(search)[:FIGURES_OF_PARAMETERS]
    if len(complete) < 2 or not shown:
        return None
    figure, axes = new_axes(3.1, left_in=0.55, right_in=0.6, bottom_in=0.75)
    values = [metric.scaled(trial.values[0]) for trial in complete]
    low, high = min(values), max(values)
    order = sorted(range(len(complete)), key=lambda at: values[at], reverse=metric.mode == "min")
    n_best = max(1, len(complete) // 4)
    for rank, at in enumerate(order):
        trial, is_best = complete[at], rank >= len(complete) - n_best
        heights = [_share(parameter, trial.settings[parameter.key]) for parameter in shown]
        heights.append((values[at] - low) / (high - low) if high > low else 0.5)
        style = {"color": _BEST, "linewidth": 1.6} if is_best else {"color": MUTED, "linewidth": 0.6, "alpha": 0.5}
        axes.plot(range(len(heights)), heights, gid=f"trial:{_said(trial, metric)}", **style)  # type: ignore[arg-type]
    for at, parameter in enumerate(shown):
        ends = (parameter.choices[0], parameter.choices[-1]) if parameter.choices else (parameter.low, parameter.high)
        _ends(axes, at, *(one if isinstance(one, str) else number(one) for one in ends))
    _ends(axes, len(shown), number(low, 4), number(high, 4))
    axes.set_xticks(range(len(shown) + 1), [shortened(p.key.rpartition(".")[2], 14) for p in shown] + [metric.quantity])
    axes.tick_params(axis="x", labelrotation=0 if len(shown) < 4 else 20)
    axes.set_yticks([])
    axes.set_xlim(-0.15, len(shown) + 0.15)
    axes.set_ylim(-0.12, 1.12)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)
    return figure


def front_figure(search: Search) -> Figure | None:
    """The first two objectives of each complete trial; those on the front of all objectives are joined."""
    if len(search.objectives) < 2 or not search.of_state("complete"):
        return None
    (x_name, x_mode), (y_name, y_mode) = list(search.objectives.items())[1::-1]
    x_metric, y_metric = Metric(x_name, x_mode), Metric(y_name, y_mode)
    figure, axes = new_axes(3.0)
    front = {trial.number for trial in search.front()}

    def point(trial: SearchTrial) -> tuple[float, float]:
        return x_metric.scaled(trial.values[1]), y_metric.scaled(trial.values[0])

    joined = sorted(point(trial) for trial in search.of_state("complete") if trial.number in front)
    if len(search.objectives) == 2:
        axes.step(*zip(*joined, strict=True), where="post", color=_BEST, linewidth=1.2)
    for trial in search.of_state("complete"):
        color, size = (_BEST, 7.0) if trial.number in front else (_OTHER, 4.5)
        said = ", ".join(f"{name} {number(v, 4)}" for name, v in zip(search.objectives, trial.values, strict=True))
        gid = f"trial:trial {trial.number}: {settings_text(trial.settings)}\n{said}"
        axes.plot(*([value] for value in point(trial)), "o", color=color, markersize=size, gid=gid)
    xs = [point(trial)[0] for trial in search.of_state("complete")]
    if min(xs) > 0 and max(xs) > 10 * min(xs):
        scale_logarithmic(axes.xaxis, min(xs), max(xs), pad=1.4)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        label_shortly(axes.xaxis)
    axes.margins(y=0.12)
    finish(axes, x_metric.axis_label, y_metric.axis_label)
    label_shortly(axes.yaxis)
    return figure


def first_objective(search: Search) -> Metric:
    """What the trials are ordered by."""
    name, mode = next(iter(search.objectives.items()))
    return Metric(name, mode)


def ranked_parameters(search: Search) -> list[SearchParameter]:
    """All parameters, those that mattered most first."""
    order = list(search.importances)
    return sorted(search.parameters, key=lambda one: order.index(one.key) if one.key in order else len(order))


def _points(axes: Axes, search: Search, x_of: object, metric: Metric) -> None:
    """A mark for each trial: filled where it is complete, hollow where it was pruned, a cross where it failed."""
    assert callable(x_of)
    best = {trial.number for trial in search.front()}
    known = [metric.scaled(t.values[0]) for t in search.trials if t.values and math.isfinite(t.values[0])]
    floor = min(known, default=0.0) if metric.mode == "max" else max(known, default=1.0)
    for trial in search.trials:
        gid = f"trial:{_said(trial, metric)}"
        if trial.state == "failed":
            axes.plot([x_of(trial)], [floor], "x", color=MUTED, markersize=5.5, gid=gid)
        elif trial.values and math.isfinite(trial.values[0]):
            is_complete = trial.state == "complete"
            color = _BEST if trial.number in best else _OTHER if is_complete else MUTED
            size = 7.0 if trial.number in best else 5.0
            face = color if is_complete else "none"
            axes.plot(
                [x_of(trial)],
                [metric.scaled(trial.values[0])],
                "o",
                color=color,
                markerfacecolor=face,
                markersize=size,
                gid=gid,
                zorder=3 if trial.number in best else 2,
            )
    axes.margins(y=0.1)


def _said(trial: SearchTrial, metric: Metric) -> str:
    value = f"\n{metric.title}: {metric.written(trial.values[0])}" if trial.values else ""
    return f"trial {trial.number}, {trial.state}: {settings_text(trial.settings)}{value}"


def _place(parameter: SearchParameter, value: str | int | float) -> float:
    if parameter.choices:
        return float(parameter.choices.index(str(value))) if str(value) in parameter.choices else math.nan
    return float(value)


def _share(parameter: SearchParameter, value: str | int | float) -> float:
    """How far a value is from one end of the range to the other, from 0 to 1."""
    place = _place(parameter, value)
    if parameter.choices:
        return place / max(len(parameter.choices) - 1, 1)
    low, high = parameter.low, parameter.high
    if parameter.is_log:
        low, high, place = math.log(low), math.log(high), math.log(place)
    return (place - low) / (high - low)


def _label(axes: Axes, axis: Axis, parameter: SearchParameter) -> None:
    if parameter.choices:
        places = list(range(len(parameter.choices)))
        axes.set_xlim(-0.5, len(places) - 0.5)
        axis.set_major_locator(FixedLocator([float(place) for place in places]))
        axis.set_ticklabels([shortened(text, max(6, 52 // len(places))) for text in parameter.choices])
        axis.set_minor_locator(NullLocator())
    elif parameter.is_log:
        scale_logarithmic(axis, parameter.low, parameter.high)
    else:
        pad = 0.04 * (parameter.high - parameter.low)
        axes.set_xlim(parameter.low - pad, parameter.high + pad)
        label_roundly(axis)


def _ends(axes: Axes, at: int, low: str, high: str) -> None:
    axes.axvline(at, ymin=0.09, ymax=0.91, color=RULE, linewidth=1.0, zorder=0)
    for y, text, side in ((-0.03, low, "top"), (1.03, high, "bottom")):
        axes.text(at, y, shortened(text, 12), ha="center", va=side, color=MUTED, fontsize=8)


Figures = Sequence[tuple[str, str, str, Figure]]


def search_figures(search: Search) -> Figures:
    """Key, title, caption and figure of all that there is to draw."""
    if not search.trials:
        return []
    title = first_objective(search).title
    marks = "Filled: complete; hollow: pruned, at its last value; cross: failed."
    several = " Of the first objective." if len(search.objectives) > 1 else ""
    shown = ranked_parameters(search)[:FIGURES_OF_PARAMETERS]
    in_logs = ", ".join(one.key for one in shown if one.is_log)
    found: list[tuple[str, str, str, Figure | None]] = [
        (
            "search_front",
            "Pareto front",
            "Trials that no other is better than in every objective.",
            front_figure(search),
        ),
        (
            "search_history",
            "History",
            f"Each trial in its order, and the best so far. {marks}{several}",
            history_figure(search),
        ),
        (
            "search_importance",
            "What mattered",
            "Share of the variance between complete trials that each parameter explains (fANOVA); with few trials a "
            f"rough figure.{several}",
            importance_figure(search),
        ),
        (
            "search_parallel",
            "All parameters at once",
            f"A line for each complete trial; the best quarter by {title} is coloured."
            + (f" Logarithmic: {in_logs}." if in_logs else ""),
            parallel_figure(search),
        ),
        *(
            (f"search_slice_{at}", f"{capital(title)} over {one.key}", marks + several, slice_figure(search, one))
            for at, one in enumerate(shown)
        ),
    ]
    return [(key, name, caption, figure) for key, name, caption, figure in found if figure is not None]
