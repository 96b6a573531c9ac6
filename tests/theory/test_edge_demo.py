"""scripts/edge_demo.py: the responses the tutorial prints, as text, JSON and picture."""

import json

import pytest
from matplotlib import image as pictures

from vision_baselines.cli.edge_demo import main

HORIZONTAL = [[0] * 6, [0] * 6, [3] * 6, [3] * 6, [0] * 6, [0] * 6]


def test_the_bright_top_half_answers_as_the_tutorial_prints(run):
    found = run(main, [])

    blocks = [block.splitlines() for block in found.out.strip().split("\n\n")]
    numbers = {lines[0]: [[int(text) for text in line.split()] for line in lines[1:]] for lines in blocks}
    assert found.code == 0
    assert numbers == {
        "image, 8×8": [[1] * 8] * 4 + [[0] * 8] * 4,
        "horizontal": HORIZONTAL,
        "vertical": [[0] * 6] * 6,
    }


def test_json_has_every_kernel(run):
    found = json.loads(run(main, ["--json"]).out)["responses"]

    assert found["horizontal"] == HORIZONTAL
    assert sorted(found) == ["horizontal", "laplacian", "sobel_x", "sobel_y", "vertical"]


def test_the_picture_is_drawn(run, tmp_path):
    run(main, ["--out", str(tmp_path / "edges.png")])

    pixels = pictures.imread(tmp_path / "edges.png")
    assert min(pixels.shape[:2]) > 600
    assert pixels[..., :3].std() > 0.2


@pytest.mark.parametrize("arguments", [["--out", "edges"], ["--out"], ["sobel"]])
def test_bad_input_gets_one_line_and_exit_code_2(run, arguments):
    found = run(main, arguments)

    assert (found.code, found.out, len(found.err.splitlines())) == (2, "", 1)
