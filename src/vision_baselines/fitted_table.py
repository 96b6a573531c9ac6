"""A table that fits its terminal: too wide, it is printed in blocks of columns, and no word or number is broken.

Numbers never wrap, headings and text wrap between words. What names a row stands in every block; it wraps after a
comma, and where a part of it alone would take half of the terminal, the part's middle is left out, so that two
different names still differ. Rich's own table breaks every cell at any character, so only its drawing is used here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from vision_baselines.text import told_apart

_ANY_WIDTH = 100_000
_NARROWEST_NAME = 8


class FittedTable(Table):
    """Rich's table, with its look for numbers; a column is added with ``no_wrap=True`` where its cells are numbers.

    Args:
        names: The first columns, which name a row and are repeated in each block.
        look: The lines between its cells; None for none.
    """

    def __init__(self, *, names: int = 1, look: box.Box | None = box.SIMPLE_HEAD) -> None:
        super().__init__(box=look, pad_edge=False, padding=(0, 1 if look else 2, 0, 0))
        self.names = names

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One table, or where there is no room for that, one below the other, each with the names."""
        found = [_Texts.of(console, column.header, column.cells) for column in self.columns]
        sizes = [
            _name_size(texts, options.max_width // 2 // self.names)
            if index < self.names
            else texts.size(wraps=not column.no_wrap)
            for index, (column, texts) in enumerate(zip(self.columns, found, strict=True))
        ]
        for widths in _blocks(sizes, self.names, options.max_width - self._edges(console, 0), self._edges(console, 1)):
            yield from self._block(found, widths).__rich_console__(console, options)

    def _edges(self, console: Console, columns: int) -> int:
        """Width of what stands between and beside columns: of none of them, or what each of them adds."""
        one, two = (
            Measurement.get(console, console.options.update(width=_ANY_WIDTH), self._plain([1] * number)).maximum
            for number in (1, 2)
        )
        return two - one - 1 if columns else 2 * one - two

    def _plain(self, widths: Sequence[int]) -> Table:
        table = Table(box=self.box, pad_edge=False, padding=self.padding)
        for width in widths:
            table.add_column("", width=width)
        return table

    def _block(self, found: Sequence[_Texts], widths: dict[int, int]) -> Table:
        table = Table(box=self.box, pad_edge=False, padding=self.padding)
        cells: list[Sequence[Text]] = []
        for index, width in widths.items():
            column = self.columns[index]
            table.add_column(found[index].head, justify=column.justify, overflow="fold", width=width)
            cells.append(_named(found[index].cells, width) if index < self.names else found[index].cells)
        for row, line in zip(self.rows, zip(*cells, strict=True), strict=True):
            table.add_row(*line, style=row.style, end_section=row.end_section)
        return table


@dataclass(frozen=True)
class _Size:
    """Columns that a column likes to have, and with how many it breaks no word."""

    natural: int
    least: int
    wraps: bool


@dataclass(frozen=True)
class _Texts:
    """What stands in a column."""

    head: Text
    cells: list[Text]

    @classmethod
    def of(cls, console: Console, head: object, cells: Iterable[object]) -> _Texts:
        return cls(_text(console, head), [_text(console, cell) for cell in cells])

    def size(self, *, wraps: bool) -> _Size:
        whole = [line for text in self.cells for line in text.plain.splitlines()]
        natural = max(map(cell_len, [*whole, *self.head.plain.splitlines()]), default=0)
        words = self.head.plain.split() + ([word for line in whole for word in line.split()] if wraps else whole)
        return _Size(natural, max(map(cell_len, words), default=0), wraps)


def _text(console: Console, content: object) -> Text:
    return content if isinstance(content, Text) else console.render_str(str(content), highlight=False)


def _name_size(texts: _Texts, most: int) -> _Size:
    """As wide as its longest part, but no part needs more than `most`."""
    size = texts.size(wraps=True)
    parts = {part.rstrip() for text in texts.cells for line in text.plain.splitlines() for part in _parts(line, 0)}
    head = max(map(cell_len, texts.head.plain.split()), default=0)
    return _Size(size.natural, max(head, min(max(map(cell_len, parts), default=0), most)), wraps=True)


def _blocks(sizes: Sequence[_Size], names: int, room: int, gap: int) -> Iterator[dict[int, int]]:
    """The columns of each block and their widths, the first `names` of all columns in each."""
    first, rest = list(range(min(names, len(sizes)))), list(range(names, len(sizes)))
    while True:
        block, widths = list(first), _fit([sizes[index] for index in first], room - gap * len(first))
        while rest:
            wider = _fit([sizes[index] for index in [*block, rest[0]]], room - gap * (len(block) + 1))
            if wider is None and len(block) > len(first):
                break
            block.append(rest.pop(0))
            widths = wider
            if wider is None:
                break
        if widths is None:
            widths = _squeezed([sizes[index] for index in block], len(first), room - gap * len(block))
        yield dict(zip(block, widths, strict=True))
        if not rest:
            return


def _fit(sizes: Sequence[_Size], room: int) -> list[int] | None:
    """Widths in which no word is broken; None where there is no room for them.

    Text becomes narrower before the headings of numbers do, the widest column first.
    """
    widths = [size.natural for size in sizes]
    for narrows in (lambda size: size.wraps, lambda size: True):
        while sum(widths) > room:
            able = [i for i, size in enumerate(sizes) if narrows(size) and widths[i] > size.least]
            if not able:
                break
            widths[max(able, key=lambda i: widths[i])] -= 1
    return widths if sum(widths) <= room else None


def _squeezed(sizes: Sequence[_Size], names: int, room: int) -> list[int]:
    """Widths of names and of one column that both want more than there is: the names become narrower first."""
    widths = [size.least for size in sizes]
    for least in (_NARROWEST_NAME, 1):
        for index in range(len(widths)):
            if index < names or least == 1:
                widths[index] = max(min(least, widths[index]), widths[index] - max(0, sum(widths) - room))
    return widths


def _named(cells: Sequence[Text], width: int) -> list[Text]:
    """Names in lines of at most `width`, two different ones never the same."""
    if all(cell_len(line) <= width for text in cells for line in text.plain.splitlines()):
        return list(cells)
    last = {piece.rstrip() for text in cells for line in text.plain.splitlines() for piece in _pieces(line, width)}
    is_wide = any(cell_len(piece) > len(piece) for piece in last)
    short = told_apart(sorted(last), max(1, width // 2 if is_wide else width))
    return [
        Text(
            "\n".join(
                line for whole in text.plain.splitlines() for line in _lines(_pieces(whole, width), width, short)
            ),
            style=text.style,
        )
        for text in cells
    ]


def _pieces(name: str, width: int, tier: int = 0) -> list[str]:
    """The parts of a name that stay whole: as large as fits."""
    if tier > 2 or (tier and cell_len(name.rstrip()) <= width):
        return [name]
    return [piece for part in _parts(name, tier) for piece in _pieces(part, width, tier + 1)]


def _parts(name: str, tier: int) -> list[str]:
    """A name in parts, with the spaces that follow them: of settings, of their lists, or of a path.

    >>> _parts("widths=[8,16], lr=0.1", 0), _parts("widths=[8,16]", 1), _parts("a/b", 2)
    (['widths=[8,16], ', 'lr=0.1'], ['widths=[8,', '16]'], ['a/', 'b'])
    """
    if tier == 2:
        return re.findall(r"[^/]*/|[^/]+", name)
    found, depth, start = [], 0, 0
    for end in re.finditer(r"[\[({]|[\])}]|,\s*|\s+", name):
        depth += (end[0] in "[({") - (end[0] in "])}")
        if (end[0][0] == "," or end[0].isspace()) and (tier or depth <= 0):
            found.append(name[start : end.end()])
            start = end.end()
    return [*found, name[start:]] if name[start:] or not found else found


def _lines(pieces: Iterable[str], width: int, short: dict[str, str]) -> list[str]:
    lines = [""]
    for piece in pieces:
        bare = piece.rstrip()
        shown = bare if cell_len(bare) <= width else short[bare]
        if lines[-1] and cell_len(lines[-1] + shown) > width:
            lines.append("")
        lines[-1] += shown + piece[len(bare) :]
    return [line.rstrip() for line in lines]
