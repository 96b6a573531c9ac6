"""The page: complete, self-contained, and unbreakable from inside."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from vision_baselines.comparison.collection import Collection, Job, collect
from vision_baselines.comparison.table import tabulate
from vision_baselines.report.cells import breakable_head
from vision_baselines.report.page import page
from vision_baselines.report.write import compare, is_comparison_file
from vision_baselines.report.written import read_written
from vision_baselines.runs.record import DataFacts, EpochRow, Failure, SplitFacts

ATTACKS = [
    "<script>alert(1)</script>",
    "</style></svg><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "javascript:alert(1)",
    "{{7*7}}${7*7}",
    "]]>--><!--",
    "\x00\x1b[31mred\u202eltr",
    "\udcff",
]


class Reader(HTMLParser):
    """Collects what a browser would see: tags, attributes, text, and tags left open."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = Counter(), [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in ("meta", "link", "img", "wbr", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def made(tmp_path_factory, full_sweep, failed, write):
    folder = full_sweep(tmp_path_factory.mktemp("outputs") / "fashion", ["cnn", "fc"], 3, epochs=4)
    write(folder, failed("model=fc,seed=3", sweep="fashion"))
    return compare([folder])


@pytest.mark.slow
@pytest.mark.ci
def test_every_file_of_a_comparison_is_known_as_one_for_its_removal(made):
    left = {path.relative_to(made.out).as_posix() for path in made.out.rglob("*") if path.is_file()}
    assert {"jobs.csv", "comparison.html", ".lock"} <= left
    assert [name for name in left if not is_comparison_file(name)] == []
    listed = read_written(made.out)
    assert set(listed) == left - {".lock", ".files.json", ".records.cache"}  # the cache grows with every comparison
    for name, digest in listed.items():
        assert hashlib.sha256((made.out / name).read_bytes()).hexdigest() == digest
    assert not any(map(is_comparison_file, ["notes.md", "pictures/../jobs.csv", "jobs.csv.bak", "a/jobs.csv"]))


def test_the_page_has_every_section_with_its_content(made):
    html = made.page.read_text()
    found = read(html)
    shown = "".join(found.texts)

    assert [value for name, value in found.attributes if name == "href" and value.startswith("#")][:8] == [
        "#results", "#read-against", "#figures", "#filters", "#confusion", "#failures", "#jobs", "#provenance"
    ]  # fmt: skip
    assert {"results", "figures", "filters", "confusion", "failures", "jobs", "provenance"} <= {
        value for name, value in found.attributes if name == "id"
    }
    assert "model=cnn beats model=fc by" in shown
    assert "RuntimeError: kernel size 31 exceeds the padded input (28)" in shown
    assert "scripts/train.py -m name=fashion model=cnn,fc,gated_mlp seed=0,1,2,3,4" in shown
    assert "2.13.0" in shown
    assert "optimizer.weight_decay" in shown
    assert found.tags["img"] == 4  # two groups, on the shared scale and on their own


def test_the_page_asks_nobody_for_anything(made):
    html = made.page.read_text()
    found = read(html)
    sources = [
        v for n, v in found.attributes if n in ("src", "href", "xlink:href", "action", "srcset", "data", "poster")
    ]

    # "../" are the files of the runs, beside the page's folder
    assert all(value.startswith(("#", "data:image/png;base64,", "data:,", "../")) for value in sources)
    assert not re.findall(r"https?:|//\w+\.|@import|url\((?!#)", html)
    assert not {"iframe", "object", "embed", "form", "base"} & set(found.tags)


def test_the_policy_allows_the_page_s_own_script_and_no_request(made):
    html = made.page.read_text()
    policy = next(v for n, v in read(html).attributes if n == "content" and "default-src" in v)
    [script] = re.findall(r"<script>(.*?)</script>", html, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    assert policy.startswith("default-src 'none';")
    assert re.findall(r"script-src ([^;]*)", policy) == [f"'sha256-{digest}'"]
    assert not re.findall(r"https?:|connect-src|font-src|frame-src|unsafe-eval|\*", policy)


@pytest.mark.parametrize(
    ("head", "lines"),
    [
        ("difference to model.downsample=none", ["difference to model.", "downsample=", "none"]),
        ("vs optimizer.lr=0.001,model=cnn_gap", ["vs optimizer.", "lr=", "0.001,model=", "cnn_", "gap"]),
        ("95% interval", ["95% interval"]),
        ("<b>=", ["&lt;b&gt;=", ""]),
    ],
)
def test_a_setting_in_a_head_may_be_broken_and_a_number_may_not(head, lines):
    assert breakable_head(head).split("<wbr>") == lines


def test_a_page_without_pictures_is_complete_but_for_them(tmp_path, full_sweep):
    folder = full_sweep(tmp_path / "fashion", ["cnn", "fc"], 3, epochs=2)
    html = page(tabulate(collect([folder])), None)
    found = read(html)

    assert "Curves, costs and filters are drawn when the sweep ends" in "".join(found.texts)
    assert found.tags["figure"] == 2  # the intervals, which need no Matplotlib
    assert {"results", "figures", "jobs", "provenance"} <= {v for n, v in found.attributes if n == "id"}


@pytest.mark.slow
@pytest.mark.ci
def test_the_same_records_give_the_same_page(made):
    first = made.page.read_bytes()

    assert compare([made.out.parent]).page.read_bytes() == first


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        (
            {"splits": {"train": SplitFacts(size=1257), "val": SplitFacts(size=180, cut_from="train")}},
            "180, cut from train",
        ),
        ({"splits": {"test": SplitFacts(size=0)}}, ">test</td><td><code>0<"),
        ({"duplicates": {"train and test": 3}}, "train and test</td><td><code>3 images<"),
        ({"left_out": ["cat/1.jpg: cut short"]}, "1 file: cat/1.jpg: cut short"),
        ({"left_out": [f"cat/{n}.jpg: cut short" for n in range(40)]}, "40 files: cat/0.jpg: cut short"),
        ({"notes": ["Test was taken for test"]}, "Test was taken for test"),
        ({"notes": ["<script>"]}, "&lt;script&gt;"),
        ({}, "16 × 12 px, 3 ch, 2 classes"),
    ],
)
def test_the_page_says_what_the_runs_saw_of_their_data(record, facts, shown):
    data = {"num_classes": 2, "image_shape": [3, 16, 12], "mean": [0.5], "std": [0.2], "splits": {}} | facts
    made = record("seed=0", data=DataFacts(**data), data_sha256="ab" * 32)
    html = page(tabulate(Collection((Job(Path("0"), "place", made),))), None)

    assert shown in html
    assert "ab" * 32 in html


