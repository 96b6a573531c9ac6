r"""The comparison for a paper: a booktabs table, and macros such as ``\acc{cnn}{demo}``, each with a receipt.

A receipt is a comment that says which figure of which sweep the line is, and a digest of the runs that it rests on;
`paper` reads it back and holds the line against the records. Needs the LaTeX package booktabs, and e-TeX's
``\ifcsname``, which every LaTeX of the last twenty years has.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from vision_baselines.comparison.formatting import capital, one_line
from vision_baselines.comparison.provenance import runs_sha256
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.comparison.verdict import headline, winner
from vision_baselines.report.columns import Column, chosen
from vision_baselines.report.tables import group_columns

RECEIPT = "% vision-baselines "
_SHOWN = ("group", "n", "mean", "interval", "difference", "difference interval", "p", "verdict")
# What follows the metric in a macro's name, and the column it takes its text from.
_MACROS = {"": "mean", "ci": "interval", "n": "n", "diff": "difference", "diffci": "difference interval", "p": "p"}
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEXT = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": "$-$", "–": "--", "×": r"$\times$",
    "<": r"\textless{}", ">": r"\textgreater{}", "μ": r"\textmu{}", "…": r"\dots{}",
})  # fmt: skip


def latex(table: ComparisonTable, options: Mapping[str, Any]) -> str:
    """Macros and table; ends with a newline.

    Args:
        table: The comparison.
        options: How it was asked for, as `tabulate` takes them, so that a check can make it again.
    """
    columns, bold = group_columns(table), winner(table)
    heads = chosen(columns, _SHOWN)
    asked = {"sweeps": list(table.sweeps), **{key: value for key, value in options.items() if value is not None}}
    described = json.dumps(asked, sort_keys=True)
    key = hashlib.sha256(described.encode()).hexdigest()[:8]
    alignment = "".join("r" if column.is_number else "l" for column in heads)
    unit = f", in {table.metric.unit}" if table.metric.unit else ""
    return "\n".join(
        [
            f"% {_comment(headline(table))}",
            f"% {capital(table.metric.title)}{unit}. Is it still so? compare.py --check THIS_FILE",
            f"{RECEIPT}{key} {described}",
            *_definitions(table, columns, key),
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            " & ".join(_heading(column.head) for column in heads) + r" \\",
            r"\midrule",
            *(_row(row, heads, key, row.label == bold) for row in table.shown()),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def receipts(text: str) -> Iterator[tuple[int, str, str, dict[str, Any] | str]]:
    """Each line of a LaTeX file that has a receipt.

    Yields:
        The line's number from 1, the line without its receipt, the key of the comparison, and what the receipt says: a
        mapping for the comparison's own, which has no figure, and the rest of the line for a figure's.

    Raises:
        ValueError: A receipt is damaged: its line.
    """
    for number, line in enumerate(text.splitlines(), 1):
        shown, mark, said = line.rpartition(RECEIPT)
        if not mark:
            continue
        key, _, rest = said.strip().partition(" ")
        try:
            found = json.loads(rest) if rest.startswith("{") else rest
        except ValueError as error:
            raise ValueError(
                f"line {number} has a damaged receipt, which may be cut off; format=latex prints the whole again"
            ) from error
        yield number, shown.strip(), key, found


def _definitions(table: ComparisonTable, columns: list[Column[GroupRow]], key: str) -> Iterator[str]:
    sweep = _name(" + ".join(table.sweeps))
    by_name = {column.name: column for column in columns}
    for ending, column in _MACROS.items():
        if column not in by_name:
            continue
        macro = _letters(table.metric.name.removeprefix("test/")) + ending
        yield (
            rf"\ifcsname vb@{macro}@known\endcsname\else\newcommand{{\{macro}}}[2]{{"
            rf"\ifcsname vb@{macro}@#1@#2\endcsname\csname vb@{macro}@#1@#2\endcsname"
            rf"\else\errmessage{{no \string\{macro}{{#1}}{{#2}}}}\fi}}"
            rf"\expandafter\def\csname vb@{macro}@known\endcsname{{}}\fi"
        )
        for name, row in _names(table):
            text = _escaped(by_name[column].write(row))
            definition = rf"\expandafter\def\csname vb@{macro}@{name}@{sweep}\endcsname{{{text}}}"
            yield f"{definition} {RECEIPT}{key} \\{macro}{{{name}}}{{{sweep}}} {runs_sha256(row.counted)[:12]}"


def _row(row: GroupRow, columns: list[Column[GroupRow]], key: str, is_bold: bool) -> str:
    cells = [_escaped(column.write(row)) for column in columns]
    if is_bold:
        cells = [
            rf"\textbf{{{cell}}}" if column.name in ("group", "mean") else cell
            for column, cell in zip(columns, cells, strict=True)
        ]
    return rf"{' & '.join(cells)} \\ {RECEIPT}{key} row {_name(row.label)} {runs_sha256(row.counted)[:12]}"


def _names(table: ComparisonTable) -> list[tuple[str, GroupRow]]:
    """What stands for each group in a macro: ``cnn`` for ``model=cnn``, where that is no other group's name too."""
    rows = (*table.rows, *table.fresh)
    short = [_name(row.label.removeprefix("model=")) for row in rows]
    return [
        (name if short.count(name) == 1 else f"{_name(row.label)}-{place}", row)
        for place, (name, row) in enumerate(zip(short, rows, strict=True))
    ]


def _name(label: str) -> str:
    r"""`label` with a hyphen for whatever TeX might act on.

    >>> _name("model=cnn, model.channels=[2,3]")
    'model=cnn,model.channels=[2,3]'
    """
    return re.sub(r"[^\w.,=:+\[\]/-]|[^\x00-\x7f]", "-", label.replace(" ", "").replace("_", "-"))


def _letters(name: str) -> str:
    """A macro's name: TeX takes letters only.

    >>> _letters("acc"), _letters("val/f1")
    ('acc', 'valfone')
    """
    spelled = re.sub("[0-9]", lambda digit: _DIGITS[int(digit[0])], name)
    return re.sub(r"[^A-Za-z]", "", spelled) or "metric"


def _escaped(text: str) -> str:
    r"""Foreign text on one line, which TeX takes literally.

    >>> _escaped("model=res_net 50% ± 2")
    'model=res\\_net 50\\% $\\pm$ 2'
    """
    return _comment(text).translate(_TEXT)


def _comment(text: str) -> str:
    """Foreign text on one line that is no receipt."""
    return one_line(text).replace(RECEIPT.strip(), RECEIPT.strip().replace(" ", ""))


def _heading(text: str) -> str:
    return _escaped(capital(text) if len(text) > 1 else text)
