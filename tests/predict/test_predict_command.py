"""What the command prints, writes and refuses, and that one bad file stops no other."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.conftest import CONF

import vision_baselines as vb
from vision_baselines.cli.predict import main
from vision_baselines.runs.record import Status, read_record


@pytest.fixture
def copied(sweep, tmp_path):
    """A copy of the sweep that a test may spoil."""
    return shutil.copytree(sweep, tmp_path / "copied")


def altered(folder, **fields):
    """Give a run's record other values."""
    record = read_record(folder)
    for name, value in fields.items():
        setattr(record, name, value)
    record.write(folder)


@pytest.mark.slow
@pytest.mark.ci
def test_a_table_of_the_three_likeliest_classes_and_three_files_of_all(called, sweep, digits, tmp_path):
    outputs = {kind: tmp_path / f"found.{kind}" for kind in ("json", "csv", "html")}
    options = [word for kind, file in outputs.items() for word in (f"--{kind}", file)]
    code, out, err = called(main)(digits, *options, sweep / "seed=0")
    expected = vb.load_run(sweep / "seed=0").predict(digits)

    assert (code, err) == (0, "")
    written = [file.read_bytes() for file in outputs.values()]
    assert called(main)(sweep / "seed=0", digits, *options) == (code, out, err)
    assert [file.read_bytes() for file in outputs.values()] == written
    head, _, *rows = [line for line in out.splitlines() if line.strip()]
    assert head.split() == ["picture", "likeliest", "2nd", "3rd"]
    for row, (label, share) in enumerate(zip(expected.labels, expected.probabilities, strict=True)):
        assert rows[row].split()[1:4] == [label, f"{share.max():.2%}".removesuffix("%"), "%"]
    assert rows[40:] == [str(file) for file in outputs.values()]

    content = json.loads(outputs["json"].read_text())
    np.testing.assert_allclose([p["probabilities"] for p in content["pictures"]], expected.probabilities, atol=1e-7)
    assert [p["label"] for p in content["pictures"]] == expected.labels
    lines = list(csv.DictReader(io.StringIO(outputs["csv"].read_text())))
    assert [line["file"] for line in lines] == expected.files
    np.testing.assert_allclose([float(line["p(7)"]) for line in lines], expected.probabilities[:, 7], rtol=1e-6)
    page = outputs["html"].read_text()
    assert page.count("<li>\n<div class=") == 40
    assert "<script" not in page


