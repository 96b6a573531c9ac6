"""scripts/edge_demo.py: the tutorial's responses, pictures and kernels of one's own, one line for bad input."""

import json
import os

import numpy as np
import pytest
import torch
from matplotlib import image as pictures
from PIL import Image

from vision_baselines.cli import edge_demo
from vision_baselines.cli.edge_demo import main

HORIZONTAL = [[0] * 6, [0] * 6, [-3] * 6, [-3] * 6, [0] * 6, [0] * 6]


@pytest.fixture
def photo(tmp_path):
    """A colour picture of 90×60 pixels."""
    values = np.random.default_rng(0).integers(0, 256, size=(60, 90, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_the_bright_top_half_answers_as_the_tutorial_prints(run):
    found = run(main, [])

    *blocks, said = [block.splitlines() for block in found.out.strip().split("\n\n")]
    numbers = {lines[0]: [[int(text) for text in line.split()] for line in lines[1:]] for lines in blocks}
    assert found.code == 0
    assert numbers == {
        "image, 8×8": [[1] * 8] * 4 + [[0] * 8] * 4,
        "horizontal": HORIZONTAL,
        "vertical": [[0] * 6] * 6,
    }
    assert said == [
        "3 × 3 = 9 weights are shared by 36 positions; a dense layer from 64 to 36 numbers has 2,304.",
        "The largest difference to torch.nn.functional.conv2d is 0.",
    ]


def test_json_has_every_kernel(run):
    found = json.loads(run(main, ["--json"]).out)

    assert found["responses"]["horizontal"] == HORIZONTAL
    assert sorted(found["responses"]) == ["horizontal", "laplacian", "sobel_x", "sobel_y", "vertical"]
    assert found["largest_difference_to_torch"] == 0


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [("[[-1,0,1],[-2,0,2],[-1,0,1]]", 1, 0), ("[[1,2],[3,-4.5]]", 2, 1), ("[[1],[0],[-1],[2]]", 3, 2), ("[[7]]", 1, 0)],
)
@pytest.mark.parametrize("colour", [False, True])
def test_a_picture_and_a_kernel_of_ones_own_answer_as_torch_does(run, photo, kernel, stride, padding, colour):
    options = ["--stride", str(stride), "--padding", str(padding), *(["--colour"] if colour else [])]

    found = json.loads(run(main, ["--image", str(photo), "--kernel", kernel, *options, "--json"]).out)

    image, weights = torch.tensor(found["image"], dtype=torch.float64), torch.tensor(json.loads(kernel)).double()
    assert image.shape == ((3, 43, 64) if colour else (43, 64))  # The longer side of 90 is reduced to 64.
    image = image if colour else image[None]
    expected = torch.nn.functional.conv2d(
        image[None], weights.expand(1, len(image), *weights.shape), stride=stride, padding=padding
    )[0, 0]
    torch.testing.assert_close(torch.tensor(found["responses"]["own"], dtype=torch.float64), expected)
    assert found["largest_difference_to_torch"] < 1e-12


def test_what_was_done_to_the_picture_is_said_and_what_shifting_does(run, photo):
    found = run(main, ["--image", str(photo), "--kernel", "sobel_x", "--stride", "2", "--shift", "2", "-4"])

    assert "photo.png is reduced from 60×90; --size keeps more." in found.out
    assert "sobel_x: the picture moved by 2 down and -4 right has the response moved by 1 and -2: at" in found.out
    assert "the largest difference is 0." in found.out
    odd = run(main, ["--stride", "2", "--shift", "1", "0"]).out
    assert "the stride of 2 does not divide the shift" in odd


def test_an_answer_that_is_not_torchs_ends_with_an_error(run, monkeypatch):
    real = edge_demo.conv2d
    monkeypatch.setattr(edge_demo, "conv2d", lambda *arguments: real(*arguments) + 1e-6)

    found = run(main, [])

    assert (found.code, found.out) == (4, "")
    assert found.err == "error: the response of horizontal differs from torch.nn.functional.conv2d by 1e-06\n"


@pytest.mark.slow
@pytest.mark.ci
def test_the_picture_is_drawn_and_replaces_an_older_one_whole(run, photo, tmp_path):
    path = tmp_path / "new folder" / "edges.png"
    for arguments in ([], ["--image", str(photo), "--colour", "--kernel", "[[0]]"]):
        assert run(main, [*arguments, "--out", str(path)]).code == 0

        pixels = pictures.imread(path)
        assert min(pixels.shape[:2]) > 300
        assert pixels[..., :3].std() > 0.05
        assert [entry.name for entry in path.parent.iterdir()] == ["edges.png"]


def _saved(path, array, **options):
    Image.fromarray(array).save(path, **options)


ODD = {
    "one.png": lambda path: _saved(path, np.full((1, 1), 255, np.uint8)),
    "long.png": lambda path: _saved(path, np.tile(np.arange(256, dtype=np.uint8), (1, 20))),
    "alpha.png": lambda path: _saved(path, np.zeros((9, 9, 4), np.uint8)),
    "palette.gif": lambda path: Image.fromarray(np.eye(9, dtype=np.uint8) * 255).convert("P").save(path),
    "deep.png": lambda path: _saved(path, np.full((9, 9), 65535, np.uint16)),
    "two.tif": lambda path: Image.new("1", (9, 9), 1).save(path),
}


def _sideways(path):
    """A picture of 30×20 pixels, wide, of which the camera notes that it is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(path, exif=exif)


@pytest.mark.parametrize("name", [*ODD, "sideways.jpg"])
def test_any_picture_is_taken(run, tmp_path, name):
    {**ODD, "sideways.jpg": _sideways}[name](tmp_path / name)

    found = json.loads(run(main, ["--image", str(tmp_path / name), "--kernel", "[[1]]", "--json"]).out)

    image = np.array(found["image"])
    expected = {"one.png": (1, 1), "long.png": (1, 64), "sideways.jpg": (30, 20)}.get(name, (9, 9))
    assert image.shape == expected
    if name in ("alpha.png", "deep.png", "two.tif", "one.png"):
        assert (image == 1).all()  # Transparency is white; white stays white in any depth.


def _large(width, height):
    """A file that only says how large its picture would be."""
    return lambda path: path.write_bytes(f"P5 {width} {height} 255\n".encode())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "not a file"),
        (lambda path: path.mkdir(), "a folder"),
        (lambda path: os.mkfifo(path), "not a file"),
        (lambda path: path.write_text("no picture"), "cannot be used as a picture: no picture in a known format"),
        (lambda path: path.write_bytes(b""), "cannot be used as a picture: empty file"),
        (_large(20_000, 20_000), "cannot be used as a picture: expected at most 89,478,485 pixels"),
        (_large(10_000, 10_000), "cannot be used as a picture: 10,000×10,000; expected at most 89,478,485 pixels"),
        (lambda path: _saved(path, np.ones((4, 4), np.float32), format="TIFF"), "floating-point pixels"),
    ],
    ids=["none", "folder", "fifo", "text", "empty", "huge", "large", "floats"],
)
def test_what_is_no_picture_is_said_in_a_line_with_exit_code_3(run, tmp_path, make, message):
    path = tmp_path / "it.png"
    make(path)

    found = run(main, ["--image", str(path)])

    assert (found.code, found.out, len(found.err.splitlines())) == (3, "", 1)
    assert message in found.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "edges"], "--out is 'edges'; expected the name of a PNG file"),
        (["--out"], "expected one argument"),
        (["sobel"], "unrecognized arguments: sobel"),
        (["--kernel", "sobl_x"], "did you mean sobel_x?"),
        (["--kernel", ""], "--kernel is ''; expected a name"),
        (["--kernel", "[[1,2"], "cannot be read"),
        (["--kernel", "[" * 100_000], "cannot be read"),
        (["--kernel", "[1,0,-1]"], "one row; expected a list of rows: [[1,0,-1]]"),
        (["--kernel", "[[1,2],[3]]"], "rows of 2, 1 numbers; expected rows of one length"),
        (["--kernel", "[[]]"], "expected a name"),
        (["--kernel", "[]"], "expected a name"),
        (["--kernel", '[{"a":1}]'], "expected a name"),
        (["--kernel", "[[NaN]]"], "--kernel holds NaN; expected numbers from -1,000,000 to 1,000,000"),
        (["--kernel", "[[-Infinity]]"], "--kernel holds -Infinity"),
        (["--kernel", "[[1e400]]"], "--kernel holds Infinity"),
        (["--kernel", "[[1e9]]"], "--kernel holds 1000000000.0"),
        (["--kernel", f"[[{'9' * 5000}]]"], "cannot be read"),
        (["--kernel", '[["1"]]'], '--kernel holds "1"'),
        (["--kernel", "[[true]]"], "--kernel holds true"),
        (["--kernel", "[[null]]"], "--kernel holds null"),
        (["--kernel", "[[[1]]]"], "--kernel holds [1]"),
        (["--kernel", str([[0] * 16])], "--kernel is 1×16; expected at most 15×15"),
        (["--kernel", str([[0] * 9] * 9)], "the kernel does not fit the picture: kernel_size=9"),
        (["--kernel", "sobel_x"] * 9, "--kernel is given 9 times; expected at most 8"),
        (["--stride", "0"], "argument --stride: expected a whole number of at least 1"),
        (["--padding", "-1"], "argument --padding: expected a whole number of at least 0"),
        (["--padding", "65"], "--padding is 65; expected at most 64"),
        (["--size", "100000"], "--size is 100000; expected at most 256"),
        (["--colour"], "--colour goes with --image"),
        (["--shift", "1"], "expected 2 arguments"),
        (["--image", ""], "expected the name of a file or a folder"),
        (["--stride", "9" * 20], "at least 1 and at most 999,999,999,999,999"),
        (["--shift", "a", "b"], "argument --shift: invalid int value: 'a'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_bad_input_gets_one_line_and_exit_code_2(run, arguments, message):
    found = run(main, arguments)

    assert (found.code, found.out, len(found.err.splitlines())) == (2, "", 1)
    assert message in found.err


def test_a_picture_that_cannot_be_written_is_said_in_a_line(run, tmp_path):
    (tmp_path / "file").touch()

    found = run(main, ["--out", str(tmp_path / "file" / "edges.png")])

    assert (found.code, len(found.err.splitlines())) == (5, 1)
    assert "edges.png' cannot be written: " in found.err


def test_a_picture_is_not_drawn_over(run, photo):
    before = photo.read_bytes()
    link = photo.with_name("link.png")
    link.symlink_to(photo)
    for out in (photo, link):
        found = run(main, ["--image", str(photo), "--out", str(out)])
        assert found.code == 2
        assert "would be overwritten" in found.err
    assert photo.read_bytes() == before


def test_json_has_what_became_of_a_shift(run):
    found = json.loads(run(main, ["--json", "--kernel", "sobel_y", "--shift", "2", "0", "--stride", "2"]).out)
    assert found["shifted"]["sobel_y"]["steps"] == [1, 0]
    assert found["shifted"]["sobel_y"]["compared"] > 0
    assert "shifted" not in json.loads(run(main, ["--json"]).out)
