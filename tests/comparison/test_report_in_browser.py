"""The page in a real browser, opened from the disk as a person would."""

from __future__ import annotations

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
