"""What is printed for people fits their terminal: no word or number is broken, and in a pipe no line is."""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import re
import sys
from types import SimpleNamespace

import pytest
import yaml
from rich.cells import cell_len
from rich.console import Console

from vision_baselines import terminal
from vision_baselines.cli import entry
from vision_baselines.comparison.collection import require_records
from vision_baselines.comparison.errors import NoRecordsError
from vision_baselines.data.picture_listing import files_below
from vision_baselines.fitted_table import FittedTable
from vision_baselines.sweep.disk import look
from vision_baselines.terminal import TerminalFormatter, console, for_stream, say
from vision_baselines.text import told_apart, wrapped

WIDTHS = (60, 80, 100, 120, 200)
LENGTHS = (3, 8, 20, 29, 45, 80, 120)
KINDS = {
    "settings": "optimizer.lr=0.004044, model=cnn_rgb, data.batch_size=128, ",
    "folder": "optimizer.lr=0.004044,model=cnn_rgb,data.batch_size=128,",
    "list": "model.channels=[8,16,32,64,128], model.kernel_sizes=[3, 5, 7], ",
    "word": "abcdefghijklmnopqrstuvwxyz_",
    "path": "pictures/validation/class_seven/",
    "wide": "名前=値, ",
}
NUMBERS = {
    "validation accuracy, %": ("98.89 ± 0.48", "100.00 ± 0.00", "9.80"),
    "jobs": ("3", "3 (1 failed)", "12"),
    "95% interval": ("[97.69, 100.00]", "–", "[9.10, 10.50]"),
    "vs the chosen group": ("+12.31 p < 0.001", "baseline", "−0.50 p = 0.0496"),
    "receptive field": ("whole image", "12 px", "–"),
    "parameters": ("11,181,642", "1.23 M", "151,498"),
    "seeds needed": ("over 100,000 to find 0.20 points", "3 to find 2.31 points", "–"),
}


