"""The page of a large comparison: bounded, and with the same in it as that of a small one."""

from __future__ import annotations

import base64
import gzip
import json
import re

import pytest
from tests.comparison.conftest import full_record

from vision_baselines.comparison.collection import Collection, Job
from vision_baselines.comparison.table import tabulate
from vision_baselines.report import packed
from vision_baselines.report.page import page


def table_of(tmp_path, n, groups):
    jobs = []
    for place in range(n):
        extra = {"optimizer.lr": f"{0.001 * (1 + place % groups)}"}
        made = full_record("cnn", place // groups, extra, epochs=6, shift=0.0, sweep="big")
        jobs.append(Job(tmp_path / made.name, made.name, made))
    return tabulate(Collection(tuple(jobs)))


def unpacked(text):
    return gzip.decompress(base64.b64decode(text)).decode()


def in_packed(html):
    [text] = re.findall(r'id="packed-jobs">([^<]*)<', html)
    return json.loads(unpacked(text))


def said(parts, read):
    """What the parts of the page say, job by job, as its script reads them."""
    coded = [read(part) for part in parts]
    return [value for one in coded for value in (map(one[0].__getitem__, one[1]) if len(one) > 1 else one[0])]


def test_every_job_of_a_large_sweep_is_in_the_page_with_what_a_small_page_says(tmp_path, monkeypatch):
    table = table_of(tmp_path, 30, 5)
    small = page(table, None, tmp_path / "comparison")
    assert 'id="packed-jobs"' not in small
    monkeypatch.setattr("vision_baselines.report.page.JOBS_INLINE", 20)
    large = page(table, None, tmp_path / "comparison")
    found = in_packed(large)
    parts, columns = found["parts"], [name for name, *_ in found["of_all"]["columns"]]
    assert sum(part["n"] for part in parts) == 30
    named = {key: said(parts, lambda part, key=key: part[key]) for key in ("names", "facts", "says", "across", "down")}
    titles = [title for title, _ in parts[0]["results"]]
    results = [said(parts, lambda part, at=at: part["results"][at][1]) for at in range(len(titles))]
    own = [said(parts, lambda part, at=at: part["own"][at]) for at in range(len(found["of_all"]["settings"]))]
    texts = {name: said(parts, lambda part, at=at: part["text"][at]) for at, name in enumerate(columns)}
    for place, job in enumerate(table.jobs):
        assert named["names"][place] == job.record.name
        assert named["facts"][place] in small
        assert named["says"][place] in small
        assert len(named["across"][place].split()) == len(named["down"][place].split()) == 6
        settings = dict(zip(found["of_all"]["settings"], [each[place] for each in own], strict=True))
        assert settings["seed"] == str(job.record.seed)
        assert f"{100 * job.record.metrics['test/acc']:.2f}%" in [each[place] for each in results]
        assert texts["value"][place] == f"{100 * job.record.metrics['test/acc']:.2f}"
        assert texts["seed"][place] == str(job.record.seed)


def test_rows_beyond_the_first_are_the_rows_of_the_whole_table(tmp_path, monkeypatch):
    table = table_of(tmp_path, 60, 30)
    whole = page(table, None)
    monkeypatch.setattr("vision_baselines.report.page.ROWS_INLINE", 20)
    monkeypatch.setattr("vision_baselines.report.page.ROWS_FIRST", 15)
    cut = page(table, None)
    rows = [line for text in re.findall(r'class="packed">([^<]*)<', cut) for line in unpacked(text).splitlines()]
    rows = [line for line in rows if line.startswith("<tr")]
    assert len(rows) >= 15
    assert all(line in whole for line in rows)
    assert sorted(re.findall(r"<tr.*", cut) + rows) == sorted(re.findall(r"<tr.*", whole))


def test_packing_is_reproducible():
    assert packed.packed(["text"]) == packed.packed(["text"])
    assert unpacked(packed.packed(["tä", "xt"])) == "täxt"


@pytest.mark.slow
def test_a_job_takes_less_than_a_hundred_bytes_of_a_large_page(tmp_path):
    few, many = (page(table_of(tmp_path, n, 10), None, tmp_path / "comparison") for n in (500, 1500))
    assert len(many) - len(few) < 1000 * 100
