"""The same mistake about a folder is said in the same words, with the same exit code, by every command."""

from __future__ import annotations

import json

import pytest
from tests.verbs.conftest import NEEDED, ONE_RUN, RUN

from vision_baselines.runs.places import ONE, SOME

READERS = [verb for verb in NEEDED if RUN in NEEDED[verb]]
HOSTILE = "a\nb\r\x1b[31mc\u202e\td"

# What is made at a path, and how the message about it begins and which commands list it instead.
MISTAKES = {
    "missing": (lambda path: None, "no folder {}; expected", ()),
    "a file": (lambda path: path.write_text("x"), "{} is a file; expected", ("evaluate",)),  # it takes checkpoints
    "no run in it": (lambda path: path.mkdir(), "{} holds no run (no run.json ", ()),
    "documents": (lambda path: (path.mkdir(), (path / "a.txt").write_text("x")), "{} holds no run (no run.json ", ()),
    "a damaged record": (
        lambda path: (path.mkdir(), (path / "run.json").write_text('{"na')),
        "{}/run.json is not a run record: ",
        ("status", "clean"),  # which say it of every run that they list
    ),
    "a newer record": (
        lambda path: (path.mkdir(), (path / "run.json").write_text(json.dumps({"schema_version": 10**6}))),
        "{}/run.json has record schema 1000000; ",
        ("status", "clean"),
    ),
}


@pytest.mark.few(3)
@pytest.mark.ci(every=5)
@pytest.mark.parametrize("verb", READERS)
@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("name", ["folder", HOSTILE])
def test_a_wrong_folder_is_exit_code_3_in_one_line_of_the_same_words(verb, mistake, name, call, tmp_path):
    make, begins, elsewhere = MISTAKES[mistake]
    make(tmp_path / name)
    (tmp_path / "x.png").touch()
    words = [w.format(run=tmp_path / name, tmp=tmp_path, picture=tmp_path / "x.png") for w in NEEDED[verb]]
    code, out, err = call(verb, words)
    assert all(character.isprintable() for line in (out + err).split("\n") for character in line)
    if verb in elsewhere:
        return
    [error] = [line for line in err.splitlines() if not line.startswith("exporting ")]
    shown = str(tmp_path / name)
    for raw, spelled in (("\n", "\\n"), ("\r", "\\r"), ("\x1b[31m", ""), ("\t", "\\t"), ("\u202e", "\\u202e")):
        shown = shown.replace(raw, spelled)
    assert (code, out) == (3, ""), err
    assert error.startswith(f"error: {begins.format(shown)}")
    if "expected" in begins:
        assert (ONE if verb in ONE_RUN else SOME) in error
