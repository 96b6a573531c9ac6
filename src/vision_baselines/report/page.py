"""The comparison as one HTML page that opens offline: what the template beside this file is filled with.

The page asks nobody for anything. Its policy allows its own script, by hash, and no request, so that even a mistake in
escaping could not act; and it holds no time of its own making, so the same records give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from vision_baselines.comparison.caveats import caveats
from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.configuration import setting_differences
from vision_baselines.comparison.decided import looks
from vision_baselines.comparison.formatting import ABSENT
from vision_baselines.comparison.kept import kept
from vision_baselines.comparison.rows import FAILED
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.comparison.verdict import finding
from vision_baselines.plots.interval_rows import accuracy_chart, difference_chart
from vision_baselines.report.ablation import ablation_section
from vision_baselines.report.against import (
    CLASSES_SHOWN,
    NARROW_READ_AGAINST,
    READ_AGAINST,
    lowest_recalls,
    recall_columns,
    recall_rows,
    why_not_read_against,
)
from vision_baselines.report.cells import Cells
from vision_baselines.report.columns import chosen
from vision_baselines.report.dots import dots_chart
from vision_baselines.report.job_details import SettingsOfJobs, job_details, pictures_by_probe
from vision_baselines.report.legend import legend, sureness_legend
from vision_baselines.report.looks import TITLE, look_columns, look_note
from vision_baselines.report.marks import SHOWN, color_rules, mark, places_of, short_names, signs
from vision_baselines.report.packed import JOBS_INLINE, ROWS_FIRST, ROWS_INLINE, packed_jobs, packed_rows
from vision_baselines.report.searched import search_section
from vision_baselines.report.sureness import NARROW_SURENESS, OTHER_IMAGES, SIZE, is_shown
from vision_baselines.report.tables import (
    COSTS,
    JOB,
    NARROW,
    NARROW_JOB,
    RESULT,
    STALE,
    epoch_columns,
    epochs_of,
    group_columns,
    job_columns,
    job_groups,
    job_rows,
    series_columns,
    series_rows,
)
from vision_baselines.report.templates import provenance, script, template

if TYPE_CHECKING:
    from vision_baselines.report.pictures import Pictures

_RECALLS_OF = 6  # groups, beside each other


def page(table: ComparisonTable, pictures: Pictures | None, out: Path | None = None) -> str:
    """The whole page, which links to files of the runs as they lie from the folder `out`.

    Without `pictures`, it says so where they would be.
    """
    columns = group_columns(table)
    against = chosen(columns, READ_AGAINST)
    found = finding(table)
    epochs = epochs_of(table)
    recalls_of = [row for row in table.best_first() if row.counted][:_RECALLS_OF]
    classes = recall_rows(recalls_of)
    found_signs, names = signs(table), short_names(row.label for row in table.rows)
    line_marks = {line.label: mark(index) for index, line in enumerate(table.series)}
    of_jobs = job_rows(table)
    is_large = len(of_jobs) > JOBS_INLINE
    probed = table.best_first()[: SHOWN if is_large else None]
    firsts = {id(job) for row in probed for job in row.counted[:1]}
    settings = SettingsOfJobs.of(table.groups)
    details = job_details(of_jobs, out, only=firsts if is_large else None, settings=settings)
    shown_jobs = of_jobs[:ROWS_FIRST] if is_large else of_jobs
    job_places = {id(row.job): place for place, row in enumerate(shown_jobs)}
    cells = Cells(table, names, places_of(table), _marks(table), line_marks, job_places)
    columns_of_jobs = chosen(job_columns(table), JOB)
    text: str = template("page.html.j2").render(
        title=" + ".join(table.sweeps) or "No readable record",
        claim=found.claim.replace(" ± ", "\u00a0±\u00a0"),
        proof=found.proof,
        n_pending=sum(len(row.pending) for row in table.rows),
        last_end=max(filter(None, map(_last_end, table.groups)), default=None),
        table=table,
        groups=table.best_first(),
        shown=table.shown(),
        result=chosen(columns, RESULT),
        narrow=NARROW,
        narrow_sureness=("group", *NARROW_SURENESS),
        narrow_costs=("group", *COSTS[:3]),
        narrow_read_against=NARROW_READ_AGAINST,
        narrow_jobs=NARROW_JOB,
        costs=chosen(columns, ("group", *COSTS)),
        metrics=[column for column in columns if column.name in ("group", "mean") or column.name.endswith(" mean")],
        read_against=(against, table.best_first()) if len(against) > 3 else None,
        why_not_read_against=why_not_read_against(table) if table.n_finished else "",
        recalls=(recall_columns(recalls_of), lowest_recalls(classes)),
        recalls_of=[row.label for row in recalls_of],
        n_classes_left_out=max(len(classes) - CLASSES_SHOWN, 0),
        legend=legend(table),
        sureness=[found for found in (chosen(columns, OTHER_IMAGES), chosen(columns, SIZE)) if is_shown(found)],
        sureness_legend=sureness_legend(table),
        caveats=caveats(table),
        looks=(TITLE, look_columns(table), looks(table), look_note(table)) if looks(table) else None,
        search=search_section(table),
        ablation=ablation_section(table),
        series=(series_columns(table), series_rows(table)) if table.series else None,
        charts=[dots_chart(chart) for chart in (accuracy_chart(table), difference_chart(table)) if chart],
        epochs=epochs,
        by_epoch=(epoch_columns(epochs), epochs.rows) if epochs else None,
        settings=_settings(table),
        pictures=pictures,
        jobs=(columns_of_jobs, shown_jobs),
        n_jobs=len(of_jobs),
        packed_jobs=packed_jobs(columns_of_jobs, job_groups(table), settings, cells, NARROW_JOB, out)
        if is_large
        else None,
        details={} if is_large else details,
        probes=pictures_by_probe(table, details),
        most_shown=SHOWN,
        shared=settings.shared,
        cells=cells,
        rows_inline=ROWS_INLINE,
        rows_first=ROWS_FIRST,
        packed_rows=packed_rows,
        names=names,
        best_first=partial(_best_first, [sign.label for sign in found_signs]),
        signs=found_signs,
        color_rules=color_rules(found_signs),
        line_marks=line_marks,
        failed_states=FAILED,
        **script(),
        **provenance(table.groups),
    )
    return f"{text}\n"


@kept()
def _last_end(jobs: tuple[Job, ...]) -> datetime | None:
    return max((job.record.ended_at for job in jobs if job.record.ended_at), default=None)


def _settings(table: ComparisonTable) -> dict[str, list[str]]:
    """Settings that set the groups apart, with their value in each group; what a label does not say is here."""
    found = setting_differences({row.label: row.jobs for row in table.rows})
    if len(table.rows) < 2:
        return {}
    return {key: [values.get(row.label, ABSENT) for row in table.best_first()] for key, values in found.items()}


def _best_first(labels: Sequence[str], items: Iterable[Any]) -> list[Any]:
    """Labels, or what has one, in the order of `labels`."""
    return sorted(items, key=lambda item: labels.index(getattr(item, "label", item)))


def _marks(table: ComparisonTable) -> dict[str, Markup]:
    """The sign of each group by its label; runs on fresh seeds have their group's."""
    nothing = {STALE: Markup("")} | {row.label: Markup("") for row in table.fresh}
    return nothing | {label: mark(place) for label, place in places_of(table).items()}
