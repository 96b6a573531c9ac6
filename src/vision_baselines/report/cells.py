"""The cells of the page's tables as markup: a group with its sign, a job as a link, a number with its exact value.

Written here and not in the template, since a comparison of a thousand jobs has tens of thousands of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

from vision_baselines.comparison.formatting import printable
from vision_baselines.report.columns import Column
from vision_baselines.report.job_details import job_key
from vision_baselines.report.marks import SHOWN, is_folded

_LONG_PART, _VERY_LONG_PART = 14, 24
_SEAM = re.compile(r"(?<=[_=])|(?<=\.)(?=[A-Za-z])")


@dataclass
class Cells:
    """Writes rows; `names`, `places` and `marks` are of groups by label, `line_marks` of lines.

    `job_places` are those of jobs in the page, by the identity of the job.
    """

    table: Any
    names: Mapping[str, str]
    places: Mapping[str, int]
    marks: Mapping[str, Markup]
    line_marks: Mapping[str, Markup]
    job_places: Mapping[int, int]
    _groups: dict[tuple[str, str | None, str], Markup] = field(default_factory=dict)

    def data_group(self, label: str) -> Markup:
        """The attribute by which a group's elements are coloured and hidden; nothing for what is no group."""
        return Markup(f' data-group="{self.places[label]}"') if label in self.places else Markup("")

    def group(self, label: str, text: str | None = None, mark: Markup | None = None) -> Markup:
        """A sign, and the label or another `text`; the whole label where one points."""
        key = (label, text, mark or "")
        if key not in self._groups:
            shown = self.names.get(label, label) if text is None else text
            title = Markup(' title="{}"').format(printable(label)) if shown != label else ""
            of = self.data_group(label) if mark is None else ""
            sign = self.marks[label] if mark is None else mark
            self._groups[key] = Markup(f'<span class="group"{title}{of}>{sign}<span>{breakable(shown)}</span></span>')
        return self._groups[key]

    def cell(self, column: Column[Any], item: Any) -> Markup:
        """What stands in a cell."""
        text = column.write(item)
        if column.name == "group":
            return self.group(text)
        if column.name == "line":
            return self.group(text, mark=self.line_marks[text])
        if column.name == "job":
            return Markup(f'<a href="#{job_key(self.job_places[id(item.job)])}">{self.group(item.group, text)}</a>')
        tone, plain = column.tone(item), _plain(text)
        return Markup(f'<span class="{tone}">{plain}</span>') if tone else plain

    def rows(
        self, columns: Sequence[Column[Any]], items: Sequence[Any], limit: int = SHOWN, narrow: Sequence[str] = ()
    ) -> Iterator[Markup]:
        """A row an item; those beyond `limit` can be folded away, in a narrow window also columns not in `narrow`."""
        attributes = [self.classes(column, narrow) for column in columns]
        for position, item in enumerate(items):
            folded = is_folded(position, item, self.table, limit)
            kept = ' class="rest"' if folded else ' data-kept="1"' if position >= limit else ""
            cells = "".join([self._in_row(*of, item) for of in zip(columns, attributes, strict=True)])
            yield Markup(f"<tr{self.data_group(label_of(item))}{kept}>{cells}</tr>")

    def classes(self, column: Column[Any], narrow: Sequence[str] = ()) -> Markup:
        """The attribute of a column's cells and of its head."""
        names = ["number"] * column.is_number + ["minor"] * (bool(narrow) and column.name not in narrow)
        return Markup(' class="{}"').format(" ".join(names)) if names else Markup("")

    def _in_row(self, column: Column[Any], attribute: Markup, item: Any) -> str:
        value = column.sort_value(item)
        exact = "" if value is None else f' data-value="{value}"'
        return f"<td{attribute}{exact}>{self.cell(column, item)}</td>"


@lru_cache(maxsize=2**14, typed=True)  # most of a table is what it was after the last job, and many cells are alike
def _plain(text: str) -> Markup:
    return escape(printable(text))


def label_of(item: Any) -> str:
    """The label of the group that a row of a table is about; empty where it is about none."""
    found = next((getattr(item, name) for name in ("group", "comparison", "label") if hasattr(item, name)), "")
    return str(found)


def breakable(label: str) -> Markup:
    """A group's label that may be broken where its parts end, in a long part also inside it, and not in a number."""
    parts = re.split(r"(?<=[,/])", printable(label))
    return Markup("<wbr>").join(piece for part in parts for piece in _pieces(part))


def breakable_head(head: str) -> Markup:
    """A column's head that may be broken inside a setting that it names, as it is wider than the column's numbers."""
    return Markup("<wbr>").join(_SEAM.split(printable(head)))


def _pieces(part: str) -> list[str]:
    if len(part) > _VERY_LONG_PART:
        return _SEAM.split(part)
    return re.split(r"(?<==)", part) if len(part) > _LONG_PART else [part]
