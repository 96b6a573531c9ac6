"""Files of somebody else: opened without following links, without waiting, and without unpacking gigabytes."""

from __future__ import annotations

import io
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from vision_baselines.comparison.collection import Records
from vision_baselines.data.integrity import prepare_lock
from vision_baselines.errors import DataError, StorageError
from vision_baselines.runs.record import finished_record, read_record
from vision_baselines.storage import checkpoint_file
from vision_baselines.storage.atomic import remove_leftovers, write_atomically
from vision_baselines.storage.hashing import state_sha256, tensors_sha256
from vision_baselines.storage.lock import exclusive, holder
from vision_baselines.storage.reading import check_archive, read_regular

SPECIAL = ["fifo", "zero", "link to zero", "folder", "huge", "link to nothing", "link in a circle"]


def special(kind, path):
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(2**40)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "link to nothing":
        path.symlink_to(path.parent / "nothing")
    elif kind == "link in a circle":
        path.symlink_to(path)
    else:
        (path.parent / "link").symlink_to("/dev/zero")
        path.symlink_to(path.parent / "link")


@pytest.mark.parametrize("kind", SPECIAL)
def test_a_record_that_is_no_regular_file_is_refused_at_once(tmp_path, kind):
    special(kind, tmp_path / "run.json")
    with pytest.raises((ValueError, IsADirectoryError)):
        read_record(tmp_path)
    with pytest.raises((DataError, IsADirectoryError)):
        finished_record(tmp_path)


@pytest.mark.parametrize("kind", [kind for kind in SPECIAL if kind != "folder"])
@pytest.mark.parametrize("is_cached", [False, True])
def test_a_comparison_lists_it_as_unreadable(tmp_path, kind, is_cached):
    special(kind, tmp_path / "run.json")
    [found] = Records([tmp_path], is_cached=is_cached).collected().unreadable
    assert "run.json is not a run record: " in found.reason


@pytest.mark.parametrize("suffix", ["", ".sha256"])
@pytest.mark.parametrize("kind", SPECIAL)
def test_a_checkpoint_that_is_no_regular_file_is_refused_at_once(tmp_path, kind, suffix):
    checkpoint_file.save({"state_dict": {}}, tmp_path / "a.ckpt")
    (tmp_path / f"a.ckpt{suffix}").unlink()
    special(kind, tmp_path / f"a.ckpt{suffix}")
    with pytest.raises(StorageError):
        checkpoint_file.load(tmp_path / "a.ckpt", checksum_needed=True)


def bomb(kind):
    buffer = io.BytesIO()
    weight = torch.zeros(4)
    if kind == "a compressed archive":
        torch.save({"state_dict": {"w": torch.zeros(2**18)}}, buffer)
        packed = io.BytesIO()
        with zipfile.ZipFile(buffer) as plain, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry in plain.infolist():
                archive.writestr(entry.filename, plain.read(entry))
        return packed.getvalue()
    if kind == "a repeated tensor":
        torch.save({"state_dict": {"w": weight[:1].expand(2**40)}}, buffer)
    elif kind == "repeated lists":
        node = [0] * 10
        for _ in range(20):
            node = [node] * 10
        torch.save({"state_dict": {}, "config": node}, buffer)
    elif kind == "a list in itself":
        node = []
        node.append(node)
        torch.save({"state_dict": {}, "config": node}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["a compressed archive", "a repeated tensor", "repeated lists", "a list in itself"])
def test_a_checkpoint_that_grows_beyond_its_file_is_refused(tmp_path, kind):
    (tmp_path / "a.ckpt").write_bytes(bomb(kind))
    with pytest.raises(StorageError, match=r"a\.ckpt"):
        checkpoint_file.load(tmp_path / "a.ckpt")


def test_an_archive_may_unpack_to_what_is_allowed_and_no_more(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(100_000))
    content = (tmp_path / "a.npz").read_bytes()
    check_archive(content, most_bytes=1_000_000)
    with pytest.raises(ValueError, match="it would unpack to"):
        check_archive(content)
    with pytest.raises(ValueError, match="zip"):
        check_archive(content[:-30])


