"""``--json [FILE]`` and ``--csv [FILE]`` of every command: alone on stdout, or in a file, and nothing when refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from tests.verbs.conftest import NEEDED, OF_SWEEPS, RUN

from vision_baselines.cli import VERBS
from vision_baselines.cli.outputs import with_data_files

ALL = sorted(set(VERBS) - {"train"})


@pytest.fixture(scope="module")
def run(train_tiny, tmp_path_factory) -> Path:
    """A finished run whose data is there."""
    folder = tmp_path_factory.mktemp("outputs") / "sweep" / "model=cnn,seed=0"
    train_tiny(folder, "trainer.max_epochs=1")
    return folder


@pytest.fixture
def words(run, tmp_path):
    from PIL import Image

    picture = tmp_path / "digit.png"
    Image.new("L", (8, 8), 128).save(picture)
    place = lambda verb: run.parent if verb in OF_SWEEPS else run  # noqa: E731
    return lambda verb: [word.format(run=place(verb), tmp=tmp_path, picture=picture) for word in NEEDED[verb]]


@pytest.mark.slow
@pytest.mark.ci(every=4)
@pytest.mark.parametrize("verb", ALL)
def test_json_is_alone_on_stdout_wherever_the_option_stands_and_the_same_in_a_file(verb, call, words, tmp_path):
    assert "--json" in call(verb, ["--help"]).out
    first = call(verb, ["--json", *words(verb)])
    assert first.code in (0, 4), first.err  # noise is not learned: nothing here is wrong
    found = json.loads(first.out)
    path = tmp_path / "found.json"
    second = call(verb, [*words(verb), "--json", str(path)])
    assert second.code == first.code, second.err
    assert set(json.loads(path.read_text())) == set(found)
    assert second.out.strip() != first.out.strip()


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["predict", "mistakes"])
def test_csv_is_alone_on_stdout_and_goes_beside_json_in_a_file(verb, call, words, tmp_path):
    path = tmp_path / "found.json"
    code, out, err = call(verb, [*words(verb), "--csv", "--json", str(path)])
    assert code == 0, err
    assert len({len(row) for row in csv.reader(io.StringIO(out))}) == 1
    assert json.loads(path.read_text())


@pytest.mark.few(5)
@pytest.mark.ci(every=4)
@pytest.mark.parametrize("verb", ALL)
@pytest.mark.parametrize("wrong", ["--no-such-option", "--json=table.txt", "--json=no/such/table.json"])
def test_a_refusal_prints_nothing_to_stdout(verb, wrong, call, tmp_path):
    words = [word.format(run=tmp_path / "none", tmp=tmp_path, picture=tmp_path / "x.png") for word in NEEDED[verb]]
    code, out, err = call(verb, ["--json", *words, wrong])
    assert code in (2, 5)
    assert out == ""
    assert err.startswith("error: ")


@pytest.mark.few(2)
@pytest.mark.ci(every=4)
@pytest.mark.parametrize("verb", [verb for verb in ALL if RUN in NEEDED[verb]])
def test_a_missing_folder_prints_nothing_to_stdout(verb, call, tmp_path):
    words = [word.format(run=tmp_path / "none", tmp=tmp_path, picture=tmp_path / "x.png") for word in NEEDED[verb]]
    code, out, _ = call(verb, ["--json", *words])
    assert (code, out) == (3, "")


@pytest.mark.parametrize("verb", ["predict", "mistakes"])
def test_two_kinds_of_data_cannot_both_be_printed(verb, call, tmp_path):
    code, out, err = call(verb, [str(tmp_path), str(tmp_path), "--json", "--csv"])
    assert (code, out) == (2, "")
    assert "leave one of them out" in err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["--json"], ["--json=-"]),
        (["--json", "-"], ["--json=-"]),
        (["--json", "outputs/demo"], ["--json=-", "outputs/demo"]),
        (["outputs/demo", "--json", "a.json", "b"], ["outputs/demo", "--json=a.json", "b"]),
        (["--json", "--csv", "a.csv"], ["--json=-", "--csv=a.csv"]),
        (["--json", "a.csv"], ["--json=-", "a.csv"]),
        (["--", "--json", "a.json"], ["--", "--json", "a.json"]),
        (["--json=a b.json"], ["--json=a b.json"]),
    ],
)
def test_the_word_after_it_is_its_file_only_where_it_is_called_so(typed, meant):
    assert with_data_files(typed) == meant


@pytest.mark.parametrize("verb", [verb for verb in ALL if verb not in ("predict", "mistakes")])
@pytest.mark.parametrize("more", [[], ["table.csv"]])
def test_an_option_that_a_command_has_not_is_refused_as_it_was_typed(verb, more, call, tmp_path):
    words = [word.format(run=tmp_path, tmp=tmp_path, picture=tmp_path) for word in NEEDED[verb]]
    code, out, err = call(verb, [*words, "--csv", *more])
    assert (code, out) == (2, "")
    assert "--csv" in err
    assert "--csv=" not in err
