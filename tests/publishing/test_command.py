"""Publishing by command: what is no whole experiment of one commit is refused before anything is trained or written."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from itertools import pairwise

import pytest
from publishing.command import _kept, _require_commit, main
from publishing.page import EXPERIMENTS, RESULTS, rendered, unfit
from publishing.results import ClaimError, read

from publishing import command
from vision_baselines.evaluation.receipt import read_receipt
from vision_baselines.jobs.signals import Interrupted
from vision_baselines.runs.record import Status
from vision_baselines.sweep.planned import note_planned

NAME = "gated_or_not"


@pytest.fixture(scope="module")
def certified():
    return list(read_receipt(EXPERIMENTS / f"{NAME}.json").records.values())


@pytest.fixture
def folder(tmp_path, certified):
    """A sweep of two jobs that have finished, as it was planned."""
    for record in certified[:2]:
        record.write(tmp_path / NAME / record.name)
    note_planned(tmp_path / NAME, [tmp_path / NAME / record.name for record in certified[:2]])
    return tmp_path / NAME


def _not_begun(folder, records):
    note_planned(folder, [folder / record.name for record in records[:3]])


def _of_an_earlier_form(folder, records):
    note_planned(folder, [folder / records[0].name])


def _running(folder, records):
    records[0].model_copy(update={"status": Status.RUNNING}).write(folder / records[0].name)


def _of_another_commit(folder, records):
    environment = records[0].environment.model_copy(update={"git_commit": "0" * 40})
    records[0].model_copy(update={"environment": environment}).write(folder / records[0].name)


def _of_no_commit(folder, records):
    for record in records[:2]:
        environment = record.environment.model_copy(update={"git_commit": None})
        record.model_copy(update={"environment": environment}).write(folder / record.name)


def _of_changed_files(folder, records):
    environment = records[1].environment.model_copy(update={"git_dirty": True})
    records[1].model_copy(update={"environment": environment}).write(folder / records[1].name)


def _damaged(folder, records):
    (folder / records[0].name / "run.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_not_begun, "1 of 3 jobs have not begun"),
        (_of_an_earlier_form, "1 of its runs are no jobs of the experiment as it was last run"),
        (_running, "not finished: "),
        (_of_another_commit, "of several commits"),
        (_of_no_commit, "of none"),
        (_of_changed_files, "changed files"),
        (_damaged, "run.json"),
    ],
)
def test_what_is_no_whole_experiment_of_one_commit_is_not_kept(folder, certified, monkeypatch, spoil, why):
    monkeypatch.setattr(command, "RESULTS", folder / "results")
    monkeypatch.setattr(command, "EXPERIMENTS", folder / "receipts")
    spoil(folder, certified)
    assert why in _kept(NAME, folder.parent)
    assert not (folder / "results").exists()
    assert not (folder / "receipts").exists()


@pytest.mark.slow
@pytest.mark.ci
def test_a_whole_experiment_is_kept(folder, monkeypatch):
    monkeypatch.setattr(command, "RESULTS", folder.parent / "results")
    monkeypatch.setattr(command, "EXPERIMENTS", folder.parent)
    assert _kept(NAME, folder.parent) == ""
    found = read(folder.parent / "results" / f"{NAME}.json")
    assert len(found.runs) == 2
    assert list(unfit(folder.parent / "results", folder.parent)) == []


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A commit with a source file and an experiment."""
    root = tmp_path / "repository"
    for name in ("src/a.py", "conf/experiment/x.yaml", "scripts/s.py", "notes.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("one")
    (root / ".gitignore").write_text("outputs\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *words], cwd=root, check=True)
    monkeypatch.setattr(command, "ROOT", root)
    return root


@pytest.mark.parametrize(
    ("changed", "is_refused"),
    [
        ("src/a.py", True),
        ("notes.md", True),
        ("src/new.py", True),
        ("conf/experiment/new.yaml", True),
        ("scripts/deep/new.py", True),
        ("conf/experiment/x.json", False),
        ("new.txt", False),
        ("outputs/x/run.json", False),
    ],
)
def test_what_no_commit_has_is_not_trained(repository, changed, is_refused):
    (repository / changed).parent.mkdir(parents=True, exist_ok=True)
    (repository / changed).write_text("two")
    if is_refused:
        with pytest.raises(SystemExit, match="commit first") as refused:
            _require_commit(repository / "outputs" / "x")
        assert changed in str(refused.value)
    else:
        _require_commit(repository / "outputs" / "x")


def test_runs_of_another_commit_are_not_added_to(repository, folder, certified):
    with pytest.raises(SystemExit, match=f"runs of another commit, {certified[0].environment.git_commit[:12]}"):
        _require_commit(folder)
    _require_commit(folder / "nothing_here")
    _damaged(folder, certified)
    _damaged(folder, certified[1:])
    _require_commit(folder)  # what cannot be read is trained again, or refused by the sweep


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_its_own_exit_code(monkeypatch, capsys, signum):
    def interrupted(*_, **__):
        raise Interrupted(signum)

    monkeypatch.setattr(command, "_require_commit", lambda runs: None)
    monkeypatch.setattr(command, "run_command", interrupted)
    with pytest.raises(SystemExit) as ended:
        main(["run", "gated_circles", NAME])
    assert ended.value.code == 128 + signum
    assert "the same command goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["keep", "--check"],
        ["page", "gated_circles"],
        ["page", "--out", "x"],
        ["keep", "--seconds", "3"],
        ["run", "--seconds", "0"],
        ["run", "--seconds", "-1"],
        ["run", "--seconds", "nan"],
        ["run", "nope"],
        ["keep", "nope", "gated_circles"],
        [],
    ],
)
def test_what_a_verb_does_not_have_is_refused(words):
    with pytest.raises(SystemExit) as refused:
        main(words)
    assert refused.value.code not in (0, None)


