"""The page in a real browser, opened from the disk as a person would."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from vision_baselines.report.write import compare
from vision_baselines.runs.record import EpochRow

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def comparison(tmp_path_factory, full_sweep, failed, write):
    folder = full_sweep(tmp_path_factory.mktemp("outputs") / "fashion", ["cnn", "fc"], 3, epochs=4)
    attack = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    write(folder, failed([f"model={attack}", "seed=3"], sweep="fashion", name="attack"))
    return compare([folder])


@pytest.mark.slow
@pytest.mark.ci
def test_the_page_opens_from_the_disk_without_a_request_or_a_complaint(opened, comparison):
    page, requests, complaints = opened(comparison.page, viewport={"width": 1280, "height": 900})

    assert requests == [comparison.page.as_uri()]
    assert complaints == []
    assert page.title() == "fashion: comparison"
    for name in ("results", "figures", "filters", "confusion", "failures", "jobs", "provenance"):
        section = page.locator(f"section#{name}")
        assert section.is_visible()
        assert section.locator("h2").inner_text()
    assert "model=cnn" in page.locator(".headline").inner_text()
    assert page.locator("figure svg[role=img]").count() == 6
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 50)")


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window_and_text_stands_out(opened, comparison, width, scheme):
    page, _, _ = opened(comparison.page, viewport={"width": width, "height": 800}, color_scheme=scheme)
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        ".map(color => color.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0))"
    )
    label = page.locator("#figures .dot-name", has_text="model=cnn").first.evaluate(
        "node => getComputedStyle(node).color"
    )

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert abs(ink - paper) > 500
    assert (paper < 200) is (scheme == "dark")
    assert label == page.evaluate("getComputedStyle(document.body).color")


@pytest.mark.slow
@pytest.mark.ci
def test_folded_parts_open_without_a_script(opened, comparison):
    page, _, _ = opened(comparison.page)
    page.get_by_text("Each group on its own scale").click()

    assert page.locator("#filters details img").first.is_visible()


@pytest.fixture(scope="module")
def wordy(tmp_path_factory, record, write):
    """Twelve groups with long labels, each of whose runs was one epoch long."""
    settings = [
        [
            f"data.batch_size={size}",
            f"model.hidden_features_of_the_first_stage=[{size},64]",
            f"optimizer.lr={lr}",
            f"optimizer.weight_decay={decay}",
        ]
        for lr in (0.1, 0.01, 0.001)
        for decay in (0.0001, 0.001)
        for size in (32, 64)
    ]
    records = [
        record(
            [*parts, f"seed={seed}"],
            0.5 + place / 40 + 0.002 * seed * (place + 1),
            name=f"job {place} {seed}",
            data_sha256="a" * 64,
            history=[EpochRow(epoch=0, step=1, lr=0.1, metrics={"val/acc": 0.5 + place / 40})],
        )
        for place, parts in enumerate(settings)
        for seed in range(3)
    ]
    folder = write(tmp_path_factory.mktemp("outputs") / "wordy", *records)
    return compare([folder], baseline=", ".join(settings[0]))


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_long_labels_hide_no_verdict_and_nothing_is_set_a_letter_a_line(opened, wordy, width):
    page, _, _ = opened(wordy.page, viewport={"width": width, "height": 800})
    table = page.locator("#results table").first
    place = table.locator("th").all_inner_texts().index("verdict")

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".headline").bounding_box()["y"] < table.bounding_box()["y"]
    for row in table.locator("tbody tr").all():
        box = row.locator("td").nth(place).bounding_box()
        assert box["x"] + box["width"] <= width
    for cell in page.locator("#provenance td, #results td").all():
        box = cell.bounding_box()
        if cell.is_visible() and len(cell.inner_text()) > 8:
            assert box["width"] >= 45
    legend = page.locator("#figures .legend")
    page.locator("#figures figure").last.scroll_into_view_if_needed()
    assert 0 <= legend.bounding_box()["y"] < 400
    assert legend.bounding_box()["height"] <= 0.3 * 800


@pytest.fixture(scope="module")
def forty(tmp_path_factory, full_sweep):
    """Forty groups of two jobs, and the page without Matplotlib's figures."""
    extras = [
        {"optimizer.lr": str(lr), "optimizer.weight_decay": str(d)}
        for lr in (0.1, 0.01, 0.001, 0.0001, 1e-5)
        for d in (0.0, 1e-4)
    ]
    models = ["cnn", "fc", "gated_mlp", "residual_mlp"]
    folder = full_sweep(
        tmp_path_factory.mktemp("outputs") / "odd #1%", models, 2, extras=extras, epochs=4, filters=False
    )
    return compare([folder], pictures=False)


