"""From folders of runs to a written comparison: reads, tabulates, draws and writes, in that order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vision_baselines.comparison.collection import OUTPUT_FOLDER, collect, require_records
from vision_baselines.comparison.errors import NoRecordsError
from vision_baselines.comparison.table import ComparisonTable, tabulate
from vision_baselines.comparison.verdict import headline
from vision_baselines.errors import StorageError
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.storage.lock import exclusive

if TYPE_CHECKING:
    from rich.table import Table

PICTURES = "pictures"


@dataclass(frozen=True)
class Comparison:
    """A comparison and where it was written."""

    table: ComparisonTable
    out: Path
    files: tuple[Path, ...]

    @property
    def headline(self) -> str:
        """The result in one or two sentences."""
        return headline(self.table)

    @property
    def page(self) -> Path:
        """The HTML page."""
        return self.out / "comparison.html"

    def rich_table(self) -> Table:
        """The table for a terminal."""
        from vision_baselines.report.console import rich_table

        return rich_table(self.table)

    def show(self) -> None:
        """Print the table, the result in a sentence, every caveat, and where the page lies."""
        from rich.console import Console
        from rich.text import Text

        from vision_baselines.comparison.caveats import caveats

        console = Console(highlight=False, markup=False)
        if not console.is_terminal:
            console.width = 110  # a log file has no width of its own, and 80 breaks the table's lines
        console.print(self.rich_table())
        # Labels are foreign text, and [cat,dog] in one is no markup.
        console.print(Text(self.headline))
        for caveat in caveats(self.table):
            console.print(Text.assemble(("! ", "yellow"), caveat))
        console.print(Text(f"\nLook at it:\n  {self.page}"), soft_wrap=True)


def compare(
    folders: Sequence[Path],
    out: Path | None = None,
    *,
    group_by: Sequence[str] | str | None = None,
    metric: str | None = None,
    baseline: str | None = None,
    over: str | None = None,
    pictures: bool = True,
) -> Comparison:
    """Compare every record at or below `folders` and write the result.

    May be called after every job and by several processes at once: files are replaced whole, and who
    writes last has read last.

    Args:
        folders: Sweeps, or folders of sweeps.
        out: Where to write; by default ``comparison/`` in the first folder.
        group_by: Override keys or dotted config keys that make a group; by default all that was
            overridden but the seed.
        metric: What is compared; by default the headline metric of the runs' task.
        baseline: Label or settings of the group that others are compared with; by default ``model=fc`` if
            it is there.
        over: A numeric override or config key; the metric is also drawn over it, a line for each group of the rest.
        pictures: Also draw. Without, the page is complete but for its figures, TensorBoard keeps the last
            ones, and Matplotlib is not imported.

    Raises:
        NoRecordsError: A folder does not exist, or none has a record.
        UnknownNameError: A group key, metric or baseline that no record has, or an `over` that is no number.
        StorageError: The result cannot be written.
    """
    folders = [Path(folder) for folder in folders]
    require_records(folders)
    out = Path(out) if out is not None else folders[0] / OUTPUT_FOLDER
    try:
        with exclusive(out, wait=True):
            table = tabulate(collect(folders), group_by=group_by, metric=metric, baseline=baseline, over=over)
            return Comparison(table, out, tuple(_write(table, out, pictures)))
    except NoRecordsError:
        raise
    except OSError as error:
        raise StorageError(f"cannot write the comparison to {out}: {error.strerror or error}") from error


def _write(table: ComparisonTable, out: Path, pictures: bool) -> list[Path]:
    from vision_baselines.report.frames import csv, groups_frame, jobs_frame
    from vision_baselines.report.markdown import markdown
    from vision_baselines.report.page import page

    text = markdown(table)
    drawn = None
    if pictures:
        from vision_baselines.report.pictures import draw

        drawn = draw(table)
    contents = {
        "jobs.csv": csv(jobs_frame(table)),
        "groups.csv": csv(groups_frame(table)),
        "comparison.md": text.encode(),
        "comparison.html": page(table, drawn).encode(),
    }
    for name, content in contents.items():
        write_atomically(out / name, content)
    files = [out / name for name in contents]
    if drawn is not None:
        from vision_baselines.report.tensorboard import write_events

        (out / PICTURES).mkdir(exist_ok=True)
        for key, content in drawn.pngs().items():
            files.append(out / PICTURES / f"{key.replace('/', '_')}.png")
            write_atomically(files[-1], content)
        files.append(write_events(out, step=table.n_finished, table=text, pictures=drawn.pngs()))
    return files
