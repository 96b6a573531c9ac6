"""The pages of edge_demo.py and conv_arithmetic.py: offline, refused in one line, and safe for any file's name."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from vision_baselines.cli import conv_arithmetic, edge_demo


def data_of(page):
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(text)


def test_the_page_of_a_picture_asks_for_nothing_and_no_name_ends_its_script(run, tmp_path):
    photo, page = tmp_path / "<!--<script>&'x.png", tmp_path / "new" / "page.html"
    values = np.random.default_rng(0).integers(0, 256, size=(6, 9, 3), dtype=np.uint8)
    Image.fromarray(values).save(photo)

    found = run(
        edge_demo.main, ["--image", str(photo), "--colour", "--kernel", "[[1,2]]", "--stride", "2", "--html", str(page)]
    )

    text = page.read_text("utf-8")
    data = data_of(text)
    assert (found.code, found.out.splitlines()[-1]) == (0, str(page))
    assert "http" not in re.sub(r'http-equiv="Content-Security-Policy"', "", text)
    assert text.count("<script") == text.count("</script>") == 2
    assert data["pictures"][0]["caption"] == photo.name
    assert data["pictures"][0]["channels"] == values.transpose(2, 0, 1).tolist()
    assert data["asked"] == {"name": "own", "kernel": [[1, 2]], "stride": 2, "padding": 0, "shift": [0, 0]}
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]


@pytest.mark.parametrize("main", [edge_demo.main, conv_arithmetic.main])
@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("page.txt", 2, "expected the name of an HTML file"),
        ("file/page.html", 5, "cannot be written"),
        (".html", 2, "expected the name of an HTML file"),
    ],
)
def test_a_page_that_cannot_be_written_is_refused_in_one_line(run, tmp_path, main, name, code, said):
    (tmp_path / "file").touch()
    arguments = [] if main is edge_demo.main else ["--input-size", "8", "3,1,1"]

    found = run(main, [*arguments, "--html", str(tmp_path / name)])

    assert found.code == code
    assert said in found.err
    assert found.err.count("\n") == 1


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (["1,1,0"] * 41, "the number of layers is 41; expected at most 40"),
        (["1,1000,0"], "the number of a layer is 1,000; expected at most 999"),
        (["2,900,900"] * 6, "the receptive field is"),
    ],
)
def test_a_chain_that_the_fields_of_the_page_cannot_hold_is_refused(run, tmp_path, layers, said):
    found = run(conv_arithmetic.main, ["--input-size", "8", *layers, "--html", str(tmp_path / "page.html")])

    assert found.code == 2
    assert said in found.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--image", "x.png"], 2, "expected --html"),
        (["--image", "x.png", "--html", "x.html"], 3, "'x.png' is not a file"),
    ],
)
def test_a_picture_goes_with_a_page_and_has_to_be_there(run, tmp_path, monkeypatch, options, code, said):
    monkeypatch.chdir(tmp_path)

    found = run(conv_arithmetic.main, ["--input-size", "8", "3,1,1", *options])

    assert (found.code, list(tmp_path.iterdir())) == (code, [])
    assert said in found.err