@pytest.fixture(scope="module")
def large(tmp_path_factory, full_sweep, failed, write):
    extras = [{"optimizer.lr": "0.1"}, {"optimizer.lr": "0.01"}]
    models = ["cnn", "fc", "gated_mlp", "residual_mlp"]
    folder = tmp_path_factory.mktemp("outputs") / "large"
    full_sweep(folder, models, 42, extras=extras, epochs=3, filters=False)
    write(folder, failed(["model=fc", "optimizer.lr=0.1", "seed=99"], sweep="large"))
    return compare([folder], pictures=False)


def visible(page, section):
    """The groups that a section's first table shows, in its order."""
    return page.evaluate(
        "section => [...document.querySelector(section + ' table').tBodies[0].rows]"
        ".filter(row => row.offsetHeight).map(row => row.cells[0].innerText.replace(/\\s+/g, ' ').trim())",
        section,
    )


@pytest.mark.slow
@pytest.mark.ci
def test_the_page_can_be_sorted_filtered_and_coloured_from_the_keyboard(opened, forty):
    page, requests, complaints = opened(forty.page, viewport={"width": 1280, "height": 900})
    given = visible(page, "#results")
    head = page.locator("#results table").first.locator("th", has_text="test accuracy")
    exact = "[...document.querySelector('#results table').tBodies[0].rows].map(r => +r.cells[%d].dataset.value)"
    place = head.evaluate("node => node.cellIndex")
    assert len(given) == 12

    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    values = page.evaluate(exact % place)
    assert head.get_attribute("aria-sort") == "descending"
    assert values == sorted(values, reverse=True)
    assert len(visible(page, "#results")) == 12
    page.keyboard.press("Space")
    values = page.evaluate(exact % place)
    assert head.get_attribute("aria-sort") == "ascending"
    assert values == sorted(values)
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") is None
    assert visible(page, "#results") == given

    page.get_by_label("Filter groups").focus()
    page.keyboard.type("cnn lr=0.01")
    assert set(visible(page, "#results")) == {
        "model=cnn, lr=0.01, weight_decay=0.0",
        "model=cnn, lr=0.01, weight_decay=0.0001",
    }
    assert page.locator("#figure-accuracy .dot:visible").count() == 2
    assert page.locator("#tools [role=status]").inner_text() == "2 of 40 groups shown, 6 coloured"
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    assert visible(page, "#results") == given

    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # opens the choice
    page.get_by_role("button", name="None").press("Enter")
    assert "0 coloured" in page.locator("#tools [role=status]").inner_text()
    grey = page.evaluate("getComputedStyle(document.querySelector('#results .mark')).fill")
    box = page.locator("#tools li input").nth(20)
    box.focus()
    page.keyboard.press("Space")
    chosen = page.locator("#tools li").nth(20).get_attribute("data-choice")
    colored = page.evaluate(f"getComputedStyle(document.querySelector('.dot[data-group=\"{chosen}\"] .mark')).fill")
    assert colored != grey
    page.get_by_label("Hide the others").press("Space")
    assert len(visible(page, "#results")) == 1
    page.get_by_role("button", name="As it was").press("Enter")
    assert visible(page, "#results") == given

    assert requests == [forty.page.as_uri()]
    assert complaints == []


