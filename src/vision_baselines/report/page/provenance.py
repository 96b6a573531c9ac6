"""The page's account of where the numbers come from: commands, versions, code and data."""

from __future__ import annotations

from collections.abc import Sequence

from vision_baselines.comparison.formatting import plural
from vision_baselines.comparison.provenance import Variant, commands, commits, datasets, differing, environments
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.report.page.markup import Html, element, folded, joined, table

_COMMANDS_SHOWN = 4


def provenance_section(comparison: ComparisonTable) -> Html:
    """Everything needed to make the numbers again."""
    surroundings = environments(comparison.jobs)
    return element(
        "section",
        element("h2", "Where it comes from"),
        element("h3", "Command"),
        _commands(commands(comparison.jobs)),
        element("h3", "Code and data"),
        _variants([*commits(comparison.jobs), *datasets(comparison.jobs)]),
        element("h3", "Environment"),
        _environments(surroundings),
        id="provenance",
    )


def _commands(found: Sequence[Variant]) -> Html:
    if not found:
        return element("p", "No command was recorded.", class_="note")
    lines = [element("pre", dict(variant.facts)["command"], class_="command") for variant in found]
    rest = lines[_COMMANDS_SHOWN:]
    more = folded(f"{plural(len(rest), 'more command')}", *rest) if rest else ""
    return joined([*lines[:_COMMANDS_SHOWN], more])


def _variants(found: Sequence[Variant]) -> Html:
    rows = [[name, element("code", value), variant.n_jobs] for variant in found for name, value in variant.facts]
    return (
        table(["", "", "jobs"], rows, text_columns=2, narrow=True) if rows else element("p", "Unknown.", class_="note")
    )


def _environments(found: Sequence[Variant]) -> Html:
    if not found:
        return element("p", "Unknown.", class_="note")
    different = differing(found)
    names = list(dict.fromkeys(name for variant in found for name, _ in variant.facts))
    heads = ["", *(plural(variant.n_jobs, "job") for variant in found)]
    rows = [
        [name, *(_value(dict(variant.facts).get(name, "absent"), name in different) for variant in found)]
        for name in names
    ]
    return table(heads, rows, text_columns=len(heads), narrow=True)


def _value(value: str, stands_out: bool) -> Html:
    return element("code", value, class_="bad" if stands_out else None)
