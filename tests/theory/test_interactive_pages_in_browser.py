"""The interactive pages in a real browser: their arithmetic is that of `analysis`, by keyboard and by mouse."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from vision_baselines.analysis.convolution import conv2d
from vision_baselines.analysis.shifting import shifted_response
from vision_baselines.cli import edge_demo

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def edge_page(tmp_path_factory):
    path = tmp_path_factory.mktemp("edge") / "page.html"
    with pytest.raises(SystemExit):
        edge_demo.main(["--html", str(path)])
    return path


def generated(count):
    """Pictures ``(C, H, W)``, kernels ``(kH, kW)``, stride, padding and a shift."""
    draw = np.random.default_rng(0)
    for _ in range(count):
        image = draw.uniform(size=(draw.choice([1, 3]), *draw.integers(4, 12, size=2)))
        kernel = draw.normal(size=draw.integers(1, 5, size=2))
        yield image, kernel, *(int(draw.integers(*ends)) for ends in ((1, 4), (0, 4), (-4, 5), (-4, 5)))


def test_the_numbers_of_the_page_are_those_of_analysis_and_of_torch(opened, edge_page):
    page, _, _ = opened(edge_page)
    for image, kernel, stride, padding, down, right in generated(60):
        asked = [image.tolist(), kernel.tolist(), stride, padding, down, right]
        response, shift, *pooled = page.evaluate(
            """([image, kernel, stride, padding, down, right]) => {
                const sides = [kernel.length, kernel[0].length];
                const respond = image => [conv2d(image, kernel, stride, padding)];
                return [respond(image)[0], shiftedResponse(image, respond, sides, stride, padding, down, right),
                        pooled(image, sides, stride, true), pooled(image, sides, stride, false)];
            }""",
            asked,
        )
        weights = np.broadcast_to(kernel, (1, len(image), *kernel.shape))
        expected = shifted_response(image, weights, down=down, right=right, stride=stride, padding=padding)
        np.testing.assert_allclose(response, conv2d(image, weights, stride, padding)[0], atol=1e-12)
        assert shift["steps"] == (None if expected.steps is None else list(expected.steps))
        assert shift["compared"] == expected.compared
        assert shift["difference"] < 1e-12
        for found, pool in zip(pooled, (torch.nn.functional.max_pool2d, torch.nn.functional.avg_pool2d), strict=True):
            np.testing.assert_allclose(found, pool(torch.from_numpy(image), kernel.shape, stride), atol=1e-12)


@pytest.mark.ci
def test_the_window_is_moved_and_the_kernel_changed_by_keyboard(opened, edge_page):
    page, requests, complaints = opened(edge_page, viewport={"width": 1280, "height": 900})

    page.locator("#position").focus()
    page.keyboard.press("Home")
    assert page.locator("#here").inner_text() == "At row 0, column 0"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.locator("#output").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert page.locator("#here").inner_text() == "At row 2, column 2"
    assert page.locator("#sum").inner_text() == "−1 − 1 − 1 + 0 + 0 + 0 + 0 + 0 + 0 = −3"

    page.get_by_label("kernel, row 0, column 0").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.type("1/2")
    assert page.evaluate("document.activeElement.ariaLabel") == "kernel, row 0, column 1"
    assert page.locator("#sum").inner_text() == "−1 + 0.5 − 1 + 0 + 0 + 0 + 0 + 0 + 0 = −1.5"
    assert page.locator("#preset").input_value() == "own"
    page.keyboard.type("x")
    assert page.evaluate("document.activeElement.getAttribute('aria-invalid')") == "true"
    assert page.locator("#sum").inner_text().endswith("= −1.5")
    assert complaints == []
    assert requests == [edge_page.as_uri()]


def test_pictures_are_chosen_pooled_and_moved_by_mouse(opened, edge_page):
    page, _, complaints = opened(edge_page, viewport={"width": 390, "height": 800})

    page.locator("#mode").select_option("maximum")
    assert page.locator("#headline").inner_text() == (
        "No weights: the maximum of each 2×2 window; 64 numbers become 16."
    )
    assert page.locator("#sum").inner_text() == "largest of 4 numbers = 0"
    page.locator("#mode").select_option("convolution")
    page.locator("#picture").select_option("1")
    assert page.locator("#headline").inner_text() == (
        "3 × 3 = 9 weights are shared by 196 positions; a dense layer from 256 to 196 numbers has 50,176."
    )
    page.locator("#output").click(position={"x": 2, "y": 2})
    assert page.locator("#here").inner_text() == "At row 0, column 0"
    page.get_by_label("move the picture right").click()
    page.get_by_label("move the picture down").click()
    assert page.locator("#whole").is_checked()
    assert "moved by 1 down and 1 right; the output is moved by 1 and 1: at 169 positions" in (
        page.locator("#shift").inner_text()
    )
    page.locator("#stride").fill("2")
    assert "which the stride of 2 does not divide" in page.locator("#shift").inner_text()
    page.locator("#height").fill("15")
    page.locator("#width").fill("15")
    assert page.locator("#output-title").inner_text() == "Response, 1×1"
    page.locator("#picture").select_option("0")
    assert page.locator("#problem").inner_text() == "The window of 15×15 is larger than the padded picture of 8×8."
    page.locator("#padding").fill("4")
    assert page.locator("#problem").is_hidden()
    assert complaints == []


def test_play_fills_the_output_to_its_end(opened, edge_page):
    page, _, _ = opened(edge_page)
    page.locator("#position").fill("33")
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").wait_for()
    page.get_by_role("button", name="Play").wait_for()
    assert page.locator("#position").input_value() == "35"


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_wide_photo_and_a_large_kernel_fit_into_the_window(run, opened, tmp_path, width, scheme):
    values = np.random.default_rng(0).integers(0, 256, size=(40, 200, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / f"{'x' * 80}.png")
    kernel = json.dumps([[0.123] * 11] * 9)
    arguments = ["--image", str(tmp_path / f"{'x' * 80}.png"), "--colour", "--kernel", kernel, "--padding", "3"]
    run(edge_demo.main, [*arguments, "--html", str(tmp_path / "page.html")])

    page, _, complaints = opened(tmp_path / "page.html", viewport={"width": width, "height": 800}, color_scheme=scheme)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#sum").inner_text().startswith("sum of 297 products = ")
    assert complaints == []
