"""What is found on the disk, and that one broken record costs only itself."""

from __future__ import annotations

import json

import pytest

from vision_baselines.comparison.collection import collect
from vision_baselines.comparison.errors import NoRecordsError
from vision_baselines.errors import VisionBaselinesError


def test_every_record_below_the_folders_is_found_once(tmp_path, record, write):
    write(tmp_path / "a", record("model=cnn,seed=0"), record("model=cnn,seed=1"))
    write(tmp_path / "b" / "deeper", record("model=fc,seed=0"))

    found = collect([tmp_path, tmp_path / "a", tmp_path / "b"])

    assert [job.record.name for job in found.jobs] == ["model=cnn,seed=0", "model=cnn,seed=1", "model=fc,seed=0"]


def test_a_folder_named_comparison_is_passed_over_below_but_not_at_the_top(tmp_path, record, write):
    write(tmp_path / "sweep", record("model=cnn,seed=0"))
    write(tmp_path / "sweep" / "comparison", record("model=cnn,seed=1"))

    assert len(collect([tmp_path]).jobs) == 1
    assert len(collect([tmp_path / "sweep" / "comparison"]).jobs) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"<html>", b'{"schema_version": 1}', b'{"schema_version": 99}', b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "cut", "list", "html", "fieldless", "newer", "bytes", "nested"],
)
def test_a_broken_record_is_listed_with_its_reason_and_the_others_are_read(tmp_path, record, write, content):
    write(tmp_path / "sweep", record("model=cnn,seed=0"))
    (tmp_path / "sweep" / "broken").mkdir()
    (tmp_path / "sweep" / "broken" / "run.json").write_bytes(content)

    found = collect([tmp_path / "sweep"])

    assert [job.record.seed for job in found.jobs] == [0]
    assert [broken.place for broken in found.unreadable] == ["sweep/broken"]
    assert found.unreadable[0].reason
    assert "\n" not in found.unreadable[0].reason


def test_fields_of_a_newer_minor_version_are_named_in_the_reason(tmp_path, record):
    raw = json.loads(record().model_dump_json()) | {"surprise": 1}
    (tmp_path / "run.json").write_text(json.dumps(raw))

    assert "surprise" in collect([tmp_path]).unreadable[0].reason


def test_a_folder_without_records_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no run .*no run\.json"):
        collect([tmp_path])


def test_a_missing_folder_is_refused_by_name_with_an_exit_code(tmp_path):
    with pytest.raises(NoRecordsError, match=r"no folder .*missing"):
        collect([tmp_path / "missing"])
    assert issubclass(NoRecordsError, VisionBaselinesError)


def test_places_are_named_from_the_given_folder_on(tmp_path, record, write, monkeypatch):
    write(tmp_path / "sweep", record("model=cnn,seed=0"))
    monkeypatch.chdir(tmp_path / "sweep")
    here = type(tmp_path)(".")

    assert [job.place for job in collect([tmp_path / "sweep"]).jobs] == ["sweep/model=cnn,seed=0"]
    assert [job.place for job in collect([here]).jobs] == ["model=cnn,seed=0"]
