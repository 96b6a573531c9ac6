"""logger=…: each gets metrics, hyper-parameters, parameter counts and pictures, each step once, also after a kill."""

from __future__ import annotations

import importlib.util
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from vision_baselines.config.checks import checked_config
from vision_baselines.errors import ConfigError
from vision_baselines.probes.logged_pictures import picture_taker
from vision_baselines.runs.fingerprint import fingerprint
from vision_baselines.training.run_logger import RunLogger, hyperparameters

NEEDED = ["val/acc", "train/loss", "test/acc", "parameters/total"]
FEW = ["trainer.max_epochs=2", "checkpoint_every_n_steps=2", "trainer.log_every_n_steps=1"]
quiet = pytest.mark.filterwarnings("ignore:.*")  # of packages that are none of ours


def test_a_logger_makes_no_other_run(compose):
    assert fingerprint(checked_config(compose("logger=many"))) == fingerprint(checked_config(compose()))


def test_several_loggers_are_chosen_as_a_list(compose):
    assert list(compose("logger=many").logger) == ["tensorboard", "csv"]
    assert list(compose("logger=[csv,wandb,mlflow]").logger) == ["csv", "wandb", "mlflow"]


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_logger_that_is_not_installed_is_said_in_a_line(name, compose, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    with pytest.raises(ConfigError, match=f"logger.{name} needs the package {name}") as caught:
        checked_config(compose(f"logger={name}"))
    assert len(str(caught.value).splitlines()) == 1


def test_a_logger_takes_pictures_in_the_way_that_it_can():
    class Own(RunLogger):
        def log_picture(self, tag, picture, *, step):
            self.got = (tag, picture.size, step)

    class Lightnings:
        def log_image(self, tag, pictures, step):
            self.got = (tag, pictures[0].size, step)

    import torch

    for logger in (Own(), Lightnings()):
        picture_taker(logger)("filters/first", torch.zeros(3, 4, 6, dtype=torch.uint8), 7)
        assert logger.got == ("filters/first", (6, 4), 7)
    assert picture_taker(object()) is None


@pytest.mark.slow
def test_hyperparameters_hold_no_secret_and_no_place_of_this_machine(run_tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("MY_KEY", "hunter2")
    monkeypatch.setenv("WANDB_API_KEY", "hunter2")
    record = run_tiny("run", "trainer.max_epochs=1", "+comparison.note=${oc.env:MY_KEY}")
    text = json.dumps(hyperparameters(record), default=str)
    assert "hunter2" not in text + record.model_dump_json()
    assert str(tmp_path) not in text


def leveldb_records(content):
    """The records of a LevelDB log, which a .wandb file is after seven bytes of its own."""
    block, at, parts = 32768, 7, []
    while at + 7 <= len(content):
        if block - at % block < 7:
            at += block - at % block
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        parts.append(content[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


def wandb_rows(folder):
    """What an offline run of W&B holds: its rows, its configuration, and the names of its pictures."""
    from wandb.proto import wandb_internal_pb2

    [path] = folder.glob("wandb/offline-run-*/*.wandb")
    rows, config = [], {}
    for data in leveldb_records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.HasField("history"):
            items = record.history.item
            rows.append({item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items})
        for part in (record.run.config, record.config):
            config |= {item.key or ".".join(item.nested_key): item.value_json for item in part.update}
    return rows, config


@pytest.mark.slow
@quiet
@pytest.mark.parametrize("step", [0, 5])
def test_wandb_has_each_step_once_after_a_kill_and_nothing_is_sent(step, run_tiny, resumed_after, tmp_path):
    pytest.importorskip("wandb")

    def run(name, *options):
        return run_tiny(name, "logger=[csv,wandb]", "tags=[a]", *FEW, *options, pictures=True)

    record = run("cut") if not step else resumed_after(step, run)
    folder = tmp_path / "outputs" / "cut"
    rows, config = wandb_rows(folder)
    steps = [row["trainer/global_step"] for row in rows if "trainer/global_step" in row]
    assert steps == sorted(set(steps))
    logged = {key for row in rows for key in row}
    assert set(NEEDED) <= logged
    assert {"filters/first_layer", "confusion/test"} <= {key.split(".")[0] for key in logged}
    assert "optimizer.lr" in config
    assert config["fingerprint"] == json.dumps(record.fingerprint)
    [measured] = [row["test/acc"] for row in rows if "test/acc" in row]
    assert measured == pytest.approx(record.metrics["test/acc"])


@pytest.mark.slow
@quiet
@pytest.mark.parametrize("step", [0, 5])
def test_mlflow_has_each_step_once_after_a_kill_in_the_same_run(step, run_tiny, resumed_after, tmp_path):
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    def run(name, *options):
        return run_tiny(name, "logger=[csv,mlflow]", "tags=[a]", "notes=b", *FEW, *options, pictures=True)

    record = run("cut") if not step else resumed_after(step, run)
    client = MlflowClient(f"sqlite:///{tmp_path / 'outputs' / 'mlflow.db'}")
    [experiment] = [one for one in client.search_experiments() if one.name != "Default"]
    [found] = client.search_runs([experiment.experiment_id])
    assert (found.info.status, found.data.tags["tags"]) == ("FINISHED", "a")
    assert found.data.params["fingerprint"] == record.fingerprint
    assert set(NEEDED) <= set(found.data.metrics)
    for name in found.data.metrics:
        steps = [one.step for one in client.get_metric_history(found.info.run_id, name)]
        assert len(steps) == len(set(steps)), name
    pictures = {one.path for one in client.list_artifacts(found.info.run_id, "pictures")}
    assert {"pictures/filters", "pictures/confusion"} <= pictures
    run("cut", "rerun=true")
    assert len(client.search_runs([experiment.experiment_id])) == 1


@pytest.mark.slow
def test_jobs_that_begin_at_once_make_one_database_of_mlflow(python, tmp_path):
    pytest.importorskip("mlflow")
    code = (
        "import sys; from vision_baselines.training.mlflow_logger import RunMLflowLogger as Made; "
        "logger = Made(sys.argv[1], 'group', False); logger.rewind(0); print(logger._run_id)"
    )
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda n: python("-W", "ignore", "-c", code, str(tmp_path / f"run{n}")), range(3)))
    assert [one.returncode for one in done] == [0, 0, 0], done[0].stderr + done[1].stderr + done[2].stderr
    assert len({one.stdout.split()[-1] for one in done}) == 3