def test_runs_of_other_data_stand_side_by_side(record):
    jobs = [
        Job(
            Path(str(n)),
            "place",
            record(
                f"data.train_fraction={n},seed=0",
                data=DataFacts(
                    num_classes=2,
                    image_shape=[1, 8, 8],
                    mean=[0.5],
                    std=[0.2],
                    splits={"train": SplitFacts(size=10 * n)},
                ),
                data_sha256=str(n) * 64,
            ),
        )
        for n in range(1, 10)
    ]
    html = page(tabulate(Collection(tuple(jobs))), None)

    assert '<td><code class="bad">10</code></td><td><code class="bad">20</code></td>' in html
    assert "3 more are left out" in html


def poisoned(record, failed, environment, attack):
    """A finished and a failed job with `attack` in every field that is text."""
    facts = {
        "config": {"model": {attack: attack}, "seed": 0},
        "sweep": attack,
        "class_names": [attack, "b"],
        "confusion": [[1, 0], [0, 1]],
        "command": ["train.py", attack],
        "history": [EpochRow(epoch=0, step=1, lr=0.1, metrics={"val/acc": 0.5, "train/loss": 1.0, attack: 1.0})],
        "environment": environment(versions={attack: attack}, device=attack, git_commit=attack),
        "data_sha256": attack,
    }
    metrics = {"test/acc": 0.9, f"test/{attack}": 0.5}
    failure = Failure(kind=attack, message=attack, traceback=attack)
    return (
        record([f"model={attack}", "seed=0"], metrics=metrics, **facts),
        failed([f"model={attack}", "seed=1"], failure=failure, **facts),
    )


@pytest.mark.slow
@pytest.mark.ci
def test_whatever_enters_from_a_run_stays_text(tmp_path, record, failed, environment):
    folder = tmp_path / "sweep"
    for place, attack in enumerate(ATTACKS):
        for made in poisoned(record, failed, environment, attack):
            target = folder / f"{place}-{made.status}"
            target.mkdir(parents=True)
            # Not `write`: a lone surrogate can be in JSON as an escape only.
            (target / "run.json").write_text(json.dumps(made.model_dump(), default=str))
            np.save(target / "filters.npy", np.ones((2, 1, 3, 3), dtype=np.float32))

    comparison = compare([folder])
    html, markdown = comparison.page.read_text(), (comparison.out / "comparison.md").read_text()
    found = read(html)
    shown = "".join(found.texts)

    assert len(comparison.table.rows) == len(ATTACKS)
    assert comparison.table.unreadable == ()
    assert not {"iframe", "object", "embed", "form", "base", "foreignobject"} & set(found.tags)
    assert found.tags["script"] == 1  # the page's own
    assert not [name for name, _ in found.attributes if name.startswith("on") or name == "autofocus"]
    assert not [v for n, v in found.attributes if n in ("src", "href", "xlink:href") and "javascript" in (v or "")]
    assert not re.search("[\x00\x1b\u202e]", html + markdown)
    assert not re.search(r"<\w", markdown)
    for attack in ATTACKS[:7]:
        assert f"model={attack}" in shown


def test_only_broken_records_still_make_a_page(tmp_path):
    (tmp_path / "sweep" / "x").mkdir(parents=True)
    (tmp_path / "sweep" / "x" / "run.json").write_text("<html>")
    shown = "".join(read(compare([tmp_path / "sweep"]).page.read_text()).texts)

    assert "No job has a result." in shown
    assert "The record cannot be read" in shown


@pytest.mark.few(2)
@pytest.mark.parametrize("channels", [[1], [3], [1, 3], [3, 3], [2, 3]])
def test_a_scale_is_of_the_filters_that_it_is_above(channels, tmp_path, record):
    folder = tmp_path / "sweep"
    for group, count in enumerate(channels):
        for seed in range(2):
            place = folder / f"model=net{group},seed={seed}"
            record([f"model=net{group}", f"seed={seed}"], seed=seed).write(place)
            np.save(place / "filters.npy", np.ones((2, count, 3, 3), dtype=np.float32))
    html = compare([folder]).page.read_text()
    ramp, coloured = 'class="ramp"' in html, "are red, green and blue: grey is 0" in html
    assert (ramp, coloured) == (channels != [3] * len(channels), 3 in channels)
    assert ("Input channels of model=net1 are red" in html) is (len(channels) == 2 and channels[0] != 3)
