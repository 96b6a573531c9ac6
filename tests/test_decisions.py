"""What a run's folder calls for: training, going on, leaving alone, or refusing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vision_baselines.errors import ConfigError
from vision_baselines.runs.fingerprint import fingerprint
from vision_baselines.runs.record import Environment, RunRecord, Status
from vision_baselines.runs.resumption import Action, clear, decide

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
    with pytest.raises(ConfigError, match="rerun=true"):
        decide(tmp_path, CONFIG)
    assert decide(tmp_path, CONFIG, rerun=True).action is Action.START


def test_many_differences_are_counted_not_all_shown(tmp_path):
    left(tmp_path, Status.FINISHED, {f"k{i}": 0 for i in range(20)})
    with pytest.raises(ConfigError, match="and 12 more"):
        decide(tmp_path, {f"k{i}": 1 for i in range(20)})


def test_clearing_removes_results_and_keeps_the_lock_and_the_logs(tmp_path):
    left(tmp_path, Status.FAILED)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "a.ckpt").touch()
    (tmp_path / ".hydra").mkdir()
    for name in ("events.out.tfevents.1", ".lock", "train.log"):
        (tmp_path / name).touch()
    clear(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hydra", ".lock", "train.log"]


def test_clearing_follows_no_link_out_of_the_folder(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    run = tmp_path / "run"
    run.mkdir()
    (run / "link").symlink_to(outside)
    clear(run)
    assert (outside / "precious").exists()
    assert not (run / "link").exists()


def test_a_finished_run_is_probed_where_a_probe_is_asked_that_it_has_not_had(tmp_path):
    left(tmp_path, Status.FINISHED, {**CONFIG, "probe": {"shift": {"max_px": 4}}})

    assert decide(tmp_path, {**CONFIG, "probe": {"shift": {"max_px": 4}}}).action is Action.SKIP
    assert decide(tmp_path, {**CONFIG, "probe": {}}).action is Action.SKIP
    assert decide(tmp_path, {**CONFIG, "probe": {"shift": {"max_px": 2}}}).action is Action.PROBE
    assert decide(tmp_path, {**CONFIG, "probe": {"edges": {}, "depth": {"x": 1}}}).action is Action.PROBE