def test_a_signal_to_the_sweep_alone_ends_it_too(monkeypatch):
    began = []
    monkeypatch.setattr(command, "_require_commit", began.append)
    ended = subprocess.CompletedProcess([], command.EXIT_INTERRUPTED)
    monkeypatch.setattr(command, "run_command", lambda words, cwd: ended)
    with pytest.raises(SystemExit) as left:
        main(["run", "gated_circles", NAME])
    assert left.value.code == command.EXIT_INTERRUPTED
    assert len(began) == 1


def test_an_experiment_that_was_not_begun_is_not_finished(monkeypatch, capsys):
    monkeypatch.setattr(command, "_require_commit", lambda runs: None)
    done = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(command, "run_command", lambda words, cwd: time.sleep(0.02) or done)
    with pytest.raises(SystemExit) as ended:
        main(["run", "gated_circles", NAME, "--seconds", "0.01"])
    assert ended.value.code == 1
    assert "finished" not in capsys.readouterr().out


TEXT = (RESULTS / f"{NAME}.json").read_text()


def _changed(**own):
    return json.dumps(json.loads(TEXT) | own)


def _run_changed(**own):
    content = json.loads(TEXT)
    content["runs"][0] |= own
    return json.dumps(content)


def _lacking(name):
    content = json.loads(TEXT)
    del content[name]
    return json.dumps(content)


