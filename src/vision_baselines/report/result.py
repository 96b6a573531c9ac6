"""A comparison that was written: its result in a sentence, shown in a terminal, and as JSON can hold it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_baselines.comparison.decided import looks
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.comparison.verdict import headline
from vision_baselines.terminal import console, say

if TYPE_CHECKING:
    from rich.table import Table

PAGE_FILE = "comparison.html"


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
        return self.out / PAGE_FILE

    def rich_table(self) -> Table:
        """The table for a terminal."""
        from vision_baselines.report.console import rich_table

        return rich_table(self.table)

    def show(self) -> None:
        """Print the table, the result in a sentence, every caveat, and where the page lies."""
        from vision_baselines.comparison.caveats import caveats
        from vision_baselines.report.columns import chosen
        from vision_baselines.report.console import effect_tables, rich_table
        from vision_baselines.report.legend import OTHER_SIGN
        from vision_baselines.report.sureness import TERMINAL_SURENESS, is_shown
        from vision_baselines.report.tables import group_columns

        out = console()
        out.print(self.rich_table())
        if is_shown(chosen(group_columns(self.table), TERMINAL_SURENESS)):
            out.print(rich_table(self.table, TERMINAL_SURENESS))
        for found in effect_tables(self.table):
            out.print(found)
        if self.table.effects:
            say(out, OTHER_SIGN)
        say(out, self.headline)
        if self.table.sequential is not None:
            for look in looks(self.table):
                say(out, f"  {look.in_words(self.table.sequential, self.table.metric)}")
        for caveat in caveats(self.table):
            say(out, str(caveat), mark="! ", style="yellow")
        say(out, f"\nLook at it:\n  {self.page}")


def comparison_facts(found: Comparison) -> dict[str, Any]:
    """A comparison as JSON can hold it: its tables of groups and jobs, what it says, and where its page lies."""
    from vision_baselines.comparison.caveats import caveats
    from vision_baselines.report.frames import effects_frame, groups_frame, interactions_frame, jobs_frame

    def rows(frame: Any) -> list[dict[str, Any]]:
        plain = json.loads(frame.to_json(orient="records", double_precision=15, default_handler=str))
        return list(plain)

    facts = {
        "metric": found.table.metric.name,
        "headline": found.headline,
        "caveats": [str(caveat) for caveat in caveats(found.table)],
        "groups": rows(groups_frame(found.table)),
        "jobs": rows(jobs_frame(found.table)),
        "page": str(found.page),
    }
    if found.table.effects:
        facts["effects"] = rows(effects_frame(found.table))
        facts["interactions"] = rows(interactions_frame(found.table))
    return facts
