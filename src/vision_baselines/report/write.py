"""From folders of runs to a written comparison: reads, tabulates, draws and writes, in that order."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from vision_baselines.comparison import outcomes
from vision_baselines.comparison.collection import OUTPUT_FOLDER, Collection, Records, require_records
from vision_baselines.comparison.decided import require_planned_margin
from vision_baselines.comparison.errors import NoRecordsError
from vision_baselines.comparison.of_folders import recorded_options, tabulated
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.errors import StorageError
from vision_baselines.importing import collector_waits
from vision_baselines.report.result import PAGE_FILE, Comparison
from vision_baselines.report.written import WRITTEN_FILE, note_written, read_written
from vision_baselines.runs.record_cache import CACHE_FILE as RECORDS_FILE
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.storage.lock import LOCK_PATTERN, RunLockedError, exclusive

log = logging.getLogger(__name__)

PICTURES = "pictures"
_MANY = 1_000
LATEX_FILE = "comparison.tex"
# What `compare` leaves in a folder, by path below it.
_WRITTEN = re.compile(
    rf"(jobs|groups|epochs|classes|effects|interactions)\.csv|(comparison|checklist)\.md|{re.escape(LATEX_FILE)}|{re.escape(PAGE_FILE)}"
    rf"|{PICTURES}/[\w.,=+-]+\.png|events\.out\.tfevents\.\d+\.\w+\.\w+"
    rf"|{re.escape(outcomes.CACHE_FILE)}|{re.escape(RECORDS_FILE)}|{LOCK_PATTERN}|{re.escape(WRITTEN_FILE)}"
)


def compare(
    folders: Sequence[Path],
    out: Path | None = None,
    *,
    group_by: Sequence[str] | str | None = None,
    metric: str | None = None,
    select: str | None = None,
    baseline: str | None = None,
    over: str | None = None,
    chance_level: float | str | None = None,
    equivalence: float | None = None,
    pictures: bool = True,
    as_given: bool = False,
    records: Records | None = None,
    changed: Sequence[Path] | None = None,
) -> Comparison:
    """Compare every record at or below `folders` and write the result.

    May be called after every job and by several processes at once: files are replaced whole, and who
    writes last has read last. An option that is left out is that of the sweep, which stands in its records.

    Args:
        folders: Sweeps, or folders of sweeps.
        out: Where to write; by default ``comparison/`` in the first folder, where the sweep has its own page, or for
            other options or several folders a folder in it that is named after them, which TensorBoard is not
            shown: it would have every figure twice.
        group_by: Override keys or dotted config keys that make a group; by default all that was
            overridden but the seed.
        metric: What is compared; by default the headline metric of the runs' task.
        select: What ranks the groups, a metric of the validation split; by default the headline metric of the task.
        baseline: Label or settings of the group that others are compared with; by default ``model=fc`` if
            it is there.
        over: A numeric override or config key; the metric is also drawn over it, a line for each group of the rest.
        chance_level: Makes the comparison a control: the share of right answers without any signal in the labels, or
            ``uniform`` for 1 / number of classes.
        equivalence: Difference within which two groups are equal, in points of a share, else in the metric's unit.
        pictures: Also draw. Without, the page is complete but for its figures, TensorBoard keeps the last
            ones, and Matplotlib is not imported.
        as_given: Whether this is the sweep's own comparison, whose options are those given and no others.
        records: Those of `folders`, where a process compares them again and again.
        changed: The only folders of runs that are new or have changed since `records` were compared last.

    Raises:
        NoRecordsError: A folder does not exist, or none has a record.
        UnknownNameError: A group key, metric or baseline that no record has, or an `over` that is no number.
        ConfigError: `select` is no metric of the validation split, or `equivalence` is not the margin that was planned
            where seeds were added until decided.
        StorageError: The result cannot be written.
    """
    folders = [Path(folder) for folder in folders]
    if records is None or changed is None:
        require_records(folders)
    records = records or Records(folders)
    own_folder = folders[0] / OUTPUT_FOLDER
    given = {
        "group_by": group_by, "metric": metric, "select": select, "baseline": baseline, "over": over,
        "chance_level": chance_level, "equivalence": equivalence,
    }  # fmt: skip
    asked: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    try:
        looks = nullcontext() if pictures else collector_waits()  # figures are freed by the collector alone
        with exclusive(Path(out) if out is not None else own_folder, wait=True), looks:
            collection, caches = records.collected(changed), [folder / OUTPUT_FOLDER for folder in folders]
            if collection.n_parsed >= _MANY:
                log.warning(
                    "read %s records for the first time; the next comparison reads those that are new",
                    f"{collection.n_parsed:,}",
                )
            for place in caches if out is None else [Path(out), *caches]:
                outcomes.read_cache(place / outcomes.CACHE_FILE)
            derived = outcomes.read_all(collection.jobs)
            own = {} if as_given else recorded_options(collection)
            table, used = tabulated(collection, folders, own, asked)
            if not as_given:
                require_planned_margin(table, equivalence)
            others = {key: value for key, value in asked.items() if not as_given and value != own.get(key)}
            if len(folders) > 1:
                others["with"] = [folder.name for folder in folders[1:]]
            target = Path(out) if out is not None else own_folder / _folder_name(others)
            target.mkdir(parents=True, exist_ok=True)
            # Below the sweep's own comparison TensorBoard would show every figure twice, in a run more.
            is_shown = out is not None or target == own_folder
            files = _write(table, target, pictures, used, in_tensorboard=is_shown)
            if pictures and target == own_folder:  # where TensorBoard finds it beside the jobs
                from vision_baselines.report.hparam_rows import Row
                from vision_baselines.report.tensorboard import write_columns

                columns = write_columns(target, [Row.of(job.record) for job in collection.jobs])
                files[columns] = columns.read_bytes()
                if not as_given and collection.n_parsed:  # the others have been completed before
                    _complete_rows(collection)
            note_written(target, {path.relative_to(target).as_posix(): content for path, content in files.items()})
            written = Comparison(table, target, tuple(files))
            _save(records, held=own_folder if out is None else Path(out))
            cache = (Path(out) if out is not None else own_folder) / outcomes.CACHE_FILE
            anew = cache.name not in (read_written(cache.parent) or {})
            # after one of thousands of jobs it may wait: what it lacks is derived again where this process ends early
            if content := outcomes.save_cache(cache, derived, all_of_it=changed is None or anew, anew=anew):
                note_written(cache.parent, {outcomes.CACHE_FILE: content})
            return written
    except NoRecordsError:
        raise
    except OSError as error:
        place, reason = error.filename2 or error.filename, error.strerror or error
        said = f"{place}: {reason}" if place else reason
        raise StorageError(f"cannot write the comparison to {out or own_folder}: {said}") from error


def is_comparison_file(name: str) -> bool:
    """Whether a comparison has a file of this name, a path below its folder."""
    return _WRITTEN.fullmatch(name) is not None


def _save(records: Records, held: Path) -> None:
    """Keep what was read beside the comparisons of the folders; `held` is a folder that this process holds."""
    for place, top in enumerate(records.folders):
        own = top / OUTPUT_FOLDER
        try:
            with nullcontext() if own == held else exclusive(own) if own.is_dir() else nullcontext():
                records.save(place)
        except (RunLockedError, OSError):  # another process compares it, and keeps what it reads
            continue


def _complete_rows(collection: Collection) -> None:
    """Let TensorBoard's HParams read everything of runs of earlier versions, where their folders can be written."""
    from vision_baselines.report.hparams import complete_row

    for job in collection.jobs:
        with suppress(OSError):
            complete_row(job.record, job.folder)


