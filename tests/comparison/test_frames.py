"""The CSV files: complete, exact, and harmless in a spreadsheet."""

from __future__ import annotations

import io
import os
import re
from csv import DictReader
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vision_baselines.cli.outputs import PRINTED, deliver
from vision_baselines.comparison.collection import Collection, Job, Unreadable
from vision_baselines.comparison.table import tabulate
from vision_baselines.report.csv_files import csv_files
from vision_baselines.report.frames import csv


def table_of(*records, unreadable=()):
    jobs = tuple(Job(Path(str(n)), f"place{n}", found) for n, found in enumerate(records))
    return tabulate(Collection(jobs, tuple(unreadable)))


def read(content):
    return pd.read_csv(io.BytesIO(content))


def test_every_record_is_a_row_and_failures_have_their_reason(record, failed):
    table = table_of(record("model=cnn,seed=0"), failed("model=fc,seed=0"), unreadable=[Unreadable("s/x", "cut short")])
    frame = read(csv_files(table)["jobs.csv"])

    assert frame["status"].tolist() == ["finished", "failed", "unreadable"]
    assert frame["reason"].fillna("").tolist() == [
        "",
        "RuntimeError: kernel size 31 exceeds the padded input (28)",
        "cut short",
    ]


def test_numbers_survive_to_the_last_digit(record):
    value = 0.1 + 0.2
    frame = read(csv_files(table_of(record("seed=0", value)))["jobs.csv"])

    assert frame["test/acc"][0] == value


def test_groups_hold_counts_summaries_and_differences(record, failed):
    records = [record(f"model={m},seed={s}", a + s / 100) for m, a in (("cnn", 0.5), ("fc", 0.4)) for s in range(3)]
    frame = read(csv_files(table_of(*records, failed("model=cnn,seed=9")))["groups.csv"]).set_index("group")

    assert frame.loc["model=cnn", ["n_finished", "n_failed"]].tolist() == [3, 1]
    assert frame.loc["model=cnn", "test/acc mean"] == pytest.approx(0.51)
    assert frame.loc["model=cnn", "test/acc best"] == pytest.approx(0.52)
    assert frame.loc["model=cnn", "test/acc difference mean"] == pytest.approx(0.1)
    assert pd.isna(frame.loc["model=fc", "test/acc difference mean"])


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r@", "\n+", " ="])
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe(failed, start):
    made = failed([f"{start}cmd|'/c calc'!A0"], name=f"{start}x", metrics={f"{start}m": 1.0})
    frame = read(csv_files(table_of(made))["jobs.csv"])

    assert frame["job"][0].startswith("'")
    assert frame["overrides"][0].startswith("'")
    assert not [
        cell for cell in [*frame.columns, *frame.iloc[0]] if str(cell).lstrip().startswith(("=", "+", "-", "@"))
    ]


def test_negative_numbers_stay_numbers(record):
    frame = read(csv_files(table_of(record("seed=0", metrics={"test/acc": 0.5, "test/score": -1.5})))["jobs.csv"])

    assert frame["test/score"][0] == -1.5


def test_a_comparison_of_nothing_readable_is_still_a_table():
    table = table_of(unreadable=[Unreadable("s/x", "cut short")])

    assert read(csv_files(table)["jobs.csv"])["status"].tolist() == ["unreadable"]
    assert csv_files(table)["groups.csv"].startswith(b"group,n_finished,")
    assert csv_files(table)["groups.csv"].count(b"\n") == 1


NAMES = ["a\nb.png", "a\x1b[31mb.png", "a  b.png", "a\rb.png", 'a"b,c.png', "\ta.png", "a\u202eb.png"]


def test_a_reader_of_csv_has_the_name_of_a_file_again():
    text = csv(pd.DataFrame({"file": NAMES, "p": np.float32(0.1)})).decode()
    assert [row["file"] for row in DictReader(io.StringIO(text, newline=""))] == NAMES
    assert pd.read_csv(io.StringIO(text, newline=""))["file"].tolist() == NAMES
    assert "0.1" in text


def test_in_csv_no_spreadsheet_runs_a_name_and_bytes_that_are_not_utf_8_are_spelled_out():
    assert csv(pd.DataFrame({"=x": ["=1", os.fsdecode(b"caf\xe9")]})) == b"'=x\n'=1\ncaf\\udce9\n"


def test_csv_for_a_terminal_cannot_act_on_it(capsys, monkeypatch):
    content = csv(pd.DataFrame({"file": NAMES}))
    deliver(PRINTED, content)
    assert capsys.readouterr().out == content.decode()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    deliver(PRINTED, content)
    assert not re.search("[\x00-\x08\x0b-\x1f]", capsys.readouterr().out)