@pytest.mark.parametrize(
    "text",
    [
        *(TEXT[: len(TEXT) * share // 7] for share in range(7)),
        *(_lacking(name) for name in json.loads(TEXT) if name not in ("picture_sha256", "test_images", "classes")),
        _changed(more=1),
        _changed(runs=[]),
        _changed(runs={}),
        _changed(runs=json.loads(TEXT)["runs"] + json.loads(TEXT)["runs"][:1]),
        _run_changed(more=1),
        _run_changed(metrics=None),
        _run_changed(metrics={"test/acc": float("nan")}),
        _run_changed(epochs=[{"val/acc": float("inf")}]),
        _run_changed(curves={"depth/activation": {"1": float("nan")}}),
        "[]",
        "null",
    ],
)
def test_damaged_figures_are_named_with_what_to_do(tmp_path, text):
    (tmp_path / f"{NAME}.json").write_text(text)
    (tmp_path / "page.j2").write_text("first\n{{ experiment('" + NAME + "').seeds }}\n")
    with pytest.raises(
        ClaimError, match=rf"^page\.j2, line 2: {NAME}\.json: .*; publish\.py keep {NAME} writes it anew"
    ):
        rendered(tmp_path / "page.j2", tmp_path)


@pytest.mark.parametrize(
    ("slip", "said"),
    [
        ("{{ e.maen('model=gated_mlp') }}", "maen"),
        ("{{ f.seeds }}", "'f' is undefined"),
        ("{{ e.seeds", "unexpected"),
        ("{% for x in [1] %}", "endfor"),
        ("{{ e.claim('model=gated_mlp', 'model=ungated_mlp') }}", "says"),
        ("{{ e.value('model=gated_mlp', 99) }}", "has no seed 99; it has: 0, 1, "),
        ("{{ e.mean('model=gated_mlp', 'val/acc', epoch=99) }}", "has no epoch 99; its last is 14"),
        ("{{ e.mean('model=gated_mlp', 'val/nope') }}", "has no val/nope; it has: "),
        ("{{ e.claim('model=gated_mlp', 'model=ungated_mlp', 'above', of='model=fc') }}", "a / between them"),
        ("{{ 1 / 0 }}", "division"),
        ("{{ experiment('nope').seeds }}", "experiment nope was not published"),
    ],
)
def test_a_slip_in_the_template_is_named_with_its_line(tmp_path, slip, said):
    (tmp_path / "page.j2").write_text("{% set e = experiment('" + NAME + "') %}\n\n" + slip + "\n")
    with pytest.raises(ClaimError, match=r"^page\.j2, line [345]: .*" + said):
        rendered(tmp_path / "page.j2", RESULTS)


@pytest.mark.slow
@pytest.mark.ci
def test_figures_of_another_receipt_or_picture_are_found(tmp_path):
    names = sorted(path.stem for path in RESULTS.glob("*.json"))
    with_picture = next(name for name in names if read(RESULTS / f"{name}.json").picture_sha256)
    for part in ("results", "receipts", "curves"):
        (tmp_path / part).mkdir()
    for name in (with_picture, NAME):
        (tmp_path / "results" / f"{name}.json").write_bytes((RESULTS / f"{name}.json").read_bytes())
        (tmp_path / "receipts" / f"{name}.json").write_bytes((EXPERIMENTS / f"{name}.json").read_bytes())
    parts = tmp_path / "results", tmp_path / "receipts", tmp_path / "curves"
    assert [text.partition(":")[0] for text in unfit(*parts)] == [with_picture]
    picture = RESULTS.parent / "curves" / f"{with_picture}.png"
    (tmp_path / "curves" / picture.name).write_bytes(picture.read_bytes())
    assert list(unfit(*parts)) == []
    for one, other in pairwise([NAME, with_picture, NAME]):
        (tmp_path / "receipts" / f"{one}.json").write_bytes((EXPERIMENTS / f"{other}.json").read_bytes())
        assert f"{one}: its figures are not of the receipt beside its file" in list(unfit(*parts))
    (tmp_path / "curves" / picture.name).write_bytes(b"another")
    assert f"{with_picture}: {picture.name} is not the picture of its figures" in list(unfit(*parts))
    (tmp_path / "receipts" / f"{NAME}.json").unlink()
    assert any(text.startswith(f"{NAME}: ") and f"{NAME}.json" in text for text in unfit(*parts))