def _folder_name(options: Mapping[str, Any]) -> str:
    """A folder's name that says which options differ from the sweep's own; empty for none.

    >>> _folder_name({"metric": "val/acc", "group_by": ["model", "data"]})
    'metric=val_acc,group_by=model+data'
    """
    parts = [f"{key}={'+'.join(value) if isinstance(value, list) else value}" for key, value in options.items()]
    name = re.sub(r"[^\w.,=+-]+", "_", ",".join(parts))
    return name if len(name) <= 80 else f"{name[:70]}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _write(
    table: ComparisonTable, out: Path, pictures: bool, options: Mapping[str, Any], *, in_tensorboard: bool
) -> dict[Path, bytes]:
    """Write everything but what is kept for the next time; the content of each file."""
    from vision_baselines.report.checklist import checklist
    from vision_baselines.report.csv_files import csv_files
    from vision_baselines.report.latex import latex
    from vision_baselines.report.markdown import markdown
    from vision_baselines.report.page import page
    from vision_baselines.report.sureness import TERMINAL_SURENESS
    from vision_baselines.report.tables import TERMINAL

    drawn = None
    if pictures:
        from vision_baselines.report.pictures import draw

        drawn = draw(table)
    contents = {
        **csv_files(table),
        "comparison.md": markdown(table).encode(),
        LATEX_FILE: latex(table, options).encode(),
        "checklist.md": checklist(table).encode(),
        PAGE_FILE: page(table, drawn, out).encode(),
    }
    files = {out / name: content for name, content in contents.items()}
    if not in_tensorboard:
        from vision_baselines.report.event_file import COMPARISON, remove_events

        remove_events(out, kind=COMPARISON)
    if drawn is not None:
        (out / PICTURES).mkdir(exist_ok=True)
        files |= {out / PICTURES / f"{key.replace('/', '_')}.png": content for key, content in drawn.pngs().items()}
    for path, content in files.items():
        write_atomically(path, content)
    if drawn is not None and in_tensorboard:
        from vision_baselines.report.tensorboard import write_events

        brief = markdown(table, TERMINAL, [TERMINAL_SURENESS], as_code=True)
        events = write_events(out, step=table.n_finished, table=brief, pictures=drawn.pngs())
        files[events] = events.read_bytes()
    return files
