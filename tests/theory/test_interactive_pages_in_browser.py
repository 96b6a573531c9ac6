"""The interactive pages in a real browser: their arithmetic is that of `analysis`, by keyboard and by mouse."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from vision_baselines.analysis.conv_arithmetic import trace_chain
from vision_baselines.analysis.convolution import conv2d
from vision_baselines.analysis.shifting import shifted_response
from vision_baselines.cli import conv_arithmetic, edge_demo
from vision_baselines.inspection.chain_text import unused_lines

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


@pytest.fixture(scope="module")
def chain_page(tmp_path_factory):
    path = tmp_path_factory.mktemp("chain") / "page.html"
    with pytest.raises(SystemExit):
        conv_arithmetic.main(["--input-size", "32", "3,2,1", "2,2,0", "--html", str(path)])
    return path


def results(page):
    """Output size, jump and receptive field of each layer, as the table shows them."""
    return [row.locator(".result").all_inner_texts() for row in page.locator("#layers tbody tr").all()]


def test_the_sizes_and_fields_of_the_page_are_those_of_analysis(opened, chain_page):
    page, _, _ = opened(chain_page)
    draw, n_compared, n_stopped = np.random.default_rng(1), 0, 0
    for _ in range(80):
        size = int(draw.integers(4, 200))
        layers = [[int(draw.integers(*ends)) for ends in ((1, 6), (1, 4), (0, 4), (1, 4))] for _ in range(6)]
        found, texts = page.evaluate(
            """([layers, size]) => {
                const steps = traceChain(layers, size);
                return [steps.map(step => [step.size, step.jump, step.field, step.center, step.unused]),
                        steps.flatMap((step, index) => step.unused ? [`layer ${index + 1}: ${unusedText(step)}`] : [])];
            }""",
            [layers, size],
        )
        steps = trace_chain(layers[: len(found)], size)
        n_compared += len(steps)
        assert found == [[s.output_size, s.jump, s.receptive_field, s.center, s.unused] for s in steps]
        assert texts == unused_lines(steps, size)
        if len(found) < len(layers):
            n_stopped += 1
            with pytest.raises(ValueError, match=f"layer {len(found) + 1} .* leaves no pixel"):
                trace_chain(layers, size)
    assert n_compared > 200
    assert n_stopped > 5


@pytest.mark.ci
def test_layers_are_changed_added_and_removed_by_keyboard(opened, chain_page):
    page, requests, complaints = opened(chain_page, viewport={"width": 1280, "height": 900})
    assert results(page) == [["16", "2", "3"], ["8", "4", "5"]]
    assert page.locator("#unused").inner_text() == (
        "layer 1: (32 − 3 + 2·1) / 2 + 1 = 16.5 → 16: the last padded column is not used"
    )

    page.get_by_label("stride of layer 1").focus()
    page.keyboard.press("ArrowDown")
    assert results(page) == [["32", "1", "3"], ["16", "2", "4"]]
    assert page.locator("#unused").inner_text().startswith("Every column of every layer is used")
    page.get_by_role("button", name="+ convolution").focus()
    page.keyboard.press("Enter")
    assert results(page)[2] == ["16", "2", "8"]
    assert page.evaluate("document.activeElement.ariaLabel") == "kernel of layer 3"
    page.locator("#picture").focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
    assert "The unit in row 5, column 8 of 16×16" in page.locator("#picture-caption").inner_text()
    page.get_by_label("remove layer 2").focus()
    page.keyboard.press("Space")
    assert results(page) == [["32", "1", "3"], ["32", "1", "5"]]
    assert page.locator("#command").inner_text() == "python scripts/conv_arithmetic.py --input-size 32 3,1,1 3,1,1"
    assert complaints == []
    assert requests == [chain_page.as_uri()]


def test_a_unit_is_chosen_by_mouse_and_a_layer_that_leaves_no_pixel_is_named(opened, chain_page):
    page, _, complaints = opened(chain_page, viewport={"width": 390, "height": 800})
    box = page.locator("#picture").bounding_box()

    page.locator("#picture").click(position={"x": box["width"] - 4, "y": 4})
    assert "The unit in row 0, column 7 of 8×8" in page.locator("#picture-caption").inner_text()
    page.get_by_label("show layer 1").check()
    assert page.locator("#picture-title").inner_text() == "What a unit of layer 1 sees: 3×3 px"
    page.get_by_label("kernel of layer 2").fill("40")
    assert page.locator("#problem").inner_text() == "Layer 2: the kernel spans 40 px, the padded input has 16."
    assert results(page)[1] == ["–", "–", "–"]
    assert page.locator("#headline").inner_text() == "Layer 2 leaves no pixel."
    assert "Every column" not in page.locator("#shown").inner_text()
    page.get_by_label("kernel of layer 2").fill("")
    assert page.get_by_label("kernel of layer 2").get_attribute("aria-invalid") == "true"
    page.get_by_label("kernel of layer 1").fill("900")
    assert page.locator("#shown").is_hidden()
    page.get_by_label("image side").fill("2000")
    assert page.locator("#problem").is_hidden()
    assert complaints == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_long_chain_on_a_photo_fits_into_the_window(run, opened, tmp_path, width, scheme):
    values = np.random.default_rng(0).integers(0, 256, size=(40, 200, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "photo.png")
    layers = [["7,2,3", "3,2,1", *["3,1,1", "3,1,2,2"] * 9], ["1,1,0"]][width == 390 and scheme == "dark"]
    options = ["--image", str(tmp_path / "photo.png"), "--html", str(tmp_path / "page.html")]
    run(conv_arithmetic.main, ["--input-size", "2000", *layers, *options])

    page, _, complaints = opened(tmp_path / "page.html", viewport={"width": width, "height": 800}, color_scheme=scheme)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert len(results(page)) == len(layers)
    assert complaints == []