class Terminal(io.StringIO):
    """A terminal, as far as it is asked."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def no_notebook(monkeypatch):
    """Commands of a notebook have no lines of a terminal."""
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)


def names(kind, length, place):
    """Three names of so many characters that differ in one place: 0 at their beginning, 1 at their end."""
    whole = (KINDS[kind] * length)[:length].strip(", /").ljust(length, "x")
    at = min(int(place * length), length - 1)
    return [whole[:at] + letter + whole[at + 1 :] for letter in "XYZ"]


def drawn(table, width):
    out = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    out.print(table)
    return out.file.getvalue().splitlines()


def blocks(lines):
    """Of each block the words of its headings, and its rows: the lines of their names, and all of their first line."""
    found, heads = [], []
    for line in lines:
        parts = re.split(r"\s{2,}", line.strip())
        if set(line.strip()) == {"─"}:
            found.append((heads, []))
        elif not line.strip():
            heads = []
        elif found and found[-1][0] is heads:
            rows = found[-1][1]
            if len(parts) > 1:
                rows.append(([parts[0]], line))
            else:
                rows[-1][0].append(parts[0])
        else:
            heads += line.split()
    return found


@pytest.mark.few(12)
@pytest.mark.ci(every=4)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_no_line_is_wider_than_the_terminal_and_no_word_or_number_is_broken(width, kind, place):
    for length in LENGTHS:
        labels = names(kind, length, place)
        table = FittedTable()
        table.add_column("name")
        for head in NUMBERS:
            table.add_column(head, justify="right", no_wrap=True)
        for label, *cells in zip(labels, *NUMBERS.values(), strict=True):
            table.add_row(label, *cells)
        lines = drawn(table, width)
        assert max(map(cell_len, lines)) <= width
        shown = blocks(lines)
        assert [word for heads, _ in shown for word in heads if word == "name"] == ["name"] * len(shown)
        assert sorted(word for heads, _ in shown for word in heads if word != "name") == sorted(
            " ".join(NUMBERS).split()
        )
        text = "\n".join(lines)
        for cell in itertools.chain.from_iterable(NUMBERS.values()):
            assert re.search(rf"(^|\s){re.escape(cell)}(\s|$)", text), cell
        for _, rows in shown:
            assert len(rows) == len(labels)
            assert len({"\n".join(parts) for parts, _ in rows}) == len(labels), "two names look the same"
            for label, (parts, _) in zip(labels, rows, strict=True):
                if not any("…" in part for part in parts):
                    assert "".join(parts).replace(" ", "") == label.replace(" ", "")
                    assert all(part[-1] in ",/" or label.split(part)[1][:1] in " " for part in parts[:-1])
                elif kind != "wide":
                    assert max(map(len, re.split(r"[,/ ]+", label))) > width // 4, "shortened without need"


def test_a_table_that_fits_is_one_block_as_wide_as_its_cells():
    table = FittedTable()
    table.add_column("layer")
    table.add_column("parameters", justify="right", no_wrap=True)
    table.add_row("features.0.0", "1,234")
    assert [line.rstrip() for line in drawn(table, 80)] == [
        "", " layer         parameters", " ────────────────────────", " features.0.0       1,234", ""
    ]  # fmt: skip


def test_styles_and_sections_of_rows_stay_in_every_block():
    table = FittedTable()
    table.add_column("layer")
    for head in ("one", "two"):
        table.add_column(head, no_wrap=True)
    table.add_row("a", "1" * 30, "2" * 30)
    table.add_section()
    table.add_row("total", "3", "4", style="bold")
    out = Console(file=io.StringIO(), width=50, force_terminal=True, color_system="standard", _environ={})
    out.print(table)
    text = out.file.getvalue()
    assert text.count("\x1b[1m") >= 2
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in text.splitlines()]
    totals = [place for place, line in enumerate(plain) if line.startswith("total")]
    assert [plain[place - 1] for place in totals] == ["", ""]


@pytest.mark.parametrize("length", [8, 15, 30, 60])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_shortened_names_fit_and_differ(length, kind, place):
    many = [name for n in LENGTHS for name in names(kind, n, place)]
    many += [f"{name}, seed={seed}" for name in many for seed in range(12)]
    shown = told_apart(many, length)
    assert list(shown) == list(dict.fromkeys(many))
    assert len(set(shown.values())) == len(shown)
    assert all(len(text) <= length for text in shown.values())
    assert all(shown[name] == name for name in many if len(name) <= length)


@pytest.mark.parametrize("width", [20, 40, 80])
@pytest.mark.parametrize("indent", ["", "  ", "         "])
def test_prose_breaks_between_words_alone(width, indent):
    text = (
        indent + "a result of 98.89 ± 0.48 lies in /a/path/" + "x" * 90 + "/page.html, as-it-is, and more words follow"
    )
    lines = wrapped(text, width).split("\n")
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
    assert all(len(line) <= width or len(line.split()) == 1 for line in lines)
    assert all(line.startswith(indent) and not line[len(indent) :].startswith(" ") for line in lines)


def test_a_terminal_has_lines_and_a_pipe_has_the_whole(monkeypatch, capsys):
    text = "word " * 60 + "end"
    monkeypatch.setenv("COLUMNS", "50")
    assert max(map(len, for_stream(text, Terminal()).split("\n"))) <= 50
    assert for_stream(text, io.StringIO()) == text
    with monkeypatch.context() as notebook:
        notebook.setenv("JPY_PARENT_PID", "1")
        assert for_stream(text, Terminal()) == text
    assert for_stream(text, None) == text
    say(console(), text, mark="! ", style="yellow")
    assert capsys.readouterr().out == f"! {text}\n"
    say(Console(file=(out := Terminal()), width=50, no_color=True), text, mark="! ", style="yellow")
    assert max(map(len, re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines())) <= 50


def test_a_table_in_a_pipe_is_one_block_unless_a_width_is_asked_for(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    table = FittedTable()
    table.add_column("group")
    table.add_column("number", no_wrap=True)
    table.add_row("model=cnn, " * 30, "1" * 40)
    console().print(table)
    assert len([line for line in capsys.readouterr().out.splitlines() if line.strip()]) == 3
    monkeypatch.setenv("COLUMNS", "70")
    console().print(table)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 70


def test_messages_of_the_log_are_lines_of_the_terminal_and_tracebacks_stay(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    record = logging.LogRecord("x", logging.INFO, "", 0, "word " * 60 + "end", None, None)
    formatter = TerminalFormatter("%(message)s")
    assert "\n" not in formatter.format(record)
    monkeypatch.setattr("sys.stdout", Terminal())
    assert max(map(len, formatter.format(record).split("\n"))) <= 50


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_help_of_train_is_lines_of_the_terminal(root, monkeypatch, width):
    template = yaml.safe_load((root / "conf" / "hydra" / "help" / "vision_baselines.yaml").read_text())["template"]
    groups = "experiment: " + ", ".join(f"some_experiment_{n}" for n in range(40))
    text = template.replace("$APP_CONFIG_GROUPS", groups)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.argv", ["train.py", "--help"])
    monkeypatch.setattr("sys.stdout", out := Terminal())
    with entry._help_in_lines():
        sys.stdout.write(f"{text}\n")
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert out.getvalue().split() == text.split()
    assert width < 80 or all(line in lines for line in template.splitlines() if "python" in line), "to be copied"


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A folder with 30 folders, each of which takes half a second to look at."""
    for name in range(30):
        (tmp_path / str(name)).mkdir()
    monkeypatch.setattr(terminal, "time", SimpleNamespace(monotonic=itertools.count(0, 0.5).__next__))
    return tmp_path


@pytest.mark.parametrize(
    ("what", "walk"),
    [
        ("looking for runs in", lambda top: require_records([top])),
        ("looking through", look),
        ("looking for files in", lambda top: list(files_below(top, "", []))),
    ],
)
def test_what_takes_long_to_look_through_is_said_after_a_second_and_then_every_ten(folders, capsys, what, walk):
    with contextlib.suppress(NoRecordsError):
        walk(folders)
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith(what) and str(folders) in line for line in lines] == [True, True]