@pytest.mark.parametrize("kind", SPECIAL)
def test_nothing_stays_open_of_what_is_refused(tmp_path, kind):
    special(kind, tmp_path / "a")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises((ValueError, OSError)):
            read_regular(tmp_path / "a", most_bytes=10)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_regular_file_is_read_up_to_its_bound(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert read_regular(tmp_path / "link", most_bytes=5) == b"12345"
    with pytest.raises(ValueError, match="has 5 bytes; expected at most 4"):
        read_regular(tmp_path / "a", most_bytes=4)


@pytest.mark.parametrize("kind", ["link", "dangling link", "fifo", "folder"])
@pytest.mark.parametrize(("hold", "name"), [(exclusive, ".lock"), (prepare_lock, ".prepare.lock")])
def test_a_lock_that_is_no_regular_file_is_refused_and_its_target_stays(tmp_path, kind, hold, name):
    target, folder = tmp_path / "precious", tmp_path / "run"
    folder.mkdir()
    if kind.endswith("link"):
        (folder / name).symlink_to(target)
        if kind == "link":
            target.write_text("mine")
    else:
        special(kind, folder / name)
    with pytest.raises(StorageError, match="is not a regular file"), hold(folder):
        pass
    assert target.exists() == (kind == "link")
    assert kind != "link" or target.read_text() == "mine"


def test_a_staged_file_that_is_a_link_is_replaced_and_its_target_stays(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / f".file.{os.getpid()}").symlink_to(tmp_path / "precious")
    write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "file").read_bytes() == b"new"


def test_only_what_was_staged_here_is_taken_for_a_leftover(tmp_path):
    ours = [".run.json.123", ".best.ckpt.7", ".best.ckpt.sha256.7", "..probe.12.12", ".config.yaml.1"]
    theirs = [".notes.2024", ".123", ".bashrc", "run.json.123", ".backup.tar.1"]
    for name in [*ours, *theirs]:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(theirs)


def test_published_hashes_stay_what_they_are():
    weight, bias = torch.arange(6.0).reshape(2, 3), torch.tensor([1, 2])
    assert tensors_sha256(weight, bias)[:16] == "ef483bf3e45321b3"
    assert state_sha256({"w": weight, "b": bias})[:16] == "a3141ade50071aad"
    assert state_sha256({"w": weight.t().contiguous().t(), "b": bias}) == state_sha256({"b": bias, "w": weight})


def _journal(path):
    pytest.importorskip("optuna")
    from vision_baselines.search.storage import open_storage

    path.rename(path.with_name("search.journal"))
    open_storage(path.parent)


def _csv(path):
    from vision_baselines.training.csv_logger import RunCSVLogger

    path.rename(path.with_name("metrics.csv"))
    RunCSVLogger(str(path.parent)).rewind(4)


def _paper(path):
    from vision_baselines.report.paper import check_paper

    check_paper(path, [], path.parent)


def _sweep_file(path):
    from vision_baselines.comparison.sequential import read_sequential

    path.rename(path.with_name("until_decided.json"))
    read_sequential(path.parent)


def _weights(path):
    from vision_baselines.models.zoo import read_weights

    read_weights(path)


def _record(path):
    path.rename(path.with_name("run.json"))
    finished_record(path.parent)


def _receipt(path):
    from vision_baselines.evaluation.receipt import read_receipt

    read_receipt(path)


# Of each kind of file that may be damaged: what reads it, what its second line is when it is, and what is said of that.
DAMAGED = {
    "a record": (_record, b"{\n", "line 2"),
    "a receipt": (_receipt, b"{\n", "line 2"),
    "a sweep's file": (_sweep_file, b"{\n", "line 2.* move it away"),
    "a paper": (_paper, b"\n% vision-baselines k {\n", "line 2.* prints the whole again"),
    "a search's journal": (_journal, b'{\n{"op_code": 0}\n', "line 1 .* move it away"),
    "a table of metrics": (_csv, b"step,x\n1,2,3\n", "line 2.* rerun=true"),
    "a file of weights": (_weights, b"PK\n", "damaged.* get it again"),
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("is_text", [True, False])
def test_a_damaged_file_is_named_in_plain_words_with_what_to_do(kind, is_text, tmp_path):
    read, content, said = DAMAGED[kind]
    (tmp_path / "damaged").write_bytes(content if is_text else b"\xff\xfe\x00\n" * 9)
    with pytest.raises((DataError, StorageError)) as found:
        read(tmp_path / "damaged")
    message = str(found.value)
    assert str(tmp_path) in message
    assert "\n" not in message
    assert not re.search("Expecting|char |codec|Invalid JSON|Weights only|Traceback|op_code", message)
    if is_text:
        assert re.search(said, message)


def test_a_lock_that_holds_no_text_is_nobodys(tmp_path):
    with exclusive(tmp_path):
        pass
    [lock] = tmp_path.glob(".lock*")
    lock.write_bytes(b"\xff\xfe\x00" * 9)
    assert holder(tmp_path) is None
    with exclusive(tmp_path):
        assert holder(tmp_path) == os.getpid()
