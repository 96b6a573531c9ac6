"""What makes the page one to work with, as far as it stands in the markup: order, folds, values, names, links."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from matplotlib.colors import to_hex

from vision_baselines.comparison.collection import Collection, Job
from vision_baselines.comparison.table import tabulate
from vision_baselines.plots import style
from vision_baselines.plots.interval_rows import accuracy_chart, difference_chart
from vision_baselines.report.dots import dots_chart, limits, ticks
from vision_baselines.report.job_details import SettingsOfJobs, job_details
from vision_baselines.report.marks import color_rules, short_names, signs
from vision_baselines.report.page import page
from vision_baselines.report.pictures import draw
from vision_baselines.report.tables import job_rows


def table_of(records, **options):
    jobs = [Job(Path(f"/outputs/sweep/{n}"), f"sweep/{n}", found) for n, found in enumerate(records)]
    return tabulate(Collection(tuple(jobs)), **options)


def many(record, n, seeds=2):
    """Groups whose validation and test accuracies are in opposite order."""
    return [
        record(
            f"optimizer.lr={group / 1000:g},model=cnn,seed={seed}",
            name=f"lr={group} {seed}",
            metrics={"val/acc": 0.5 + group / 100 + seed / 1000, "test/acc": 0.9 - group / 100 + seed / 1000},
        )
        for group in range(n)
        for seed in range(seeds)
    ]


class Tables(HTMLParser):
    """Rows of every table by the name of its region, with the attributes of each row and the text of its cells."""

    def __init__(self, html):
        super().__init__()
        self.tables, self.name = {}, ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if "region" in found.get("role", ""):
            self.name = found.get("aria-label", "")
        if tag == "tr":
            self.tables.setdefault(self.name, []).append((found, []))
        if tag in ("td", "th"):
            self.tables[self.name][-1][1].append([found, ""])

    def handle_data(self, data):
        if self.name in self.tables and self.tables[self.name][-1][1]:
            self.tables[self.name][-1][1][-1][1] += data


def test_groups_are_in_the_order_of_validation_and_beyond_a_dozen_folded(record):
    html = page(table_of(many(record, 15)), None)
    _, *rows = Tables(html).tables["Results"]
    texts = [cells[0][1].strip() for _, cells in rows]

    assert texts == [f"lr={group / 1000:g}" for group in reversed(range(15))]
    assert [attributes.get("class") for attributes, _ in rows] == [None] * 12 + ["rest"] * 3
    assert "Show all 15" in html


def test_twelve_groups_are_not_folded_and_the_baseline_never_is(record):
    assert "Show all" not in page(table_of(many(record, 12)), None)

    table = table_of(many(record, 20), baseline="optimizer.lr=0")
    kept = [
        cells[0][1] for attributes, cells in Tables(page(table, None)).tables["Results"] if "data-kept" in attributes
    ]
    assert [text.strip() for text in kept] == ["lr=0"]


def test_a_number_is_sorted_by_its_exact_value(record):
    rows = Tables(page(table_of(many(record, 3)), None)).tables["Results"]
    heads = [text.strip() for _, text in rows[0][1]]
    place = heads.index("test accuracy, %")

    assert [float(row[place][0]["data-value"]) for _, row in rows[1:]] == pytest.approx([0.8805, 0.8905, 0.9005])


@pytest.mark.parametrize("n", [2, 8, 9, 40])
def test_colours_are_for_what_is_chosen_and_no_two_of_these_have_the_same(record, n):
    found = signs(table_of(many(record, n, seeds=1)))
    colors = [sign.color for sign in found if sign.color is not None]

    assert len(set(colors)) == len(colors) == (n if n <= 8 else 6)
    if n > 8:
        assert [sign.color for sign in found[:6]] == list(range(6))  # the best ones
        assert str(color_rules(found)).count("--other") == n - 6


def test_names_say_no_more_than_tells_groups_apart():
    assert short_names(["model=cnn, optimizer.lr=0.1", "model=fc, optimizer.lr=0.1"]) == {
        "model=cnn, optimizer.lr=0.1": "model=cnn, lr=0.1",
        "model=fc, optimizer.lr=0.1": "model=fc, lr=0.1",
    }
    for labels in (
        ["a.size=1, b.size=2", "a.size=2, b.size=1"],  # two keys with one ending
        ["size=1, b.size=2", "size=2, b.size=1"],
        ["a.b", "x.y=<script>", "f(a.b=1)"],
    ):
        short = short_names(labels)
        assert len(set(short.values())) == len(labels)
    assert short_names(["a.size=1, b.size=2"]) == {"a.size=1, b.size=2": "a.size=1, b.size=2"}


@pytest.mark.parametrize("values", [[1.0, 1.0], [0.0, 0.0], [0.2, 0.9], [0.995, 1.0], [0.5]])
def test_an_axis_never_leaves_what_is_possible(values):
    low, high = limits(values, (0.0, 1.0))

    assert 0 <= low <= min(values)
    assert max(values) <= high <= 1
    assert low < high
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks(low, high))
    assert 1 <= len(ticks(low, high)) <= 7


def test_marks_stand_inside_the_chart_and_intervals_end_where_values_do(record):
    records = [record(f"model={m},seed={s}", [0.999, 0.2, 1.0][s]) for m in ("a", "b") for s in range(3)]
    table = table_of(records, baseline="model=a")
    for chart in (accuracy_chart(table), difference_chart(table)):
        drawn = dots_chart(chart)
        places = [at for row in drawn.rows for at in (row.mean, row.low, row.high, *row.runs) if at]
        assert places
        assert all(0 <= float(at.rstrip("%")) <= 100 for at in places)
    assert {text for _, text in dots_chart(accuracy_chart(table)).ticks} <= {"0", "20", "40", "60", "80", "100"}


@pytest.mark.parametrize("lead", [-0.3, 0.0, 0.001, 0.3])
def test_zero_is_seen_on_an_axis_of_differences(record, lead):
    values = {"a": [0.5, 0.5, 0.51], "b": [0.5 + lead, 0.502 + lead, 0.51 + lead]}
    records = [record(f"model={m},seed={s}", value) for m, of in values.items() for s, value in enumerate(of)]
    drawn = dots_chart(difference_chart(table_of(records, baseline="model=a")))
    assert 0 <= float(drawn.zero.rstrip("%")) <= 100
    assert (drawn.zero, "0") in drawn.ticks


def test_a_group_without_an_interval_has_a_mark_and_no_line(record):
    [row] = dots_chart(accuracy_chart(table_of([record("model=a,seed=0", 0.5)]))).rows

    assert row.low is None
    assert row.runs == (row.mean,)


def test_each_job_has_a_panel_with_what_sets_it_apart_and_a_link_to_it(record):
    records = [
        record(f"model=cnn,seed={seed}", config={"seed": seed, "data": {"seed": seed, "size": 3}, "trainer": {"x": 1}})
        for seed in (0, 1)
    ]
    table = table_of(records)
    rows = job_rows(table)
    html = page(table, None)

    assert [found.settings for found in job_details(rows, None).values()] == [{"seed": "0"}, {"seed": "1"}]
    assert SettingsOfJobs.of([table.jobs]).shared == {"data.size": "3", "trainer.x": "1"}
    for place in (0, 1):
        assert f'href="#job-{place}"' in html
        assert html.count(f'id="job-{place}"') == 1


NAMES = ["a b", "50%", "a#b", "x=1,y=2", 'it\'s "so"', "q?x", "ü", "a&b", "c;d", "%41", "semi:colon", "new\nline"]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_the_run_s_files_whatever_its_folder_is_called(tmp_path, record, name):
    folder, out = tmp_path / "out #1" / name, tmp_path / "out #1" / "comparison"
    made = record(
        "seed=0",
        files=["filters.png", "features/a b.png", "gone.png", "../../secret.png", "/etc/hosts.png", "x" * 999 + ".png"],
    )
    made.write(folder)
    (folder / "features").mkdir()
    for found in ("filters.png", "features/a b.png", "train.log"):
        (folder / found).touch()
    table = tabulate(Collection((Job(folder, name, made),)))
    html = page(table, None, out)
    [details] = job_details(job_rows(table), out).values()

    assert [link.name for link in details.pictures] == ["filters.png", "features/a b.png"]
    assert [link.name for link in details.files] == ["run.json", "train.log"]
    for link in (*details.pictures, *details.files):
        address = urlsplit(urljoin((out / "comparison.html").as_uri(), link.href))
        assert Path(unquote(address.path)) == folder / link.name
        assert (address.scheme, address.query, address.fragment) == ("file", "", "")
        assert f'href="{link.href}"' in html
    assert "secret" not in html


def luminance(color):
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_it_stands_on(root, scheme):
    css = (root / "src/vision_baselines/report/page.css").read_text()
    light, dark = css.split("prefers-color-scheme: dark", 1)
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light))
    if scheme == "dark":
        colors |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", dark))
    for text in ("ink", "muted", "good", "bad", "accent"):
        for ground in ("paper", "sheet"):
            low, high = sorted(luminance(colors[name]) for name in (text, ground))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


@pytest.mark.parametrize("n", [2, 8, 9, 14])
def test_tensorboards_pictures_have_the_colours_of_the_page(record, monkeypatch, n):
    table = table_of(many(record, n), baseline="optimizer.lr=0, model=cnn")
    drawn = []

    def exported(figure):
        for artist in figure.findobj():
            found = re.match(r"group-(\d+):", artist.get_gid() or "")
            if found:
                color = artist.get_color() if hasattr(artist, "get_color") else artist.get_facecolor()
                drawn.append((int(found[1]), to_hex(color if isinstance(color, str) else color[0])))
        return b""

    monkeypatch.setattr("vision_baselines.report.pictures.png", exported)
    draw(table)
    expected = {sign.place: style.OTHER if sign.color is None else style.PALETTE[sign.color] for sign in signs(table)}
    assert {place for place, _ in drawn} == set(expected)
    assert all(color == expected[place] for place, color in drawn)
    assert len({color for color in expected.values() if color != style.OTHER}) == (n if n <= 8 else 7)
