"""What a run's folder calls for: training, going on, leaving alone, or refusing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vision_baselines.errors import ConfigError, StorageError
from vision_baselines.runs.files import clear
from vision_baselines.runs.fingerprint import fingerprint
from vision_baselines.runs.record import Environment, RunRecord, Status, read_record
from vision_baselines.runs.resumption import Action, decide

CONFIG = {"seed": 0, "model": {"dropout": 0.5}}
OTHER = {"seed": 0, "model": {"dropout": 0.4}}


def left(folder, status, config=CONFIG):
    surroundings = Environment(versions={}, python="", platform="", cpu_capability="", threads=1, device="cpu")
    RunRecord(
        name="x",
        sweep="x",
        status=status,
        overrides=[],
        config=config,
        fingerprint=fingerprint(config),
        seed=0,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        environment=surroundings,
    ).write(folder)


def test_an_empty_folder_is_trained_in(tmp_path):
    assert decide(tmp_path, CONFIG).action is Action.START
    assert decide(tmp_path / "missing", CONFIG).action is Action.START


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (Status.FINISHED, Action.SKIP),
        (Status.RUNNING, Action.RESUME),
        (Status.INTERRUPTED, Action.RESUME),
        (Status.FAILED, Action.RETRY),
        (Status.DIVERGED, Action.RETRY),
    ],
)
def test_a_folder_of_the_same_run_is_gone_on_with_or_left_alone(tmp_path, status, action):
    left(tmp_path, status)
    assert decide(tmp_path, CONFIG).action is action


@pytest.mark.parametrize("status", [Status.FINISHED, Status.RUNNING, Status.INTERRUPTED])
def test_a_folder_of_another_run_is_refused_in_two_lines(tmp_path, status):
    left(tmp_path, status)
    with pytest.raises(ConfigError, match=r"model\.dropout: 0\.5 → 0\.4") as error:
        decide(tmp_path, OTHER)
    assert str(status) in str(error.value)
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize("status", [Status.FAILED, Status.DIVERGED])
def test_a_failed_run_gives_way_to_another_config(tmp_path, status):
    left(tmp_path, status)
    assert decide(tmp_path, OTHER).action is Action.START


@pytest.mark.parametrize("config", [CONFIG, OTHER])
def test_rerun_starts_anew_whatever_is_there(tmp_path, config):
    left(tmp_path, Status.FINISHED)
    assert decide(tmp_path, config, rerun=True).action is Action.START


def test_a_record_that_cannot_be_read_is_refused_and_rerun_offered(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(StorageError, match="rerun=true"):
        decide(tmp_path, CONFIG)
    assert decide(tmp_path, CONFIG, rerun=True).action is Action.START


def test_many_differences_are_counted_not_all_shown(tmp_path):
    left(tmp_path, Status.FINISHED, {f"k{i}": 0 for i in range(20)})
    with pytest.raises(ConfigError, match="and 12 more"):
        decide(tmp_path, {f"k{i}": 1 for i in range(20)})


def test_clearing_removes_what_a_run_writes_and_nothing_else(tmp_path):
    left(tmp_path, Status.FAILED)
    written = ["config.yaml", "checkpoints/best.ckpt", "checkpoints/best.ckpt.sha256", "events.out.tfevents.1.x.2.0"]
    written += ["checkpoints/resume-step=00000012.ckpt", "filters.npy", "filters.png", "csv/metrics.csv"]
    theirs = [
        ".hydra/config.yaml",
        ".lock",
        "train.log",
        "notes.txt",
        "checkpoints/mine.ckpt",
        "docs/run.json",
        "a.png",
    ]
    for name in [*written, *theirs]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    clear(tmp_path, read_record(tmp_path))
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(theirs)
    assert not (tmp_path / "csv").exists()


def test_of_a_finished_run_only_the_files_in_its_record_are_removed(tmp_path):
    left(tmp_path, Status.FINISHED)
    record = read_record(tmp_path)
    record.files = ["config.yaml", "../outside", "notes.txt"]
    for path in (tmp_path / "config.yaml", tmp_path / "filters.png", tmp_path / "notes.txt"):
        path.touch()
    clear(tmp_path, record)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["filters.png", "notes.txt"]


def test_a_kill_while_a_finished_run_is_removed_leaves_no_finished_run(tmp_path, monkeypatch):
    left(tmp_path, Status.FINISHED)
    (tmp_path / "config.yaml").touch()
    unlink = type(tmp_path).unlink

    def killed(path, missing_ok=False):
        if path.name == "config.yaml":
            raise KeyboardInterrupt
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(type(tmp_path), "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        clear(tmp_path, read_record(tmp_path))
    assert read_record(tmp_path).status is Status.FAILED


@pytest.mark.parametrize("what", ["file.txt", "run.json.bak", "sub/file", "config.yaml", "link", ".bashrc"])
@pytest.mark.parametrize("rerun", [False, True])
def test_a_folder_that_holds_files_and_no_run_is_refused_and_stays_as_it_is(tmp_path, what, rerun):
    path = tmp_path / "docs" / what
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path) if what == "link" else path.write_text("mine")
    for name in (".lock", "train.log"):
        (tmp_path / "docs" / name).touch()
    with pytest.raises(ConfigError, match="is not the folder of a run, and nothing was changed") as error:
        decide(tmp_path / "docs", CONFIG, rerun=rerun)
    assert what in str(error.value)
    assert path.exists()


def test_a_run_is_not_removed_through_a_linked_folder(tmp_path):
    left(tmp_path / "elsewhere", Status.FINISHED)
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    assert decide(tmp_path / "run", CONFIG).action is Action.SKIP
    with pytest.raises(ConfigError, match="is a link to"):
        clear(tmp_path / "run", read_record(tmp_path / "run"))
    assert read_record(tmp_path / "elsewhere").finished


def test_clearing_follows_no_link_out_of_the_folder(tmp_path):
    outside = tmp_path / "outside"
    (outside / "checkpoints").mkdir(parents=True)
    (outside / "best.ckpt").touch()
    left(tmp_path / "run", Status.FAILED)
    (tmp_path / "run" / "checkpoints").symlink_to(outside)
    (tmp_path / "run" / "filters.png").symlink_to(outside / "best.ckpt")
    clear(tmp_path / "run", read_record(tmp_path / "run"))
    assert (outside / "best.ckpt").exists()


def test_a_finished_run_is_probed_where_a_probe_is_asked_that_it_has_not_had(tmp_path):
    left(tmp_path, Status.FINISHED, {**CONFIG, "probe": {"shift": {"max_px": 4}}})

    assert decide(tmp_path, {**CONFIG, "probe": {"shift": {"max_px": 4}}}).action is Action.SKIP
    assert decide(tmp_path, {**CONFIG, "probe": {}}).action is Action.SKIP
    assert decide(tmp_path, {**CONFIG, "probe": {"shift": {"max_px": 2}}}).action is Action.PROBE
    assert decide(tmp_path, {**CONFIG, "probe": {"edges": {}, "depth": {"x": 1}}}).action is Action.PROBE


def test_more_epochs_of_a_finished_run_are_refused_with_what_there_is_instead(tmp_path):
    config = {**CONFIG, "trainer": {"max_epochs": 3}}
    longer = {**CONFIG, "trainer": {"max_epochs": 5}}
    left(tmp_path, Status.FINISHED, config)
    with pytest.raises(
        ConfigError, match=r"max_epochs: 3 → 5.*\n.*is not resumed for more epochs, and init_from="
    ) as error:
        decide(tmp_path, longer)
    assert len(str(error.value).splitlines()) == 2
    left(tmp_path, Status.INTERRUPTED, config)
    with pytest.raises(ConfigError) as error:
        decide(tmp_path, longer)
    assert "init_from" not in str(error.value)
