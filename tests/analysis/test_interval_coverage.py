"""Intervals and verdicts are right as often as docs/statistics.md says, by the simulation that made its tables."""

from __future__ import annotations

import re
from pathlib import Path

import interval_coverage
import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "statistics.md").read_text(encoding="utf-8")
TABLES = dict(interval_coverage.tables())
MARGIN = 3 * (0.05 * 0.95 / interval_coverage.TABLES) ** 0.5 * 100
"""Three Monte Carlo standard errors of 5%, in percent."""


def numbers(table: str) -> list[list[float]]:
    """The numbers of a table's lines."""
    found = [
        [float(text.replace(",", "")) for text in re.findall(r"\d[\d.,]*", line)] for line in table.splitlines()[2:]
    ]
    return [line for line in found if line]


def of_the_page(title: str) -> str:
    _, _, rest = PAGE.partition(f"**{title}**\n\n")
    assert rest, f"docs/statistics.md lacks the table {title!r} of scripts/dev/interval_coverage.py"
    return rest.partition("\n\n")[0]


@pytest.mark.parametrize("title", TABLES)
def test_the_page_has_every_table(title: str) -> None:
    assert numbers(of_the_page(title))


def measured(title: str) -> list[list[float]]:
    """The table as it is made now, which is the page's but for rounding on other machines."""
    found = numbers(TABLES[title]())
    for line, written in zip(found, numbers(of_the_page(title)), strict=True):
        assert line == pytest.approx(written, abs=0.5)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("title", [title for title in TABLES if title.startswith("Share of") and "these" not in title])
def test_intervals_over_seeds_and_images_hold_the_share(title: str) -> None:
    is_near_one = float(title.split()[2].rstrip("%:")) > 95
    for _, *cells in measured(title):
        for both, alone in zip(cells[::2], cells[1::2], strict=True):
            assert both >= 93
            assert both <= 97 + MARGIN or is_near_one
            assert both > alone - 1.5


@pytest.mark.slow
@pytest.mark.parametrize("title", [title for title in TABLES if title.startswith("Difference")])
def test_intervals_of_a_difference_over_seeds_and_images_hold_it(title: str) -> None:
    for _, *cells in measured(title):
        assert min(cells) >= 93


@pytest.mark.slow
@pytest.mark.parametrize("title", [title for title in TABLES if "on these images" in title])
def test_intervals_over_seeds_hold_the_mean_on_these_images(title: str) -> None:
    for _, *cells in measured(title):
        assert min(cells[::2]) >= 93


@pytest.mark.slow
@pytest.mark.parametrize("title", [title for title in TABLES if title.startswith("Any")])
def test_one_false_claim_in_twenty_pages(title: str) -> None:
    for _, *uncorrected, false in measured(title):
        assert false <= 5 + MARGIN
        assert not uncorrected or uncorrected[0] >= false


@pytest.mark.slow
@pytest.mark.parametrize("title", [title for title in TABLES if title.startswith("P(A")])
def test_the_chance_to_win_is_calibrated(title: str) -> None:
    for runs, truth, estimate, held in measured(title):
        assert 95 - 2 * MARGIN / 3 - 1 <= held <= 97 + MARGIN
        assert estimate == pytest.approx(truth, abs=0.15 / runs)
