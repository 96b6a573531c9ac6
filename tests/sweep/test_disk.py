"""What `clean` would remove and what it removes: folders of every state, every kind asked for, hostile folders."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from vision_baselines.cli.clean import main
from vision_baselines.errors import StorageError
from vision_baselines.report.written import note_written
from vision_baselines.runs.record import Status
from vision_baselines.storage.lock import exclusive, holder
from vision_baselines.sweep.disk import Kind, look, remove

STATES = {"checkpoints/resume-step=00000300.ckpt", "checkpoints/resume-step=00000300.ckpt.sha256"}
THEIRS = {"notes.txt": b"mine", "checkpoints/mine.ckpt": b"", "edges/holiday.png": b"", "thesis.log": b""}
LEFT_OVER = {".run.json.1234": b"{", "checkpoints/.best.ckpt.77": b""}


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}


def kinds(folder: Path) -> set[Kind]:
    return {one.kind for one in look(folder).removable}


@pytest.fixture
def clean(called):
    """``clean(*words)``: exit code, what was printed and what was complained of."""
    return called(main)


OF_STATUS = {
    Status.FINISHED: Kind.RESUME_STATES,
    Status.FAILED: Kind.FAILED,
    Status.DIVERGED: Kind.FAILED,
    Status.INTERRUPTED: Kind.INTERRUPTED,
    Status.PRUNED: Kind.INTERRUPTED,
    Status.RUNNING: Kind.INTERRUPTED,
}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("asked", [(kind,) for kind in Kind] + [tuple(Kind)])
def test_of_every_state_only_what_was_asked_for_goes(run, tmp_path, clean, status, asked):
    folder = run(tmp_path / "demo" / "seed=0", status, {**THEIRS, **LEFT_OVER})
    before = files(folder)
    code, out, err = clean(tmp_path, *(f"--{kind}" for kind in asked), "--dry-run")
    assert (code, err, files(folder)) == (0, "", before)
    assert "nothing was removed" in out
    code, out, err = clean(tmp_path, *(f"--{kind}" for kind in asked))
    assert (code, err) == (0, "")
    gone = set()
    if OF_STATUS[status] in asked:
        gone |= STATES if status is Status.FINISHED else before - set(THEIRS) - set(LEFT_OVER)
    if Kind.LEFTOVERS in asked:
        gone |= set(LEFT_OVER)
    assert files(folder) == before - gone
    if status is Status.FINISHED:
        assert kinds(tmp_path) == {Kind.RESUME_STATES, Kind.LEFTOVERS} - set(asked)


def test_a_failed_run_that_nobody_added_to_leaves_no_folder(run, tmp_path, clean):
    run(tmp_path / "seed=0", Status.FAILED)
    assert clean(tmp_path, "--failed")[0] == 0
    assert list(tmp_path.iterdir()) == []


def test_without_a_kind_it_is_shown_and_nothing_goes(run, tmp_path, clean):
    for seed, status in enumerate(Status):
        run(tmp_path / f"seed={seed}", status, seed=seed)
    before = files(tmp_path)
    code, out, _ = clean(tmp_path)
    assert code == 0
    assert files(tmp_path) == before
    assert f"{len(Status)} runs" in out
    for kind in (Kind.RESUME_STATES, Kind.FAILED, Kind.INTERRUPTED):
        assert f"--{kind}" in out
    found = json.loads(clean(tmp_path, "--json")[1])
    assert sum(one["size_bytes"] for one in found["removable"] if one["kind"] == "resume-states") == 501
    assert not any(one["removed"] for one in found["removable"])


def test_a_run_that_is_being_trained_is_left_alone(run, tmp_path, clean):
    folder = run(tmp_path / "seed=0", Status.RUNNING, LEFT_OVER)
    before = files(folder)
    [found] = [one for one in look(tmp_path).removable if one.kind is Kind.INTERRUPTED]
    with exclusive(folder):
        assert holder(folder) == os.getpid()
        code, out, _ = clean(tmp_path, *(f"--{kind}" for kind in Kind))
        assert code == 0
        assert f"it is being trained by process {os.getpid()}" in out
        with pytest.raises(StorageError, match="is being trained by process"):
            remove(found)  # it began after it was found
    assert holder(folder) is None
    assert files(folder) == before


def test_a_run_that_has_finished_since_it_was_found_is_left_alone(run, tmp_path):
    folder = run(tmp_path / "seed=0", Status.INTERRUPTED)
    [found] = look(tmp_path).removable
    run(folder, Status.FINISHED)
    before = files(folder)
    with pytest.raises(StorageError, match="changed meanwhile"):
        remove(found)
    shutil.rmtree(folder)
    with pytest.raises(StorageError, match="changed meanwhile"):
        remove(found)
    assert not folder.exists()
    assert before


@pytest.mark.parametrize("damage", ["missing", "altered", "without checksum"])
def test_states_stay_where_the_best_weights_are_not_whole(run, tmp_path, clean, damage):
    folder = run(tmp_path / "seed=0", Status.FINISHED)
    best = folder / "checkpoints" / "best.ckpt"
    if damage == "missing":
        best.unlink()
    elif damage == "altered":
        best.write_bytes(b"weighty")
    else:
        best.with_name("best.ckpt.sha256").unlink()
    code, out, err = clean(tmp_path, "--resume-states")
    assert code == (0 if damage == "missing" else 5)
    assert "hold" in out + err
    assert files(folder) >= STATES


def _links_out(folder: Path, outside: Path) -> None:
    shutil.rmtree(folder / "checkpoints")
    (folder / "checkpoints").symlink_to(outside)
    (folder / "filters.npy").unlink()
    (folder / "filters.npy").symlink_to(outside / "best.ckpt")


def _lies(folder: Path, outside: Path) -> None:
    content = json.loads((folder / "run.json").read_text())
    content["files"] = [
        "../outside/best.ckpt",
        str(outside / "best.ckpt"),
        "edges/../../outside/best.ckpt",
        "notes.txt",
    ]
    (folder / "run.json").write_text(json.dumps(content))


def _of_another_config(folder: Path, outside: Path) -> None:
    (folder / "config.yaml").write_text("mine: true\n")


def _without_config(folder: Path, outside: Path) -> None:
    (folder / "config.yaml").unlink()


def _repeating_config(folder: Path, outside: Path) -> None:
    (folder / "config.yaml").write_text("a: &a [1]\nb: *a\n")


def _linked_record(folder: Path, outside: Path) -> None:
    (folder / "run.json").rename(outside / "run.json")
    (folder / "run.json").symlink_to(outside / "run.json")


def _queue_for_a_record(folder: Path, outside: Path) -> None:
    (folder / "run.json").unlink()
    os.mkfifo(folder / "run.json")


def _half_a_record(folder: Path, outside: Path) -> None:
    (folder / "run.json").write_text('{"status": "failed"')


HOSTILE = [_links_out, _lies, _of_another_config, _without_config, _repeating_config, _linked_record]
HOSTILE += [_queue_for_a_record, _half_a_record]


@pytest.mark.parametrize("status", [Status.FINISHED, Status.FAILED])
@pytest.mark.parametrize("change", HOSTILE)
def test_nothing_of_somebody_elses_goes_whatever_a_folder_says(run, tmp_path, clean, change, status):
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("best.ckpt", "best.ckpt.sha256", "resume-step=00000300.ckpt"):
        (outside / name).write_bytes(b"theirs")
    folder = run(tmp_path / "outputs" / "seed=0", status, THEIRS)
    change(folder, outside)
    (tmp_path / "outputs" / "linked").symlink_to(outside)
    before, theirs = files(outside), files(folder) & set(THEIRS)
    code, _, _ = clean(tmp_path / "outputs", *(f"--{kind}" for kind in Kind))
    assert code in (0, 5)
    assert files(outside) == before
    assert files(folder) >= theirs
    if change in (_of_another_config, _without_config, _repeating_config, _queue_for_a_record, _half_a_record):
        assert files(folder) >= STATES


def test_a_comparison_goes_where_its_runs_can_make_it_again(run, tmp_path, clean):
    mine = {"comparison/jobs.csv": b"1", "comparison/pictures/accuracy.png": b"2", "comparison/.outcomes.npz": b""}
    theirs = {"comparison/notes.md", "comparison/metric=val_acc/page.css"}
    for name in [*mine, *theirs, "comparison/metric=val_acc/jobs.csv"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    run(tmp_path / "seed=0", Status.FINISHED)
    assert kinds(tmp_path) == {Kind.RESUME_STATES}  # nothing says who wrote them
    assert ".files.json" in clean(tmp_path)[1]
    note_written(tmp_path / "comparison", {name.partition("/")[2]: b"1" for name in mine})
    note_written(tmp_path / "comparison" / "metric=val_acc", {"jobs.csv": b"1"})
    (tmp_path / "comparison" / "pictures" / "my.png").write_bytes(b"mine")
    (tmp_path / "comparison" / "pictures" / "accuracy.png").write_bytes(b"touched up")
    assert kinds(tmp_path) == {Kind.RESUME_STATES, Kind.COMPARISONS}
    before = files(tmp_path)
    found = json.loads(clean(tmp_path, "--json")[1])
    for one in look(tmp_path).of(Kind.COMPARISONS):
        assert remove(one) == one.size_bytes
    lists = {"comparison/.files.json", "comparison/metric=val_acc/.files.json"}
    gone = {"comparison/jobs.csv", "comparison/.outcomes.npz", "comparison/metric=val_acc/jobs.csv"}
    assert before - files(tmp_path) == gone | lists
    left = json.dumps(found["left_alone"])
    assert "changed since the comparison wrote it: pictures/accuracy.png" in left
    assert "not of this comparison: notes.md, pictures/my.png" in left
    assert "not of this comparison: page.css" in left


def test_links_and_files_of_others_are_named(run, tmp_path, clean):
    folder = run(tmp_path / "seed=0", Status.FAILED, THEIRS)
    (tmp_path / "linked").symlink_to(folder)
    out = clean(tmp_path, "--failed", "--dry-run")[1]
    assert f"left alone: {tmp_path / 'linked'}: a link" in out
    assert "not of this run: checkpoints/mine.ckpt, edges/holiday.png, notes.txt and 1 more" in out
    assert "nothing was removed (--dry-run)" in out


def test_what_a_killed_comparison_left_goes_too(run, tmp_path, clean):
    run(tmp_path / "seed=0", Status.FINISHED)
    (tmp_path / "comparison").mkdir()
    (tmp_path / "comparison" / ".jobs.csv.12").write_bytes(b"1")
    assert clean(tmp_path, "--leftovers")[0] == 0
    assert not (tmp_path / "comparison" / ".jobs.csv.12").exists()


def test_a_removal_that_is_killed_can_be_repeated(run, tmp_path, clean, monkeypatch):
    folder = run(tmp_path / "seed=0", Status.FAILED)
    everything = len(files(folder))
    unlink = Path.unlink
    for after in range(1, everything):
        left = iter(range(after))

        def killed(path, missing_ok=False, left=left):
            if next(left, None) is None:
                raise KeyboardInterrupt
            unlink(path, missing_ok=missing_ok)

        monkeypatch.setattr(Path, "unlink", killed)
        assert clean(tmp_path, "--failed")[0] == 130
        monkeypatch.setattr(Path, "unlink", unlink)
        if (folder / "run.json").exists():
            assert kinds(tmp_path) == {Kind.FAILED}
        run(folder, Status.FAILED)
    assert clean(tmp_path, "--failed")[0] == 0
    assert not folder.exists()


def test_a_folder_that_is_named_by_a_link_is_looked_into(run, tmp_path, clean):
    folder = run(tmp_path / "disk" / "seed=0", Status.FAILED)
    (tmp_path / "outputs").symlink_to(folder)
    assert clean(tmp_path / "outputs", "--failed")[0] == 0
    assert not folder.exists()


def test_control_characters_in_names_are_shown_escaped(run, tmp_path, clean):
    folder = tmp_path / "a\x1b]0;x\x07b\nremoved: everything"
    run(folder, Status.FAILED)
    _, out, _ = clean(tmp_path)
    assert "\x1b" not in out
    assert "\x07" not in out
    assert not any(line.startswith("removed") for line in out.splitlines())


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "folder"),
        (["{tmp}/a.csv"], 3, "a.csv is a file; expected a folder of runs"),
        (["nowhere"], 3, "no folder nowhere; expected a folder of runs"),
        (["{tmp}", "--everything"], 2, "unrecognized arguments: --everything"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, clean, words, code, message):
    (tmp_path / "a.csv").write_bytes(b"")
    found, _, err = clean(*(word.format(tmp=tmp_path) for word in words))
    assert found == code
    assert message in err
