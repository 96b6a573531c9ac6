"""What probes drew has a section on the page of a sweep, and tables of many groups have a row for each."""

from __future__ import annotations

import re

import pytest

from vision_baselines.comparison.collection import collect
from vision_baselines.comparison.table import tabulate
from vision_baselines.report.page import page


def made(record, folder, n_groups, files):
    for group in range(n_groups):
        for seed in (0, 1):
            name = f"optimizer.lr={group + 1},seed={seed}"
            found = record(name, acc=0.9 - group / 100, config={"optimizer": {"lr": group + 1}}, name=name)
            found.files = list(files)
            for file in files:
                (folder / name / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / name / file).touch()
            found.write(folder / name)
    return page(tabulate(collect([folder])), None, folder / "comparison")


@pytest.mark.parametrize("n_groups", [1, 2, 14])
def test_pictures_of_the_first_seed_of_the_best_groups_by_probe(record, tmp_path, n_groups):
    files = ["run.json", "filters.png", "features/a.png", "saliency/saliency.png", "corruptions/acc.png"]
    text = made(record, tmp_path / "sweep", n_groups, files)
    section = text[text.index('<section id="probes">') : text.index('<section id="jobs">')]
    assert re.findall(r"<summary>(\w+): ", section) == ["corruptions", "saliency"]
    shown = re.findall(r'<img loading="lazy" src="([^"]+)"', section)
    assert len(shown) == 2 * min(n_groups, 12)
    assert all("seed%3D0" in source or "seed=0" in source for source in shown)
    assert 'href="#probes"' in text


def test_without_pictures_there_is_no_such_section(record, tmp_path):
    assert 'id="probes"' not in made(record, tmp_path / "sweep", 2, ["run.json", "filters.png", "features/a.png"])


@pytest.mark.parametrize(("n_groups", "heading"), [(3, "setting"), (14, "group")])
def test_what_differs_between_many_groups_has_a_row_a_group(record, tmp_path, n_groups, heading):
    text = made(record, tmp_path / "sweep", n_groups, [])
    start = text.index('aria-label="What differs between the groups"')
    table = text[start : text.index("</table>", start)]
    assert re.search(r'<th scope="col">(\w+)</th>', table)[1] == heading
    assert table.count("<tr") - 1 == (n_groups if heading == "group" else 1)
