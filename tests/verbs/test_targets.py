"""Whatever a command writes where it is told to, a run's own files stay; the options are read from the parsers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.verbs.conftest import NEEDED

from vision_baselines.cli import VERBS
from vision_baselines.cli.arguments import file_path
from vision_baselines.cli.outputs import _OF_A_SWEEP, _PLANNED, PRINTED, require_foreign_file, require_own_files
from vision_baselines.comparison import ablation, search, sequential
from vision_baselines.errors import ConfigError, StorageError
from vision_baselines.evaluation.receipt import RECEIPT_FILE
from vision_baselines.report.written import note_written
from vision_baselines.runs.files import is_folder_of_a_run, is_of_a_run
from vision_baselines.search import storage
from vision_baselines.storage.atomic import why_unwritable
from vision_baselines.sweep import planned, untouched

# A file of every kind that a run leaves; the record lists the picture of a probe.
FILES = (
    "run.json", "run.html", "config.yaml", "train.log", "trace.npz", "predictions.npz", "mistakes.npz", "filters.png",
    "events.out.tfevents.1.host.1.0", "csv/metrics.csv", "checkpoints/best.ckpt", "checkpoints/best.ckpt.sha256",
    "checkpoints/resume-step=6.ckpt", ".hydra/config.yaml", "shift/shift.png",
)  # fmt: skip
FOLDERS = (".", "checkpoints", "csv", "shift", ".hydra")


@pytest.fixture
def run(root: Path, tmp_path: Path) -> Path:
    """A run's folder with a file of every kind, and one of somebody's own."""
    folder = tmp_path / "outputs" / "sweep" / "model=fc,seed=0"
    record = json.loads(next((root / "tests" / "runs" / "released").rglob("run.json")).read_text())
    for name in (*FILES, "shift/mine.png", "mine.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "run.json").write_text(json.dumps(record | {"files": [n for n in FILES if not n.startswith(".hydra")]}))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ways_to(target: Path, tmp_path: Path, suffix: str) -> list[Path]:
    """A path as it is, one that goes up and down again, a link to it, and one through a link to its folder."""
    link, to_folder = tmp_path / f"link{suffix or target.suffix}", tmp_path / "folder"
    for path, to in ((link, target), (to_folder, target.parent)):
        path.unlink(missing_ok=True)
        path.symlink_to(to)
    return [target, target.parent / "nowhere" / ".." / target.name, link, to_folder / target.name]


def written_by(verb, parser, output, path, run, tmp_path):
    """The words with which a command would write to `path`."""
    words = [word.format(run=run, tmp=tmp_path, picture=run / "filters.png") for word in NEEDED[verb]]
    if output.name.startswith("-"):
        return [*words, f"{output.name}={path}"]
    positionals = [action.dest for action in parser._get_positional_actions()]
    words[positionals.index(output.dest)] = str(path)
    return words


@pytest.mark.few(3)
@pytest.mark.ci(every=4)
@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"train"}))
def test_no_option_of_any_command_writes_over_a_record(verb, call, parsers, run, tmp_path):
    refuses_to_write_over(FILES[:1], verb, call, parsers, run, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"train"}))
def test_no_option_of_any_command_writes_over_another_file_of_a_run(verb, call, parsers, run, tmp_path):
    refuses_to_write_over(FILES[1:], verb, call, parsers, run, tmp_path)


def refuses_to_write_over(names, verb, call, parsers, run, tmp_path):
    parser = parsers(verb)
    before = contents(run)
    for output in parser.outputs:
        for name in names if output.suffix is not None else FOLDERS:
            for path in ways_to(run / name, tmp_path, output.suffix or ""):
                if output.suffix is None and path.is_symlink() and name != ".":
                    continue  # a folder's link is among those through its parent
                code, out, err = call(verb, written_by(verb, parser, output, path, run, tmp_path))
                assert (code, out) == (2, ""), (output.name, path, err)
                assert len(err.strip().splitlines()) == 1
                assert any(said in err for said in ("of a run", "its own files", "expected the name of", "ends in"))
                assert contents(run) == before, (output.name, path)


@pytest.mark.slow
@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"train"}))
def test_every_other_option_that_takes_a_path_only_reads_it(verb, call, parsers, run, tmp_path):
    parser = parsers(verb)
    guarded = {output.dest for output in parser.outputs}
    before = contents(run)
    for action in parser._actions:
        if action.type is not file_path or action.dest in guarded or not action.option_strings:
            continue
        for name in ("run.json", "checkpoints/best.ckpt", "."):
            words = [word.format(run=run, tmp=tmp_path, picture=run / "filters.png") for word in NEEDED[verb]]
            code, _, _ = call(verb, [*words, f"{action.option_strings[0]}={run / name}"])
            assert code != 4, (action.dest, name)
            assert contents(run).items() >= before.items()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder that root may write, and nobody can")
@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"train"}))
def test_a_folder_in_which_no_file_can_be_made_is_refused_before_anything_is_done(verb, parsers):
    for output in parsers(verb).outputs:
        if output.suffix is not None and not output.makes_folders:
            with pytest.raises(StorageError, match=r"cannot be written: no .* '/proc'"):
                output.check(Path(f"/proc/x{output.suffix or '.pt2'}"))


def test_that_a_file_could_be_made_leaves_none(tmp_path):
    assert why_unwritable(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FOLDERS)
def test_compare_writes_into_no_folder_of_a_run(call, run, name):
    before = contents(run)
    code, out, err = call("compare", [str(run.parent), f"out={run / name}"])
    assert (code, out) == (2, "")
    assert "its own files" in err
    assert contents(run) == before


@pytest.mark.slow
@pytest.mark.ci
def test_compare_writes_over_no_other_comparison_and_beside_no_job(call, run, tmp_path):
    outputs = tmp_path / "two"
    for name in ("a", "b"):
        shutil.copytree(run, outputs / name / run.name)
        (outputs / name / _PLANNED).write_text("{}")
        assert call("compare", [str(outputs / name)])[0] == 0
    before = contents(outputs)
    for place in ("a", "b", "b/comparison", "b/comparison/../comparison"):
        code, out, err = call("compare", [str(outputs / "a"), f"out={outputs / place}"])
        owner = "the comparison of another sweep" if "comparison" in place else "a sweep"
        assert (code, out) == (2, ""), place
        assert f"where {owner} keeps its own files" in err
        assert contents(outputs) == before
    assert call("compare", [str(outputs / "a"), f"out={outputs / 'a/comparison'}"])[0] == 0


def test_what_is_somebodys_own_in_a_runs_folder_may_be_written(run):
    assert not is_of_a_run(run / "shift" / "mine.png")
    assert not is_of_a_run(run / "mine.json")
    assert not is_of_a_run(run / "figures" / "net.png")
    assert not is_folder_of_a_run(run / "figures")


def test_where_the_record_says_nothing_of_files_any_picture_of_a_probe_may_be_the_runs(run):
    (run / "run.json").write_text("{")
    assert is_of_a_run(run / "shift" / "mine.png")
    assert is_of_a_run(run / "run.json")
    shutil.rmtree(run / "checkpoints")
    assert is_of_a_run(run / "checkpoints" / "best.ckpt")


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        *((name, "a sweep") for name in sorted(_OF_A_SWEEP)),
        ("comparison/.files.json", "a comparison"),
        ("comparison/.records.cache", "a comparison"),
        ("comparison/jobs.csv", "a comparison"),
        ("comparison/pictures/curves.png", "a comparison"),
        ("mine.json", ""),
        ("comparison/mine.csv", ""),
    ],
)
def test_files_of_a_sweep_and_a_comparison_stay_too(name, owner, tmp_path):
    sweep = tmp_path / "outputs" / "sweep"
    (sweep / "comparison" / "pictures").mkdir(parents=True)
    for there in (*_OF_A_SWEEP, "comparison/jobs.csv", "comparison/pictures/curves.png", "mine.json"):
        (sweep / there).write_text("{}")
    note_written(sweep / "comparison", {"jobs.csv": b"{}", "pictures/curves.png": b"{}"})
    for path in ways_to(sweep / name, tmp_path, ""):
        if owner:
            with pytest.raises(ConfigError, match=f"a file of {owner}"):
                require_foreign_file(path, "--json")
        else:
            require_foreign_file(path, "--json")
    # the same names where there is neither
    require_foreign_file(tmp_path / Path(name).name, "--json")


def test_the_names_of_a_sweep_s_files_are_those_that_are_written():
    written = {
        planned.PLANNED_FILE, search.SEARCH_FILE, storage.JOURNAL_FILE, untouched._HYDRAS_FILE, RECEIPT_FILE,
        ablation.ABLATION_FILE, sequential.SEQUENTIAL_FILE,
    }  # fmt: skip
    assert written == _OF_A_SWEEP
    assert _PLANNED == planned.PLANNED_FILE


@pytest.mark.parametrize("second", ["same.json", "folder/../same.json", "link.json"])
def test_two_options_do_not_write_one_file(tmp_path, monkeypatch, second):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.json").symlink_to("same.json")
    with pytest.raises(ConfigError, match="--out and --json both name"):
        require_own_files({"--out": Path("same.json"), "--csv": None, "--json": Path(second)})
    require_own_files({"--json": PRINTED, "--csv": PRINTED, "--out": Path("same.json"), "--html": Path("other.html")})
