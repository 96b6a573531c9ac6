"""Puts the page together: head, result, figures, failures, jobs, and where it all comes from.

The page asks nobody for anything. Its policy forbids scripts and every request, so that even a mistake in
escaping could not act; and it holds no time of its own making, so the same records give the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vision_baselines.comparison.caveats import caveats
from vision_baselines.comparison.formatting import plural
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.comparison.verdict import finding
from vision_baselines.report.page.jobs import failures_section, jobs_section
from vision_baselines.report.page.markup import Html, element, folded, joined
from vision_baselines.report.page.provenance import provenance_section
from vision_baselines.report.page.results import (
    costs_table,
    metrics_table,
    result_table,
    settings_table,
)
from vision_baselines.report.page.stylesheet import STYLESHEET

if TYPE_CHECKING:
    from vision_baselines.report.pictures import Pictures

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_OPEN_UP_TO = 12


def page(comparison: ComparisonTable, pictures: Pictures | None) -> str:
    """The whole page; without `pictures`, it says so where they would be."""
    sections = [
        ("results", "Results", _results_section(comparison)),
        *_picture_sections(comparison, pictures),
        ("failures", "Failed jobs", failures_section(comparison)),
        ("jobs", "All jobs", jobs_section(comparison)),
        ("provenance", "Where it comes from", provenance_section(comparison)),
    ]
    sections = [section for section in sections if section[2]]
    links = element("nav", *(element("a", name, href=f"#{key}") for key, name, _ in sections), aria_label="Sections")
    body = element(
        "body",
        element("header", *_introduction(comparison), links),
        element("main", *(content for _, _, content in sections)),
        element(
            "footer",
            "Made by vision_baselines from run.json files; see jobs.csv and groups.csv beside this page.",
        ),
    )
    return f"<!doctype html>\n{element('html', _head(comparison), body, lang='en')}\n"


def _head(comparison: ComparisonTable) -> Html:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("link", rel="icon", href="data:,"),
        element("title", f"{_title(comparison)}: comparison"),
        element("style", Html(STYLESHEET)),
    )


def _introduction(comparison: ComparisonTable) -> list[Html]:
    finished, failed = comparison.n_finished, len(comparison.failed)
    pending = sum(len(row.pending) for row in comparison.rows)
    facts: list[object] = [element("b", finished), " finished"]
    if failed:
        facts += [" · ", element("b", failed, class_="bad"), " failed"]
    if pending:
        facts += [" · ", element("b", pending), " pending"]
    facts += [
        " · ",
        element("b", len(comparison.rows)),
        f" {plural(len(comparison.rows), 'group').split()[1]}",
    ]
    ended = max((job.record.ended_at for job in comparison.jobs if job.record.ended_at), default=None)
    if ended:
        facts.append(f" · last job ended {ended:%Y-%m-%d %H:%M} UTC")
    found = finding(comparison)
    return [
        element("h1", _title(comparison)),
        element("p", f"{found.claim}.".replace(" ± ", "\u00a0±\u00a0"), class_="headline"),
        element("p", f"{found.proof}.", class_="proof") if found.proof else Html(""),
        element("p", *facts, class_="facts"),
    ]


def _results_section(comparison: ComparisonTable) -> Html:
    warnings = [element("li", caveat) for caveat in caveats(comparison)]
    note = (
        "± is the standard deviation over jobs. Intervals are Student's t over seeds: they say where the mean of many "
        "more seeds would be, and nothing about other test images. Costs are medians over finished jobs."
    )
    if comparison.baseline is not None:
        unit = "percentage points" if comparison.metric.is_share else "the metric's unit"
        note += f" Differences are paired by seed and in {unit}."
    return element(
        "section",
        element("h2", "Results"),
        *([result_table(comparison), element("p", note, class_="note")] if comparison.rows else []),
        element("ul", *warnings, class_="caveats") if warnings else "",
        _costs(comparison),
        metrics_table(comparison),
        settings_table(comparison),
        id="results",
    )


def _costs(comparison: ComparisonTable) -> Html:
    if not comparison.n_finished:
        return Html("")
    if len(comparison.rows) > _OPEN_UP_TO:
        return folded(f"Cost of {len(comparison.rows)} groups", costs_table(comparison))
    return joined([element("h3", "Cost"), costs_table(comparison)])


def _picture_sections(comparison: ComparisonTable, pictures: Pictures | None) -> list[tuple[str, str, Html]]:
    if pictures is None:
        note = element("p", "Figures are drawn when the sweep ends, or by scripts/compare.py.", class_="note")
        return [("figures", "Figures", element("section", element("h2", "Figures"), note, id="figures"))]
    # Here and not above: these need Matplotlib.
    from vision_baselines.report.page.figures import (
        confusions_section,
        figures_section,
        filters_section,
    )

    return [
        ("figures", "Figures", figures_section(comparison, pictures)),
        ("filters", "Filters", filters_section(comparison, pictures)),
        ("confusion", "Confusion", confusions_section(comparison, pictures)),
    ]


def _title(comparison: ComparisonTable) -> str:
    return " + ".join(comparison.sweeps) or "No readable record"
