"""What a comparison keeps of records: nothing changes but how much is read."""

from __future__ import annotations

import os
import random
import shutil
import time
import zlib

import pytest
from tests.comparison.conftest import failed, full_record, record

from vision_baselines.comparison.collection import Records, collect
from vision_baselines.report.frames import csv, jobs_frame
from vision_baselines.report.write import compare
from vision_baselines.runs.kept_record import DEFERRED
from vision_baselines.runs.record import RECORD_FILE
from vision_baselines.runs.record_cache import CACHE_FILE, RecordCache
from vision_baselines.sweep.callback import SweepCallback


@pytest.fixture
def later(monkeypatch):
    """The clock of whoever reads is a minute ahead of that of the files."""
    now = time.time_ns
    monkeypatch.setattr("vision_baselines.runs.record_cache.time.time_ns", lambda: now() + 60 * 10**9)


def sweep(folder, n=6):
    for seed in range(n):
        made = full_record(("cnn", "fc")[seed % 2], seed // 2, {}, epochs=3, shift=0.0, sweep="demo")
        made.write(folder / f"job{seed}")
    return folder


def plain(found):
    return [(str(job.folder), job.place, as_data(job.record)) for job in found.jobs], found.unreadable


def as_data(one):
    data = {name: getattr(one, name) for name in type(one).model_fields}
    return {name: value.model_dump() if hasattr(value, "model_dump") else value for name, value in data.items()}


def read(folder):
    records = Records([folder])
    found = records.collected()
    (folder / "comparison").mkdir(exist_ok=True)
    records.save(0)
    return found, records.caches[0]


def test_a_record_from_the_cache_is_the_record(tmp_path, later):
    sweep(tmp_path)
    failed("model=odd,seed=1").write(tmp_path / "odd")
    record(metrics={"test/acc": float("nan"), "val/acc": float("inf")}).write(tmp_path / "nan")
    expected = plain(collect([tmp_path]))
    for _ in range(3):
        assert repr(plain(read(tmp_path)[0])) == repr(expected)
    assert all(name in type(collect([tmp_path]).jobs[0].record).model_fields for name in DEFERRED)


def test_only_what_is_new_is_read(tmp_path, later):
    sweep(tmp_path, 6)
    cache = read(tmp_path)[1]
    assert (cache.files_opened, cache.records_parsed) == (6, 6)
    cache = read(tmp_path)[1]
    assert (cache.files_opened, cache.bytes_read, cache.records_parsed) == (0, 0, 0)
    size = (tmp_path / "comparison" / CACHE_FILE).stat().st_size
    full_record("cnn", 7, {}, epochs=3, shift=0.0, sweep="demo").write(tmp_path / "job7")
    cache = read(tmp_path)[1]
    assert (cache.files_opened, cache.records_parsed) == (1, 1)
    assert cache.bytes_read == (tmp_path / "job7" / RECORD_FILE).stat().st_size
    grown = (tmp_path / "comparison" / CACHE_FILE).stat().st_size - size
    assert 0 < grown < size / 2  # appended


def test_a_process_that_is_told_what_is_new_looks_at_nothing_else(tmp_path, later, monkeypatch):
    sweep(tmp_path, 6)
    records = Records([tmp_path])
    records.collected()
    full_record("cnn", 7, {}, epochs=3, shift=0.0, sweep="demo").write(tmp_path / "job7")
    monkeypatch.setattr("vision_baselines.comparison.collection.os.walk", None)
    before = records.caches[0].files_opened
    assert len(records.collected([tmp_path / "job7"]).jobs) == 7
    assert records.caches[0].files_opened - before == 1
    shutil.rmtree(tmp_path / "job7")
    assert len(records.collected([tmp_path / "job7"]).jobs) == 6


def test_a_sweep_reads_after_a_job_what_that_job_left_and_in_the_end_everything(tmp_path, later, monkeypatch):
    sweep(tmp_path, 6)
    callback = SweepCallback()
    callback.folder = tmp_path
    monkeypatch.setattr("vision_baselines.sweep.callback._LOOK_AROUND_S", 10**9)
    monkeypatch.setattr(SweepCallback, "current", callback)
    SweepCallback.update()
    walked = []
    scan = os.scandir
    monkeypatch.setattr(
        "vision_baselines.comparison.collection.os.scandir", lambda top: walked.append(top) or scan(top)
    )
    for name in ("job7", "job8", "of somebody else"):
        full_record("cnn", 7, {}, epochs=3, shift=0.0, sweep="demo").write(tmp_path / name)

    def jobs():
        return len((tmp_path / "comparison" / "jobs.csv").read_text().splitlines()) - 1

    callback.not_before = float("inf")
    SweepCallback.update([tmp_path / "job7"])  # put off
    assert jobs() == 6
    callback.not_before = 0.0
    SweepCallback.update([tmp_path / "job8"])
    assert (jobs(), walked) == (8, [])
    monkeypatch.setattr("vision_baselines.sweep.callback._LOOK_AROUND_S", -1)
    callback.not_before = 0.0
    SweepCallback.update()
    assert jobs() == 9
    assert walked


def test_a_record_rewritten_within_the_tick_of_the_clock_is_seen(tmp_path):
    sweep(tmp_path, 1)
    path = tmp_path / "job0" / RECORD_FILE
    read(tmp_path)
    facts = path.stat()
    content = path.read_text()
    assert '"seed": 0' in content
    with path.open("r+") as file:  # the same inode, size and time
        file.write(content.replace('"seed": 0,', '"seed": 9,'))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    found, cache = read(tmp_path)
    assert found.jobs[0].record.seed == 9
    assert cache.files_opened == 1


def test_a_copy_elsewhere_is_hashed_and_not_parsed(tmp_path, later):
    sweep(tmp_path / "a", 4)
    expected = plain(read(tmp_path / "a")[0])[0]
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    found, cache = read(tmp_path / "b")
    assert (cache.files_opened, cache.records_parsed) == (4, 0)
    assert repr([data for *_, data in plain(found)[0]]) == repr([data for *_, data in expected])
    assert read(tmp_path / "b")[1].files_opened == 0


@pytest.mark.parametrize("damage", ["torn", "flipped", "empty", "garbage", "other code", "folder", "bomb", "brackets"])
def test_a_damaged_cache_is_passed_over_and_written_anew(tmp_path, later, damage):
    sweep(tmp_path, 4)
    expected = plain(read(tmp_path)[0])
    path = tmp_path / "comparison" / CACHE_FILE
    whole = path.read_bytes()
    head = whole[: whole.index(b"\n") + 1]

    def line(text):
        return b"%08x %s\n" % (zlib.crc32(text), text)

    content = {
        "torn": whole[: len(whole) * 2 // 3],
        "flipped": whole[:400] + bytes([whole[400] ^ 1]) + whole[401:],
        "empty": b"",
        "garbage": os.urandom(5000),
        "other code": b"records 0\n" + whole[len(head) :],
        "bomb": head + line(b'{"r": "x", "later": 7}') + line(b"[]") + line(b'{"p": [], "v": 1}'),
        "brackets": head + line(b"[" * 100_000),
    }.get(damage)
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    for _ in range(2):
        assert repr(plain(read(tmp_path)[0])) == repr(expected)
    if content is not None:
        assert read(tmp_path)[1].files_opened == 0


def test_a_deferred_part_that_nobody_can_unpack_is_read_from_the_record(tmp_path, later):
    sweep(tmp_path, 2)
    expected = plain(read(tmp_path)[0])
    path = tmp_path / "comparison" / CACHE_FILE
    lines = path.read_bytes().splitlines()
    for place, text in enumerate(line[9:] for line in lines):
        if b'"later":"' in text:
            text = text.partition(b'"later":"')[0] + b'"later":"eJyrBgA="}'
            lines[place] = b"%08x %s" % (zlib.crc32(text), text)
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert repr(plain(read(tmp_path)[0])) == repr(expected)


def test_a_folder_that_cannot_be_written_is_compared_all_the_same(tmp_path, later, monkeypatch):
    sweep(tmp_path, 3)

    def refuse(*_, **__):
        raise PermissionError(13, "read-only")

    monkeypatch.setattr("vision_baselines.runs.record_cache.staged", refuse)
    assert len(read(tmp_path)[0].jobs) == 3
    assert not (tmp_path / "comparison" / CACHE_FILE).exists()


@pytest.mark.parametrize("seed", range(4))
def test_any_history_of_a_folder_gives_the_same_with_the_cache_as_without(tmp_path, seed, later):
    rng = random.Random(seed)
    top = sweep(tmp_path / "top", 3)
    known = Records([top])
    for step in range(12):
        jobs = sorted(path for path in top.iterdir() if path.name.startswith("job"))
        act = rng.choice(["add", "change", "remove", "rename", "corrupt", "truncate", "twin", "tear"])
        one = rng.choice(jobs) if jobs else top / "job0"
        if act == "add" or not jobs:
            one = top / f"job{100 + step}"
            full_record("cnn", step, {}, epochs=2, shift=0.0, sweep="demo").write(one)
        elif act == "change":
            full_record("fc", 50 + step, {}, epochs=2, shift=0.1, sweep="demo").write(one)
        elif act == "remove":
            shutil.rmtree(one)
        elif act == "rename":
            one.rename(top / f"job{200 + step}")
        elif act == "twin":
            shutil.copytree(one, top / f"job{300 + step}")
        elif act == "tear" and (top / "comparison" / CACHE_FILE).exists():
            with (top / "comparison" / CACHE_FILE).open("r+b") as file:
                file.truncate(rng.randrange(file.seek(0, 2) + 1))
        elif act in ("corrupt", "truncate"):
            content = (one / RECORD_FILE).read_bytes()
            content = content[: len(content) // 2] if act == "truncate" else b"\xff" + content
            (one / RECORD_FILE).write_bytes(content)
        if not any(top.glob(f"*/{RECORD_FILE}")):
            full_record("cnn", 0, {}, epochs=2, shift=0.0, sweep="demo").write(top / "job1")
        expected = plain(collect([top]))
        assert repr(plain(read(top)[0])) == repr(expected), (step, act)
        assert repr(plain(known.collected())) == repr(expected), (step, act)


def test_the_cache_stays_in_proportion_to_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr("vision_baselines.runs.record_cache._SLACK_BYTES", 1000)
    cache, sizes = RecordCache(tmp_path / CACHE_FILE), []
    for step in range(30):
        full_record("cnn", step, {}, epochs=4, shift=0.0, sweep="demo").write(tmp_path / "job0")
        cache.record(tmp_path / "job0", "job0")
        cache.save(["job0"])
        sizes.append((tmp_path / CACHE_FILE).stat().st_size)
    assert max(sizes) < 4 * sizes[0] + 1000


def test_a_record_that_is_gone_is_dropped_when_the_cache_is_written_anew(tmp_path, later, monkeypatch):
    monkeypatch.setattr("vision_baselines.runs.record_cache._SLACK_BYTES", -(10**9))  # each time
    sweep(tmp_path, 4)
    records = Records([tmp_path])
    records.collected()
    (tmp_path / "comparison").mkdir()
    records.save(0)
    path = tmp_path / "comparison" / CACHE_FILE
    assert b'"f":"job2"' in path.read_bytes()
    shutil.rmtree(tmp_path / "job2")
    full_record("cnn", 7, {}, epochs=3, shift=0.0, sweep="demo").write(tmp_path / "job7")
    records.collected([tmp_path / "job2", tmp_path / "job7"])
    records.save(0)
    kept = path.read_bytes()
    assert b'"f":"job7"' in kept
    assert b'"f":"job2"' not in kept


def test_files_are_the_same_with_and_without_what_was_kept(tmp_path, later):
    sweep(tmp_path / "a", 6)
    first = compare([tmp_path / "a"], pictures=False)
    names = ["jobs.csv", "groups.csv", "epochs.csv", "comparison.html", "comparison.md", "checklist.md"]
    cold = {name: (first.out / name).read_bytes() for name in names}
    warm = {name: (compare([tmp_path / "a"], pictures=False).out / name).read_bytes() for name in names}
    (first.out / CACHE_FILE).unlink()
    anew = {name: (compare([tmp_path / "a"], pictures=False).out / name).read_bytes() for name in names}
    assert cold == warm == anew
    assert cold["jobs.csv"] == csv(jobs_frame(first.table))


@pytest.mark.parametrize("loss", ["deleted", "of somebody else", "cut in a record"])
def test_what_the_file_lost_is_read_again_and_the_rest_is_kept(tmp_path, later, monkeypatch, loss):
    monkeypatch.setattr("vision_baselines.runs.record_cache._SLACK_BYTES", -(10**9))  # written anew each time
    sweep(tmp_path, 5)
    read(tmp_path)
    records = Records([tmp_path])
    records.collected()
    path = tmp_path / "comparison" / CACHE_FILE
    content = path.read_bytes()
    if loss == "deleted":
        path.unlink()
    else:
        path.write_bytes(b"records of somebody else\n" if loss == "of somebody else" else content[: len(content) // 2])
    full_record("cnn", 7, {}, epochs=3, shift=0.0, sweep="demo").write(tmp_path / "job7")
    assert len(records.collected([tmp_path / "job7"]).jobs) == 6
    records.save(0)
    found, cache = read(tmp_path)
    assert repr(plain(found)) == repr(plain(collect([tmp_path])))
    assert cache.records_parsed <= 6
    assert read(tmp_path)[1].records_parsed == 0


def test_a_job_whose_record_is_as_it_was_is_the_same_object(tmp_path, later):
    sweep(tmp_path, 4)
    records = Records([tmp_path])
    before = records.collected().jobs
    full_record("fc", 9, {}, epochs=3, shift=0.0, sweep="demo").write(tmp_path / "job1")
    after = records.collected().jobs
    assert [one is other for one, other in zip(before, after, strict=True)] == [True, False, True, True]