@pytest.mark.slow
def test_a_job_opens_and_closes_from_the_keyboard_and_the_focus_returns(opened, forty):
    page, requests, complaints = opened(forty.page, viewport={"width": 1280, "height": 900})
    page.get_by_label("Find jobs").fill("gated seed=1 lr=0.001")
    link = page.locator("#job-table a:visible").first
    assert page.locator("#job-table a:visible").count() == 2
    name = link.inner_text()
    link.focus()
    page.keyboard.press("Enter")
    panel = page.locator(".job:target")
    panel.wait_for(state="visible")
    assert name.split(",")[0] in panel.inner_text()
    assert "weight_decay" in panel.locator("dl").first.inner_text()
    assert panel.evaluate("node => node === document.activeElement")
    for href in panel.locator("a[href*='run.json']").evaluate_all("links => links.map(link => link.href)"):
        other, _, _ = opened(forty.page)
        other.goto(href)
        assert '"schema_version"' in other.content()

    page.keyboard.press("Escape")
    panel.wait_for(state="detached")
    assert link.evaluate("node => node === document.activeElement")
    assert requests == [forty.page.as_uri()]
    assert complaints == []


@pytest.mark.slow
@pytest.mark.ci
def test_jobs_of_a_large_page_are_sorted_found_and_opened(opened, large):
    page, requests, complaints = opened(large.page, viewport={"width": 1280, "height": 900})
    status = page.locator("#pages [role=status]")
    status.filter(has_text="jobs").wait_for()
    assert status.inner_text() == "1–100 of 337 jobs"
    counted = {job.record.name: job.record for job in large.table.jobs}
    exact = sorted((100 * record.metrics["test/acc"] for record in counted.values() if record.finished), reverse=True)

    head = page.locator("#job-table th", has_text="test accuracy").first
    place = head.evaluate("node => node.cellIndex")
    head.get_by_role("button").press("Enter")
    shown = page.locator(f"#job-table tbody tr td:nth-child({place + 1})").all_inner_texts()
    assert shown == [f"{value:.2f}" for value in exact[:100]]
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").click()
    assert status.inner_text() == "301–337 of 337 jobs"
    assert page.locator("#job-table tbody tr").last.inner_text().count("failed") == 1  # without a value: the last

    page.get_by_label("Find jobs").fill("model=cnn seed=7 lr=0.1")
    assert status.inner_text() == "1–1 of 1 jobs"
    link = page.locator("#job-table tbody a").first
    record = counted[link.inner_text().strip()]
    link.press("Enter")
    panel = page.locator(".job:target")
    panel.wait_for(state="visible")
    said = panel.inner_text()
    assert record.name in said
    assert "Settings that not all jobs share" in said
    assert f"{100 * record.metrics['test/acc']:.2f}%" in said
    points = panel.locator("polyline").get_attribute("points").split()
    assert len(points) == 3
    assert all(len(point.split(",")) == 2 for point in points)
    assert (large.out / unquote(panel.locator("a[href*='run.json']").get_attribute("href"))).is_file()
    assert requests == [large.page.as_uri()]
    assert complaints == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_without_a_script_everything_is_there_and_folds_open(opened, forty, width, scheme):
    page, _, complaints = opened(
        forty.page, viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=False
    )
    rows = page.locator("#results table").first.locator("tbody tr")
    box = page.locator("#results .more").first.get_by_role("checkbox")

    assert not page.locator("#tools").is_visible()
    assert page.locator("button.sort").count() == 0
    assert sum(rows.nth(at).is_visible() for at in range(40)) == 12
    box.press("Space")
    assert sum(rows.nth(at).is_visible() for at in range(40)) == 40
    page.locator("#job-table a").first.click()
    assert page.locator("#job-0").is_visible()
    page.locator("#job-0 a.close").click()
    assert not page.locator("#job-0").is_visible()
    assert complaints == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_forty_groups_fit_the_window_and_every_image_has_words(opened, forty, width):
    page, _, _ = opened(forty.page, viewport={"width": width, "height": 900})

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelectorAll('img:not([alt]), svg[role=img]:not([aria-label])').length") == 0
    assert page.evaluate("document.querySelectorAll('[role=region]:not([aria-label])').length") == 0
    assert forty.page.stat().st_size < 2e6


