"""The comparison as Markdown, for a README, an issue or TensorBoard's text tab."""

from __future__ import annotations

import re

from vision_baselines.comparison.caveats import caveats
from vision_baselines.comparison.formatting import ABSENT, count, number, one_line, probability, size
from vision_baselines.comparison.table import ComparisonTable, GroupRow
from vision_baselines.comparison.verdict import headline, short_verdict

# Brackets make a link only in front of these, underscores emphasis only at a word's edge, and some signs a block
# only at the start: elsewhere they stay readable.
_SPECIAL = re.compile(r"[\\`*|~]|\](?=[(\[:])|(?<!\w)_|_(?!\w)|^[-+#>=]")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def markdown(table: ComparisonTable) -> str:
    """Headline, table, caveats and failures; ends with a newline."""
    blocks = [
        f"# Comparison: {escaped(' + '.join(table.sweeps) or 'no readable record')}",
        f"**{escaped(headline(table))}**",
        _groups(table) if table.rows else "",
        _legend(table) if table.rows else "",
        "\n".join(f"- {escaped(caveat)}" for caveat in caveats(table)),
        _failures(table),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def escaped(text: object) -> str:
    r"""Foreign text on one line, so that Markdown and the HTML inside it take every character literally.

    >>> escaped("a|b <i> [x](javascript:y) gated_mlp [1, 2]")
    'a\\|b &lt;i&gt; [x\\](javascript:y) gated_mlp [1, 2]'
    """
    return _SPECIAL.sub(r"\\\g<0>", one_line(text)).translate(_ENTITIES)


def _groups(table: ComparisonTable) -> str:
    metric = table.metric
    unit = f", {metric.unit}" if metric.unit else ""
    heads = ["group", "n", "failed", f"{metric.name}{unit}", "95% interval", "median", "best"]
    if table.baseline is not None:
        heads += [f"difference to {table.baseline}", "p", "verdict"]
    heads += ["parameters", "FLOPs/image", "fit s", "images/s", "peak memory"]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *(_cells(table, row) for row in table.rows)]
    lines[0] = [escaped(head) for head in heads]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cells(table: ComparisonTable, row: GroupRow) -> list[str]:
    metric, costs, summary = table.metric, row.costs, row.metrics.get(table.metric.name)
    cells = [escaped(row.label), str(row.n_finished), str(len(row.failed))]
    if summary is None:
        cells += [ABSENT] * 4
    else:
        interval = metric.interval(summary.ci_low, summary.ci_high)
        mean = metric.mean_and_std(summary.mean, summary.std)
        cells += [mean, interval, metric.bare(summary.median), metric.bare(row.best[metric.name])]
    if table.baseline is not None:
        cells += _difference(table, row)
    return [
        *cells,
        count(costs.parameters),
        count(costs.flops_per_image),
        number(costs.fit_s),
        count(costs.images_per_s),
        size(costs.peak_memory_bytes),
    ]


def _difference(table: ComparisonTable, row: GroupRow) -> list[str]:
    difference, metric = row.difference, table.metric
    if difference is None:
        return [ABSENT, ABSENT, "baseline"]
    interval = metric.interval(difference.ci_low, difference.ci_high, signed=True)
    amount = metric.signed(difference.mean) + (f" {interval}" if interval != ABSENT else "")
    p_value = probability(difference.p_value).removeprefix("p = ").replace("p < ", "&lt; ")
    return [amount, p_value or ABSENT, short_verdict(difference, metric)]


def _legend(table: ComparisonTable) -> str:
    text = (
        "n counts finished jobs; ± is the standard deviation over them; 95% intervals are Student's t and speak of "
        "other seeds, not of other test images; costs are medians."
    )
    if table.baseline is not None:
        unit = "percentage points" if table.metric.is_share else "the metric's unit"
        text += f" Differences are paired by seed, in {unit}."
    return text


def _failures(table: ComparisonTable) -> str:
    lines = [
        f"- {escaped(job.place)}: {escaped(job.record.failure.kind)}: {escaped(job.record.failure.message)}"
        if job.record.failure
        else f"- {escaped(job.place)}: {job.record.status.value}, no reason recorded"
        for job in table.failed
    ]
    lines += [f"- {escaped(found.place)}: unreadable: {escaped(found.reason)}" for found in table.unreadable]
    return "\n".join(["## Failed jobs", "", *lines]) if lines else ""
