"""The page's tables of groups: the result, what it costs, every other metric, and what else differs."""

from __future__ import annotations

from collections.abc import Sequence

from vision_baselines.comparison.configuration import setting_differences
from vision_baselines.comparison.formatting import ABSENT, count, number, plural, probability, size
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.table import ComparisonTable, GroupRow
from vision_baselines.comparison.verdict import is_better, short_verdict
from vision_baselines.report.page.markup import Html, element, folded, joined, table

_SHAPES = {
    0: Html('<circle cx="5.5" cy="5.5" r="5"/>'),
    1: Html('<rect x="1" y="1" width="9" height="9"/>'),
    2: Html('<path d="M5.5 0 11 5.5 5.5 11 0 5.5z"/>'),
    3: Html('<path d="M5.5 .5 11 10.5H0z"/>'),
    4: Html('<path d="M5.5 10.5 11 .5H0z"/>'),
    5: Html('<path d="M4 0h3v4h4v3H7v4H4V7H0V4h4z"/>'),
}
_COLORS = 8


def group_mark(comparison: ComparisonTable, label: str) -> Html:
    """A group's sign."""
    return _mark(next(place for place, row in enumerate(comparison.rows) if row.label == label))


def group_name(comparison: ComparisonTable, label: str) -> Html:
    """A group's sign and label."""
    return element("span", group_mark(comparison, label), element("span", label), class_="group")


def result_table(comparison: ComparisonTable) -> Html:
    """The compared metric of each group, and its difference to the baseline."""
    metric = comparison.metric
    unit = f", {metric.unit}" if metric.unit else ""
    heads: list[object] = ["group", "jobs", f"{metric.title}{unit}", "95% interval", "median", "best"]
    if comparison.baseline is not None:
        heads += [f"difference to {comparison.baseline}", "95% interval", "p", ""]
    return table(heads, [_result_cells(comparison, row) for row in comparison.rows])


def costs_table(comparison: ComparisonTable) -> Html:
    """Medians of what a run of each group needs."""
    heads = ["group", "parameters", "FLOPs per image", "training, s", "images per s", "peak memory"]
    return table(
        heads,
        [
            [
                group_name(comparison, row.label),
                count(row.costs.parameters),
                count(row.costs.flops_per_image),
                number(row.costs.fit_s),
                count(row.costs.images_per_s),
                size(row.costs.peak_memory_bytes),
            ]
            for row in comparison.rows
        ],
    )


def metrics_table(comparison: ComparisonTable) -> Html:
    """Mean and standard deviation of every metric, folded away; nothing if there is only one."""
    metrics = [Metric(name) for name in comparison.metrics]
    if len(metrics) < 2:
        return Html("")
    heads = ["group", *(f"{metric.name}{', ' + metric.unit if metric.unit else ''}" for metric in metrics)]
    rows = [
        [group_name(comparison, row.label), *(_mean_and_std(row, metric) for metric in metrics)]
        for row in comparison.rows
    ]
    return folded("Every metric: mean ± standard deviation", table(heads, rows))


def settings_table(comparison: ComparisonTable) -> Html:
    """Settings that set the groups apart, folded away; what a label does not say is here."""
    found = setting_differences({row.label: [job.record for job in row.jobs] for row in comparison.rows})
    if len(comparison.rows) < 2 or not found:
        return Html("")
    heads = ["setting", *(group_name(comparison, row.label) for row in comparison.rows)]
    rows: list[Sequence[object]] = [
        [element("code", key), *(element("code", values.get(row.label, ABSENT)) for row in comparison.rows)]
        for key, values in found.items()
    ]
    title = f"What differs between the groups: {plural(len(found), 'setting')}"
    return folded(title, table(heads, rows, text_columns=len(heads)))


def _result_cells(comparison: ComparisonTable, row: GroupRow) -> list[object]:
    metric, summary = comparison.metric, row.metrics.get(comparison.metric.name)
    cells: list[object] = [group_name(comparison, row.label), _jobs(row)]
    if summary is None:
        cells += [ABSENT] * 4
    else:
        cells += [
            element("b", metric.mean_and_std(summary.mean, summary.std)),
            metric.interval(summary.ci_low, summary.ci_high),
            metric.bare(summary.median),
            metric.bare(row.best[metric.name]),
        ]
    return cells + (_difference_cells(comparison, row) if comparison.baseline is not None else [])


def _jobs(row: GroupRow) -> Html:
    parts: list[object] = [f"{row.n_finished}"]
    if row.failed:
        parts.append(element("span", f" + {len(row.failed)} failed", class_="bad"))
    if row.pending:
        parts.append(element("span", f" + {len(row.pending)} pending", class_="quiet"))
    return joined(parts)


def _difference_cells(comparison: ComparisonTable, row: GroupRow) -> list[object]:
    difference, metric = row.difference, comparison.metric
    if difference is None:
        return [ABSENT, ABSENT, ABSENT, element("span", "baseline", class_="quiet")]
    better = is_better(difference, metric)
    tone = {True: "good", False: "bad", None: "quiet"}[better]
    return [
        metric.signed(difference.mean),
        metric.interval(difference.ci_low, difference.ci_high, signed=True),
        probability(difference.p_value).removeprefix("p = ").removeprefix("p ") or ABSENT,
        element("span", short_verdict(difference, metric), class_=tone),
    ]


def _mean_and_std(row: GroupRow, metric: Metric) -> str:
    summary = row.metrics.get(metric.name)
    return metric.mean_and_std(summary.mean, summary.std) if summary else ABSENT


def _mark(index: int) -> Html:
    """The sign of the group at `index`, as in the figures."""
    shape = _SHAPES[index // _COLORS % len(_SHAPES)]
    style = f"fill:var(--g{index % _COLORS})"
    return element("svg", shape, class_="mark", viewBox="0 0 11 11", style=style, aria_hidden="true")