_BROKEN_WORDS = """() => {
  const found = new Set();
  for (const cell of document.querySelectorAll('.named td:first-child')) {
    const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let text; (text = walker.nextNode());)
      for (const word of text.data.matchAll(/[A-Za-z]{2,}|[0-9.]{2,}/g)) {
        const range = document.createRange();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) found.add(word[0]);
      }
  }
  return [...found];
}"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390, 700, 1280])
@pytest.mark.parametrize("sweep", ["comparison", "wordy", "forty"])
def test_no_word_of_a_name_is_broken_and_names_stand_above_their_values_in_a_narrow_window(
    opened, request, sweep, width
):
    page, _, _ = opened(request.getfixturevalue(sweep).page, viewport={"width": width, "height": 900})

    assert page.evaluate(_BROKEN_WORDS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for table in page.locator(".named:visible").all():
        head = [box["y"] for cell in table.locator("th:visible").all() if (box := cell.bounding_box())]
        row = [cell.bounding_box() for cell in table.locator("tbody tr").first.locator("td:visible").all()]
        assert (row[1]["y"] >= row[0]["y"] + row[0]["height"] - 1) is (width <= 700)
        assert len(head) == len(row)
        assert len({round(box["y"]) for box in row[1:]}) == 1 or width > 700


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 700, 1280])
@pytest.mark.parametrize("sweep", ["comparison", "wordy", "forty"])
def test_nothing_stands_over_what_is_beside_it(opened, request, sweep, width):
    page, _, _ = opened(request.getfixturevalue(sweep).page, viewport={"width": width, "height": 900})
    wider = "cells => cells.filter(cell => cell.scrollWidth > cell.clientWidth + 1).map(cell => cell.innerText)"

    assert page.locator("#results th:visible").evaluate_all(wider) == []
    tools, results = page.locator("#tools").bounding_box(), page.locator("#results").bounding_box()
    assert tools["y"] + tools["height"] <= results["y"]


@pytest.mark.slow
def test_on_paper_nothing_is_folded_away(opened, forty):
    page, _, _ = opened(forty.page)
    page.emulate_media(media="print")
    rows = page.locator("#results table").first.locator("tbody tr")

    assert all(rows.nth(at).is_visible() for at in range(40))
    assert not page.locator("#tools").is_visible()


@pytest.mark.slow
@pytest.mark.parametrize("scripts", [True, False])
def test_the_link_to_the_shared_settings_opens_them(opened, comparison, scripts):
    page, _, complaints = opened(comparison.page, java_script_enabled=scripts)
    page.locator("#job-table a").first.click()
    shared = page.locator("#settings")
    assert not shared.is_visible()
    page.locator(".job:target a[href='#settings']").click()

    shared.wait_for(state="visible")
    assert complaints == []


@pytest.mark.slow
@pytest.mark.parametrize("scripts", [True, False])
def test_a_narrow_window_shows_the_answer_and_the_rest_when_asked(opened, comparison, scripts):
    page, _, _ = opened(comparison.page, viewport={"width": 390, "height": 800}, java_script_enabled=scripts)
    heads = page.locator("#results table").first.locator("th")
    shown = [head for head in heads.all_inner_texts() if head]
    everything = page.locator("#results").get_by_label("Every column").first
    boxes = [box["x"] + box["width"] for head in heads.all() if (box := head.bounding_box())]

    assert len(boxes) == 5
    assert max(boxes) <= 390
    assert any("test accuracy" in head for head in shown)
    everything.check()
    assert all(head.is_visible() for head in heads.all())
    page.set_viewport_size({"width": 1280, "height": 800})
    assert not everything.is_visible()
    page.locator("#jobs").scroll_into_view_if_needed()
    assert page.get_by_role("link", name="Top").bounding_box()["y"] >= 0