def _hostile(folder):
    """Files of every kind, of which the first number can be used; and the others' names."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8))
    for name, mode in {"rgba.png": "RGBA", "palette.png": "P", "cmyk.jpg": "CMYK", "grey.webp": "L"}.items():
        colour.convert(mode).save(folder / name)
    Image.fromarray(rng.integers(0, 60_000, (9, 9), np.uint16)).save(folder / "deep.png")
    colour.save(folder / "moving.gif", save_all=True, append_images=[colour.rotate(90)])
    for name in ("new\nline.png", "<b>&amp;.png", "=1+1.png", "-x.png", "\x1b[31mred.png"):
        colour.save(folder / name)
    (folder / "link.png").symlink_to("rgba.png")
    (folder / "sub").mkdir()
    colour.save(folder / "sub" / "UPPER.PNG")
    (folder / "notes.txt").write_text("no picture by its name")
    (folder / "self").symlink_to(".")
    good = 13
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("<script>alert(1)</script>")
    (folder / "cut.jpg").write_bytes((folder / "cmyk.jpg").read_bytes()[:400])
    Image.fromarray(rng.random((4, 4), np.float32)).save(folder / "float.tiff")
    os.mkfifo(folder / "fifo.png")
    (folder / "a.png").symlink_to("b.png")
    (folder / "b.png").symlink_to("a.png")
    with (folder / "huge.png").open("wb") as file:
        file.truncate(2**31 + 1)
    bad = {"empty.png", "text.png", "cut.jpg", "float.tiff", "fifo.png", "a.png", "b.png", "huge.png"}
    return good, bad


def test_each_bad_file_is_named_in_one_line_and_the_others_go_on(called, sweep, tmp_path):
    good, bad = _hostile(tmp_path / "h")
    (tmp_path / "nothing").mkdir()
    page, table = tmp_path / "p.html", tmp_path / "p.csv"
    words = [tmp_path / "h", tmp_path / "nothing", "--html", page, "--csv", table]
    code, out, err = called(main)(sweep / "seed=0", *words)

    assert code == 3
    named = [line for line in err.splitlines() if line.startswith("not read: ")]
    assert {line.split(": ")[1].rpartition("/")[2] for line in named} == bad | {"nothing"}
    assert len(named) == len(bad) + 1
    assert err.splitlines()[-1] == f"error: not read: {len(named)}, named above; predicted: {good} pictures"
    assert "passed over" in err
    assert "\x1b" not in out + err
    assert out.count(" %") == 3 * good
    assert len(list(csv.reader(io.StringIO(table.read_text())))) == good + 1
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text or "b&#39;&lt;script" in text
    assert "<b>" not in text.replace("<b>1</b>", "").replace(f'<b class="bad">{len(named)}', "")


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_dash_prints_one_of_them_alone(called, sweep, digits, tmp_path, kind):
    file = tmp_path / f"p.{kind}"
    words = (sweep / "seed=0", digits / "0000.png")
    assert called(main)(*words, f"--{kind}", file)[0] == 0
    code, out, _ = called(main)(*words, f"--{kind}", "-")
    assert (code, out) == (0, file.read_text("utf-8"))
    code, _, err = called(main)(*words, "--json", "-", "--csv", "-")
    assert code == 2
    assert "leave one of them out" in err


@pytest.mark.skipif(os.name == "nt", reason="names there are text")
def test_a_name_that_is_not_utf_8_goes_everywhere(called, sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a long path would be wrapped in the table
    name = os.fsdecode(b"caf\xe9.png")
    Image.new("L", (16, 16)).save(name)
    files = [tmp_path / f"p.{kind}" for kind in ("json", "csv", "html")]
    options = [word for file in files for word in (f"--{file.suffix[1:]}", file)]
    code, out, _ = called(main)(sweep / "seed=0", name, *options)

    assert code == 0
    for text in (out, *(file.read_text("utf-8") for file in files)):
        assert "udce9.png" in text


def test_a_sweep_is_an_ensemble_of_its_finished_runs(called, copied, digits):
    shutil.copytree(copied / "seed=1", copied / "seed=2")
    altered(copied / "seed=2", status=Status.FAILED)
    code, out, err = called(main)(copied, digits / "0000.png", copied / "seed=0")

    assert code == 0
    assert err == f"left out of {copied}: 1 run that did not finish or cannot be read\n"
    assert "agree" in out
    assert "mean of 2 runs" in out


@pytest.mark.slow
@pytest.mark.ci
def test_members_may_differ_in_size_and_colour_but_not_in_classes(called, copied, run_tiny, digits, tmp_path):
    colour = ["++data.source.image_shape=[3,12,10]", "data.image_shape=[3,12,10]", "data.mean=[.5,.5,.5]"]
    run_tiny("colour", *colour, "data.std=[.3,.3,.3]", "trainer.max_epochs=1")
    other = tmp_path / "outputs" / "colour"
    code, out, err = called(main)(copied / "seed=0", other, digits / "0003.png", digits / "0004.png")
    assert code == 0
    assert "mean of 2 runs" in out
    assert err.count("pictures of another size: 2 of 2, scaled to cover 10×12 pixels") == 1
    found = vb.predict([copied / "seed=0", other], digits)
    means = [vb.predict(one, digits).probabilities for one in (copied / "seed=0", other)]
    np.testing.assert_allclose(found.probabilities, np.mean(means, axis=0), atol=1e-6)

    names = read_record(other).class_names
    altered(other, class_names=names[::-1])  # the same classes in another order: columns follow their names
    found = vb.predict([copied / "seed=0", other], digits)
    np.testing.assert_allclose(found.probabilities, (means[0] + means[1][:, ::-1]) / 2, atol=1e-6)

    altered(other, class_names=[*names[:-1], "nine"])
    code, _, err = called(main)(copied / "seed=0", other, digits)
    assert code == 2
    assert "different classes (0, 1, 2, 3, 4 and 5 more" in err
    assert len(err.splitlines()) == 1


def _refusals(copied, digits, tmp_path):
    """What is typed, the exit code, and what the one line names."""
    run, picture = copied / "seed=0", digits / "0000.png"
    yield [], 2, "expected a run and pictures"
    yield [run], 2, "expected pictures"
    yield [picture], 3, "is a file; expected the folder of a run"
    yield ["nowhere", picture], 3, "no folder nowhere"
    yield [copied.parent, picture], 2, "holds sweeps, such as"
    yield [run, tmp_path / "none"], 3, "none; expected runs and pictures"
    yield [run, picture, tmp_path / "none", "a\nb"], 3, "none (nor 1 more)"
    yield [run, "a\nb"], 3, "no file or folder a\\x0ab; expected"
    yield [run, run / "checkpoints" / "best.ckpt"], 2, "is a checkpoint; name the folder of its run"
    yield [run, picture, "--top", "0"], 2, "--top"
    yield [run, picture, "--batch-size", "-1"], 2, "--batch-size"
    yield [run, picture, "--device", "tpu"], 2, "--device is 'tpu'; expected cpu"
    yield [run, picture, "--device", "mps:7"], 2, "--device cpu is everywhere"
    yield [run, picture, f"--json={tmp_path}/x.txt"], 2, "--json is"
    yield [run, picture, "--json", tmp_path / "no" / "x.json"], 5, "there is no folder"
    yield [run, picture, f"--csv={copied}"], 2, "--csv is"
    folder = tmp_path / "folder.html"
    folder.mkdir()
    yield [run, picture, "--html", folder], 5, "it is a folder"
    own = tmp_path / "own.json"
    own.touch()
    yield [run, own, "--json", own], 2, "also to be read"


def test_what_cannot_be_is_refused_in_one_line(called, copied, digits, tmp_path):
    for words, expected, says in _refusals(copied, digits, tmp_path):
        code, out, err = called(main)(*words)
        assert (code, out, len(err.splitlines())) == (expected, "", 1), words
        assert says in err


def test_a_path_that_is_not_there_is_refused_before_anything_is_loaded(called, copied, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vision_baselines.evaluation.trained", None)  # whose import takes torch
    monkeypatch.setitem(sys.modules, "vision_baselines.evaluation.predict", None)
    code, out, err = called(main)(copied / "seed=0", tmp_path / "none")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert str(tmp_path / "none") in err


def test_runs_that_cannot_answer_are_refused_before_a_picture_is_read(called, copied, digits):
    run = copied / "seed=0"
    best = run / "checkpoints" / "best.ckpt"
    other = copied / "seed=1" / "checkpoints" / "best.ckpt"

    def refused(expected, says):
        code, out, err = called(main)(run, digits)
        assert (code, out, len(err.splitlines())) == (expected, "", 1)
        assert says in err

    record, content = (run / "run.json").read_bytes(), best.read_bytes()
    altered(run, class_names=["cat", "dog"])
    refused(3, "and the 2 classes of its record")
    (run / "run.json").write_bytes(record)
    best.write_bytes(other.read_bytes())
    best.with_name("best.ckpt.sha256").write_bytes(other.with_name("best.ckpt.sha256").read_bytes())
    refused(5, "does not hold the weights of this run's record")
    best.write_bytes(content[:-100])
    refused(5, "rerun=true trains it again")
    best.unlink()
    refused(5, "rerun=true trains it again")
    altered(run, status=Status.RUNNING)
    refused(3, "holds a run that is running; expected a finished one")
    (run / "run.json").write_bytes(record)
    altered(run, class_names=None)
    refused(3, "learned numbers, not classes")
    (run / "run.json").write_text("{")
    refused(3, "is not a run record")


def test_a_page_says_how_many_pictures_it_leaves_out(called, sweep, digits, tmp_path, monkeypatch):
    monkeypatch.setattr("vision_baselines.evaluation.gallery.MOST_PICTURES", 7)
    called(main)(sweep / "seed=0", digits, "--html", tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text()
    assert text.count("<li>") == 7
    assert "The first 7 pictures; 33 more are in" in text


def test_many_classes_are_shown_line_by_line(called, sweep, digits):
    code, out, _ = called(main)(sweep / "seed=0", digits / "0000.png", "--top", "99")
    assert code == 0
    lines = [line.split() for line in out.splitlines() if line.strip().endswith("%")]
    assert len(lines) == 10
    shares = [float(line[-2]) for line in lines]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.1)


@pytest.mark.slow
def test_a_net_of_ones_own_is_asked_only_where_its_package_is_trusted(called, train, digits, tmp_path, monkeypatch):
    package = f"own_{tmp_path.name.replace('-', '_')}"
    net = "import torch\n\n\nclass Net(torch.nn.Sequential):\n    def __init__(self, num_classes):\n"
    net += "        super().__init__(torch.nn.Flatten(), torch.nn.Linear(256, num_classes))\n"
    (tmp_path / f"{package}.py").write_text(net)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    own = ["model=fc", f"model._target_={package}.Net", "data=digits", "trainer.max_epochs=1"]
    keys = yaml.safe_load((CONF / "model" / "fc.yaml").read_text())
    others = [f"~model.{key}" for key in keys if key not in ("_target_", "num_classes", "defaults")]
    train(tmp_path / "run", *own, *others, f"trusted_packages=[{package}]")

    code, out, err = called(main)(tmp_path / "run", digits)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert f"{package}.Net" in err
    code, out, _ = called(main)(tmp_path / "run", digits, "--trust", package)
    assert code == 0
    assert out.count(" %") == 3 * 40


@pytest.mark.slow
@pytest.mark.ci
def test_nobody_reading_on_and_ctrl_c_end_it_quietly(sweep, digits, root):
    many = [shutil.copytree(digits, digits.parent / f"{sweep.parent.name}_{index}") for index in range(40)]
    command = [sys.executable, root / "scripts" / "predict.py", sweep / "seed=0", *many]
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment}
    with subprocess.Popen(command, **pipes) as process:
        process.stdout.close()
        assert process.stderr.read() in ("loading …\n".encode(), b"")
    assert process.returncode == 0

    with subprocess.Popen([*command, "--html", sweep.parent / "never.html"], **pipes) as process:
        assert process.stderr.read(7) == b"loading"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().endswith(b"ended by SIGINT\n")
    assert process.returncode == 130
    assert not (sweep.parent / "never.html").exists()


@pytest.mark.slow
def test_that_there_is_no_run_is_said_before_torch_is_imported(tmp_path):
    (tmp_path / "pictures").mkdir()
    program = "import sys; sys.modules['torch'] = None; from vision_baselines.cli.predict import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "nosuch", "pictures"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert "error: no folder nosuch; expected the folder of a run" in done.stderr


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_page_opens_from_the_disk_and_fits(opened, called, sweep, tmp_path, width, scheme):
    _hostile(tmp_path / "h")
    Image.new("RGB", (900, 30), "red").save(tmp_path / "h" / f"{'long_name_' * 12}.png")
    called(main)(sweep, tmp_path / "h", "--html", tmp_path / "p.html")
    page, requests, complaints = opened(
        tmp_path / "p.html", viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=True
    )
    assert requests == [(tmp_path / "p.html").as_uri()]
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".cards > li").count() == 14
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth && image.alt)")
    boxes = page.evaluate("[...document.images].map(image => [image.clientWidth, image.clientHeight])")
    assert max(box[0] for box in boxes) <= 168
    assert max(box[1] for box in boxes) <= 150
    ink, paper = page.evaluate(
        "[getComputedStyle(document.querySelector('.shares th')).color,"
        " getComputedStyle(document.body).backgroundColor]"
        ".map(color => color.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0))"
    )
    assert abs(ink - paper) > 500
