"""Misclassified images of made-up runs: the same in a terminal, as JSON, CSV and PNG, on the page, in TensorBoard."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from vision_baselines.cli.collect import main as collect_main
from vision_baselines.cli.mistakes import main
from vision_baselines.comparison import outcomes
from vision_baselines.comparison.collection import collect
from vision_baselines.comparison.mistake_lists import DISAGREE, MistakeList, mistake_lists
from vision_baselines.comparison.mistakes import Entry, group_mistakes, short_name
from vision_baselines.comparison.table import tabulate
from vision_baselines.report.run_page import write_run_page
from vision_baselines.report.write import compare
from vision_baselines.runs.mistake_pictures import (
    MOST_BYTES,
    PICTURES_FILE,
    SIDE_PX,
    packed_pictures,
    read_pictures,
)
from vision_baselines.runs.predictions import PREDICTIONS_FILE, Predictions, packed
from vision_baselines.runs.record import Failure, Status, read_record

TARGETS = [0, 1, 2, 0, 1, 2]
HOSTILE = [
    "<img src=x onerror=alert(1)>.png",
    "a\nb\x1b[31m.png",
    "c/" + "long" * 40 + ".png",
    "=1+1",
    "$x$.png",
    "𝔘 é.png",
]


def answered(predicted, probability=0.9, ids=None, classes=3):
    """What a run answered for six images, as sure of each."""
    shares = np.full((len(predicted), classes), (1 - probability) / max(classes - 1, 1))
    shares[np.arange(len(predicted)), predicted] = probability
    ids = np.arange(len(predicted)) if ids is None else np.array(ids)
    return Predictions(
        np.array(predicted, np.int32), np.array(TARGETS[: len(predicted)], np.int32), shares.astype(np.float16), ids
    )


@pytest.fixture
def sweep(record, tmp_path, monkeypatch):
    """``sweep({"model=cnn,seed=0": predictions}, names, pictures)``: a folder of such runs."""
    monkeypatch.setattr(outcomes, "_known", {})

    def make(found, names=("ant", "bee", "cat"), pictures=True, **changes):
        for overrides, kept in found.items():
            made = record(overrides, class_names=list(names), **changes)
            folder = tmp_path / "sweep" / made.name
            folder.mkdir(parents=True)
            if kept is not None:
                content = packed({"test": kept})
                (folder / PREDICTIONS_FILE).write_bytes(content)
                made.predictions_sha256 = hashlib.sha256(content).hexdigest()
                wrong = np.flatnonzero(~kept.correct)
                if pictures and len(wrong):
                    pixels = np.random.default_rng(0).integers(0, 256, (len(wrong), 9, 7, 3), dtype=np.uint8)
                    content = packed_pictures(wrong, pixels, predictions_sha256=made.predictions_sha256)
                    (folder / PICTURES_FILE).write_bytes(content)
            made.write(folder)
        return tmp_path / "sweep"

    return make


@pytest.fixture
def two(sweep):
    """Two groups of two runs: image 1 is wrong in all, 2 in all of fc, 3 in one of cnn."""
    return sweep(
        {
            "model=cnn,seed=0": answered([0, 0, 2, 1, 1, 2], 0.9),
            "model=cnn,seed=1": answered([0, 0, 2, 0, 1, 2], 0.7),
            "model=fc,seed=0": answered([0, 2, 1, 0, 1, 2], 0.8),
            "model=fc,seed=1": answered([0, 0, 1, 0, 1, 2], 0.6),
        }
    )


@pytest.fixture
def mistakes(called):
    """``mistakes(*words)``: exit code, what was printed and what was complained of."""
    return called(main)


def test_the_lists_are_those_of_the_runs(two, mistakes):
    code, out, err = mistakes(two, "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert [group["misclassified_by_every_run"] for group in found["groups"]] == [1, 2]
    lists = [[(row["image"], row["answer"], row["wrong_runs"]) for row in one["images"]] for one in found["lists"]]
    assert lists == [
        [("1", "ant", 2), ("3", "bee", 1)],
        [("1", "cat", 2), ("2", "bee", 2)],
        [("2", "bee", 2)],
        [("3", "bee", 1)],
        [("1", "ant", 4)],
    ]
    assert [one["list"] for one in found["lists"]] == ["wrong", "wrong", "disagree", "disagree", "every_run"]
    first = found["lists"][0]["images"][0]
    assert (first["class"], first["probability"]) == ("bee", pytest.approx(0.8, abs=1e-3))
    assert found["lists"][2]["images"][0]["right_runs"] == 2


def test_csv_has_a_row_for_each_image_of_each_list_and_top_cuts_both(two, mistakes):
    rows = list(csv.DictReader(io.StringIO(mistakes(two, "--csv")[1])))
    assert [(row["list"], row["group"], row["image"]) for row in rows][:3] == [
        ("wrong", "model=cnn", "1"), ("wrong", "model=cnn", "3"), ("wrong", "model=fc", "1"),
    ]  # fmt: skip
    assert len(rows) == 7
    assert len(list(csv.DictReader(io.StringIO(mistakes(two, "--csv", "--top", 1)[1])))) == 5


def test_the_terminal_says_what_is_wrong_by_name_and_that_labels_may_be(two, mistakes):
    code, out, _ = mistakes(two, "--top", "1")
    assert code == 0
    assert (
        "model=cnn: 2 runs, 1.5 of 6 test images misclassified by a run (25.00%); 2 by at least one run, 1 by all"
        in out
    )
    assert "Most surely misclassified by model=cnn: 2 images, the first 1" in out
    assert re.search(r"#1 +bee +ant +0\.80 +2 of 2", out)
    assert "often labelled wrongly" in out
    assert re.search(r"bee +1\.0 of 2 +50\.0% +ant \(100%\)", out)


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        (["model=fc"], ["model=fc"]),
        (["model=fc", "model=cnn"], ["model=fc", "model=cnn"]),
        ([], ["model=cnn", "model=fc"]),
    ],
)
def test_groups_are_named_by_their_labels_in_the_order_wanted(two, mistakes, words, groups):
    assert [group["group"] for group in json.loads(mistakes(two, *words, "--json")[1])["groups"]] == groups


def test_a_class_is_named_and_a_wrong_name_is_told_the_right_one(two, mistakes):
    found = json.loads(mistakes(two, "--json", "--class", "cat")[1])
    assert {row["class"] for one in found["lists"] for row in one["images"]} == {"cat"}
    code, out, err = mistakes(two, "--class", "cta")
    assert (code, out) == (2, "")
    assert err.strip().endswith("did you mean 'cat'?")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere"], 3, "no folder nowhere"),
        (["{}", "model=x"], 2, "there is: model=cnn, model=fc"),
        (["{}", "--json", "--csv"], 2, "leave one"),
        (["{}", "--png", "a.jpg"], 2, "--png is"),
        (["{}", "--top", "0"], 2, "at least 1"),
        ([], 2, "RUN"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(two, mistakes, words, code, said):
    found = mistakes(*(word.format(two) for word in words))
    assert (found[0], found[1]) == (code, "")
    assert said in found[2]
    assert len(found[2].strip().splitlines()) == 1


def test_runs_without_predictions_or_without_a_result_are_refused_in_a_line(sweep, mistakes, record):
    folder = sweep({"model=cnn,seed=0": None})
    code, _, err = mistakes(folder)
    assert code == 3
    assert "kept no predictions (keep_predictions=none" in err
    assert len(err.strip().splitlines()) == 1
    failed = record("model=fc,seed=0", acc=None, status=Status.FAILED, failure=Failure(kind="X", message="x"))
    failed.write(folder / failed.name)
    assert mistakes(folder / failed.name)[0] == 3
    assert "no finished run" in mistakes(folder / failed.name)[2]


def test_predictions_that_were_changed_are_refused(two, mistakes):
    path = two / "model=fc,seed=0" / PREDICTIONS_FILE
    path.write_bytes(path.read_bytes() + b"x")
    code, _, err = mistakes(two)
    assert code == 3
    assert "SHA-256" in err


@pytest.mark.slow
def test_without_a_mistake_it_says_so(sweep, mistakes, tmp_path):
    folder = sweep({"model=cnn,seed=0": answered(TARGETS), "model=fc,seed=0": answered(TARGETS)})
    code, out, _ = mistakes(folder, "--png", tmp_path / "a.png")
    assert code == 0
    assert "6 test images, none misclassified" in out
    assert "Most surely misclassified by model=cnn: none" in out
    page = compare([folder]).page.read_text()
    assert "none misclassified" in page


@pytest.mark.slow
def test_the_picture_is_drawn_from_what_the_runs_kept(two, mistakes, tmp_path):
    code, out, err = mistakes(two, "--png", tmp_path / "new" / "a.png")
    assert code == 5
    assert "there is no folder" in err
    code, out, err = mistakes(two, "--png", tmp_path / "a.png")
    assert (code, err) == (0, "")
    assert out.strip().endswith("a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 900


@pytest.mark.slow
@pytest.mark.ci
def test_the_page_and_tensorboard_show_images_groups_and_disagreement(two):
    found = compare([two])
    page = found.page.read_text()
    section = page[page.index('<section id="mistakes">') : page.index('<section id="jobs">')]
    assert section.count("<img ") == 7
    assert "model=cnn is right more often than model=fc" in section
    assert "often labelled wrongly" in section
    assert {"mistakes.png", "mistakes_disagreement.png"} <= {path.name for path in (found.out / "pictures").iterdir()}
    events = b"".join(path.read_bytes() for path in found.out.glob("events*"))
    assert b"comparison/mistakes" in events
    assert compare([two]).page.read_text() == page


@pytest.mark.slow
def test_older_records_show_names_and_no_pictures(sweep):
    page = compare([sweep({"model=cnn,seed=0": answered([0, 0, 2, 1, 1, 2])}, pictures=False)]).page.read_text()
    section = page[page.index('<section id="mistakes">') : page.index('<section id="jobs">')]
    assert "<img " not in section
    assert "#3" in section


@pytest.mark.slow
@pytest.mark.ci
def test_hostile_names_are_escaped_shortened_and_kept_on_one_line(sweep, mistakes):
    names = ["<b>&", "$x$\x1b[2J", "n" * 90]
    folder = sweep({"model=cnn,seed=0": answered([1, 2, 0, 1, 2, 0], ids=HOSTILE)}, names)
    page = compare([folder]).page.read_text()
    section = page[page.index('<section id="mistakes">') : page.index('<section id="jobs">')]
    assert section.count("<img ") == 6
    assert "onerror=alert(1)&gt;" in section
    assert "<b>&lt;b&gt;&amp; → $x$</b>" in section
    assert "\x1b" not in section
    code, out, _ = mistakes(folder)
    assert code == 0
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 120
    assert [row["image"] for row in json.loads(mistakes(folder, "--json")[1])["lists"][0]["images"]] == HOSTILE
    rows = list(csv.reader(io.StringIO(mistakes(folder, "--csv")[1])))
    assert len(rows) == 7
    assert all(not cell.startswith(("=", "+", "@")) for row in rows for cell in row)


def test_runs_tested_on_other_images_are_left_out_and_said(sweep, mistakes):
    moved = answered([0, 0, 2, 1, 1, 2], ids=np.arange(6) + 1)
    folder = sweep(
        {"model=cnn,seed=0": answered([0, 0, 2, 0, 1, 2]), "model=cnn,seed=1": moved, "model=fc,seed=0": moved}
    )
    code, out, _ = mistakes(folder)
    assert code == 0
    assert "1 run left out" in out
    assert "right more often" not in out
    assert "every run of all" not in out


@pytest.mark.slow
def test_a_thousand_classes_are_folded(sweep):
    wide = answered([1, 2, 3, 4, 5, 6], classes=1000)
    page = compare([sweep({"model=cnn,seed=0": wide}, [f"class {n}" for n in range(1000)])]).page.read_text()
    assert "class 6" in page


@pytest.mark.parametrize("probabilities", [None, "kept"])
def test_one_class_alone_and_answers_without_probabilities(sweep, mistakes, probabilities):
    made = answered([0, 1, 1, 0, 1, 1], classes=2)
    made = Predictions(made.predicted, np.zeros(6, np.int32), made.probabilities if probabilities else None, made.ids)
    code, out, _ = mistakes(sweep({"model=cnn,seed=0": made}, ["only", "other"]))
    assert code == 0
    assert ("0.90" in out) == (probabilities is not None)


@pytest.mark.parametrize(
    "change",
    [
        lambda of: b"",
        lambda of: b"PK\x03\x04 no archive",
        lambda of: packed_pictures(np.array([1]), np.zeros((1, 8, 8), np.uint8), predictions_sha256="of another run"),
        lambda of: packed_pictures(np.array([1]), np.zeros((1, 8, 8, 4), np.uint8), predictions_sha256=of),
        lambda of: packed_pictures(np.array([1, 2]), np.zeros((1, 8, 8), np.uint8), predictions_sha256=of),
        lambda of: packed_pictures(np.array([1]), np.zeros((1, SIDE_PX + 1, 8), np.uint8), predictions_sha256=of),
        lambda of: packed_pictures(np.array([1]), np.zeros((1, 0, 8), np.uint8), predictions_sha256=of),
        lambda of: packed_pictures(np.array([1]), np.zeros((1, 8, 8), np.float32), predictions_sha256=of),
        lambda of: packed_pictures(np.array([1]), np.zeros((9, 999, 999), np.uint8), predictions_sha256=of),
    ],
    ids=["empty", "no archive", "another run", "RGBA", "fewer", "large", "flat", "floats", "bomb"],
)  # fmt: skip
def test_a_file_of_pictures_that_cannot_be_used_is_passed_over(two, change):
    folder = two / "model=cnn,seed=0"
    record = read_record(folder)
    assert set(read_pictures(folder, record)) == {1, 3}
    (folder / PICTURES_FILE).write_bytes(change(record.predictions_sha256))
    assert read_pictures(folder, record) == {}


@pytest.mark.slow
def test_pictures_of_places_that_there_are_not_are_passed_over(two):
    folder = two / "model=cnn,seed=0"
    sha256 = read_record(folder).predictions_sha256
    content = packed_pictures(np.array([-1, 999]), np.zeros((2, 8, 8), np.uint8), predictions_sha256=sha256)
    (folder / PICTURES_FILE).write_bytes(content)
    assert '<section id="mistakes">' in compare([two]).page.read_text()


@pytest.mark.parametrize(
    ("image", "shown"),
    [("7", "#7"), ("c/1.png", "c/1.png"), ("a" * 99, "a" * 10 + "…" + "a" * 9), ("a\nb", "a b"), ("\udcff", "\\udcff")],
)  # fmt: skip
def test_names_are_one_line_and_short(image, shown):
    assert short_name(image, 20) == shown


def test_a_file_of_pictures_is_bounded():
    pixels = np.random.default_rng(0).integers(0, 256, (MOST_BYTES // (64 * 64 * 3), 64, 64, 3), dtype=np.uint8)
    assert len(packed_pictures(np.arange(len(pixels)), pixels, predictions_sha256="a" * 64)) < 1.1 * MOST_BYTES


def test_images_with_a_picture_come_first_but_never_before_a_larger_difference(two):
    jobs = {row.label: row.counted for row in tabulate(collect([two])).rows}
    cnn, fc = (group_mistakes(f"model={name}", jobs[f"model={name}"]) for name in ("cnn", "fc"))
    wrong = mistake_lists([fc])[0]
    assert wrong.pictured().places.tolist() == wrong.places.tolist() == [1, 2]
    fc.__dict__["pictures"] = {2: None}
    moved = mistake_lists([fc])[0].pictured()
    assert (moved.places.tolist(), moved.pictures_first) == ([2, 1], True)
    assert moved.counted(1) == "2 images, the first 1 (those with a picture first)"
    cnn.__dict__["pictures"] = {}
    found = MistakeList(DISAGREE, fc, np.array([2, 1, 3]), cnn).pictured()
    gaps = (fc.found.shares - cnn.found.shares)[found.places].tolist()
    assert gaps == sorted(gaps, reverse=True)


def test_the_page_of_a_single_run_shows_its_mistakes(two):
    page = write_run_page(two / "model=fc,seed=0").read_text()
    section = page[page.index('<section id="mistakes">') : page.index('<section id="settings">')]
    assert section.count("<img ") == 2
    assert "cat → bee" in section
    assert 'href="#mistakes"' in page


def test_groups_that_were_tested_on_other_images_are_said_to_be_and_a_word_that_is_a_path_names_no_group(
    sweep, mistakes
):
    folder = sweep(
        {"model=cnn,seed=0": answered([0, 0, 2]), "model=fc,seed=0": answered([0, 1, 1], ids=[7, 8, 9])},
        ["a", "b", "c"],
    )
    code, out, _ = mistakes(folder)
    assert code == 0
    assert "model=cnn and model=fc were tested on other images, so nothing is said of where they disagree" in out
    assert mistakes(folder, "not/there")[2].startswith("error: no folder not/there; expected a folder of runs")


def test_a_class_is_not_looked_up_by_its_number_in_groups_that_have_other_classes(sweep, mistakes):
    sweep({"model=cnn,seed=0": answered([0, 0, 2])}, ["a", "b", "c"])
    folder = sweep({"model=fc,seed=0": answered([0, 1, 1])}, ["b", "c", "d"])
    code, _, err = mistakes(folder, "--class", "b")
    assert (code, err) == (2, "error: --class is 'b', and the groups have different classes; name one of them\n")
    assert mistakes(folder, "model=fc", "--class", "b")[0] == 0


def test_the_folder_of_one_run_is_no_sweep_to_collect(two, called):
    code, out, err = called(collect_main)(two / "model=cnn,seed=0")
    assert (code, out) == (3, "")
    assert err == f"error: {two / 'model=cnn,seed=0'} is the folder of one run; expected that of its sweep, {two}\n"
    assert not (two / "model=cnn,seed=0" / "comparison").exists()


@pytest.mark.parametrize("length", [5, 12, 17, 40])
def test_a_class_and_the_answer_are_told_apart_however_long_they_are(length):
    from vision_baselines.plots.mistakes import caption
    from vision_baselines.report.mistakes import _cells

    right, answer = (f"{'experiment' * length}_{place}_{'left_eye' * length}" for place in (3, 4))
    entry = Entry(5, "a.png", right, answer, None, 2, 3)
    [first, second], _ = caption(entry)
    assert first != second.removeprefix("→ ")
    _, shown_right, shown_answer, *_ = _cells(entry)
    assert shown_right != shown_answer
