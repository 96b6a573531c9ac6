"""The page of a single run: it speaks of one run, is whole without a script, and lies in the run's folder."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from vision_baselines.comparison.collection import Job
from vision_baselines.report.run_page import run_page, write_run_page
from vision_baselines.runs.files import clear, written_files
from vision_baselines.runs.record import EpochRow


def text_of(html):
    body = re.sub(r"<(script|style)>.*?</\1>", " ", html, flags=re.S)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def attribute_names(html):
    """The names of all attributes, as a browser reads them."""
    names = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: names.extend(name for name, _ in attrs)
    parser.feed(html)
    return names


def history(accuracies):
    return [
        EpochRow(epoch=e, step=e, lr=0.1, metrics={"val/acc": a, "train/loss": 1 - a, "val/loss": 2 - a})
        for e, a in enumerate(accuracies)
    ]


def test_a_single_run_has_a_page_that_compares_it_with_nothing(tmp_path, full_sweep):
    full_sweep(tmp_path / "alone", ["cnn"], 1, epochs=5)
    folder = tmp_path / "alone" / "model=cnn,seed=0"
    place = write_run_page(folder)
    shown = text_of(place.read_text())

    assert place == folder / "run.html"
    assert re.search(r"Test accuracy of \d\d\.\d\d%\.", shown)
    assert "Ankle boot" in shown
    for word in ("group", "p-value", "the baseline", "± ", "95% interval of", "n = 1", "comparison"):
        assert word not in shown, word
    assert "run.html" in written_files(folder)
    clear(folder, None)
    assert not place.exists()


def test_the_same_run_gives_the_same_page(tmp_path, full_sweep):
    full_sweep(tmp_path / "alone", ["fc"], 1, epochs=3, filters=False)
    folder = tmp_path / "alone" / "model=fc,seed=0"

    assert write_run_page(folder).read_bytes() == write_run_page(folder).read_bytes()


def test_the_best_value_of_a_loss_is_the_lowest(tmp_path, record):
    html = run_page(Job(tmp_path, "run", record(history=history([0.5, 0.9, 0.8]))), tmp_path)

    assert "Validation accuracy by epoch: 50.00% at epoch 0, best 90.00% at epoch 1, 80.00% at epoch 2" in html
    assert "Training loss by epoch: 0.5000 at epoch 0, best 0.1000 at epoch 1, 0.2000 at epoch 2" in html


@pytest.mark.parametrize("accuracies", [[], [0.5], [1.0, 1.0, 1.0], [0.0, 1.0], [float("nan"), 0.5, 0.6]])
def test_curves_stay_inside_their_box_and_their_axes_inside_what_is_possible(tmp_path, record, accuracies):
    html = run_page(Job(tmp_path, "run", record(history=history(accuracies))), tmp_path)
    points = [pair.split(",") for line in re.findall(r'<polyline points="([^"]*)"', html) for pair in line.split()]

    assert bool(points) is (len(accuracies) > 1)
    assert all(0 <= float(x) <= 480 and 0 <= float(y) <= 200 for x, y in points)
    accuracy = re.findall(r'aria-label="Validation accuracy.*?</svg>', html, re.S)
    for figure in accuracy:
        assert all(0 <= float(tick) <= 100 for tick in re.findall(r'text-anchor="end">([^<]*)<', figure))


@pytest.mark.parametrize(
    "attack", ["</script><script>alert(1)</script>", '" onload="x', "a\x1b[31m\u202eb\nc", "x" * 5000]
)
def test_whatever_a_run_is_called_stays_text(tmp_path, record, failed, attack):
    facts = {"name": attack, "sweep": attack, "config": {"model": {attack: attack}}, "class_names": [attack, "b"]}
    for made in (record(confusion=[[1, 0], [0, 1]], files=[f"{attack}.png"], **facts), failed("seed=0", **facts)):
        html = run_page(Job(tmp_path, "run", made), tmp_path)

        assert html.count("<script") == 1
        assert not [name for name in attribute_names(html) if name.startswith("on")]
        assert not re.search("[\x1b\u202e]", html)


def test_a_failed_run_says_why(tmp_path, failed):
    shown = text_of(run_page(Job(tmp_path, "run", failed("seed=0")), tmp_path))

    assert "Failed, without a result" in shown
    assert "kernel size 31 exceeds the padded input (28)" in shown
