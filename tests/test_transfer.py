"""A run that starts from another one has its weights, keeps what is frozen, and waits for it in a sweep."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from vision_baselines.errors import ConfigError
from vision_baselines.evaluation.reproduce import reproduce
from vision_baselines.models.transfer import head_name
from vision_baselines.runs.fingerprint import job_name
from vision_baselines.runs.init_source import source_path
from vision_baselines.runs.record import Status
from vision_baselines.storage import checkpoint_file
from vision_baselines.sweep.checks import require_a_beginning
from vision_baselines.sweep.hooks import RunHooks
from vision_baselines.sweep.job import Job
from vision_baselines.training import build

NEW_CLASSES = ["data.classes=[5,6,7]", "data.num_classes=3"]


def net_of(folder, name="best"):
    state = checkpoint_file.load(next((folder / "checkpoints").glob(f"{name}*.ckpt")))["state_dict"]
    return {key.removeprefix("net."): value for key, value in state.items() if key.startswith("net.")}


@pytest.fixture(scope="module")
def source(train_tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs") / "source"
    train_tiny(folder)
    return folder


def test_a_frozen_backbone_is_the_sources_bit_for_bit_after_training(source, train_tiny, tmp_path):
    record = train_tiny(
        tmp_path / "run", f"init_from={source}", "freeze=backbone", "keep_resume_states=true", *NEW_CLASSES
    )
    before, after = net_of(source), net_of(tmp_path / "run", "resume")
    assert before.keys() == after.keys()
    changed = {
        name for name in before if before[name].shape != after[name].shape or not before[name].equal(after[name])
    }
    assert changed == {"head.4.weight", "head.4.bias"}
    assert after["head.4.bias"].shape == (3,)
    assert record.parameters.trainable == 4 * 3 + 3


@pytest.mark.slow
@pytest.mark.ci
def test_finetuning_without_freezing_starts_there_and_moves_on(source, train_tiny, tmp_path):
    train_tiny(tmp_path / "still", f"init_from={source}", "optimizer.lr=0", *NEW_CLASSES)
    train_tiny(tmp_path / "moved", f"init_from={source}", *NEW_CLASSES)
    name = "features.0.0.weight"
    assert net_of(tmp_path / "still")[name].equal(net_of(source)[name])
    assert not net_of(tmp_path / "moved")[name].equal(net_of(source)[name])


@pytest.mark.few(1)
@pytest.mark.parametrize(("classes", "taken"), [([], True), (["data.classes=[9,8,7,6,5,4,3,2,1,0]"], False)])
def test_the_head_is_taken_over_for_the_same_classes_alone(source, train_tiny, tmp_path, classes, taken):
    train_tiny(tmp_path / "run", f"init_from={source}", "optimizer.lr=0", *classes)
    head = "head.4.weight"
    assert net_of(tmp_path / "run")[head].equal(net_of(source)[head]) is taken


@pytest.mark.slow
@pytest.mark.ci
def test_a_checkpoint_file_is_as_good_as_its_run(source, train_tiny, tmp_path):
    records = [
        train_tiny(tmp_path / name, f"init_from={path}", *NEW_CLASSES)
        for name, path in [("folder", source), ("file", source / "checkpoints" / "best.ckpt")]
    ]
    assert records[0].final_weights_sha256 == records[1].final_weights_sha256


@pytest.mark.slow
@pytest.mark.ci
def test_an_interrupted_run_goes_on_bit_for_bit_and_needs_its_source_no_more(
    source, train_tiny, tmp_path, with_callback
):
    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer, *rest):
            if trainer.global_step == 3:
                raise KeyboardInterrupt

    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    options = [f"init_from={copy}", "freeze=backbone", "checkpoint_every_n_steps=1", *NEW_CLASSES]
    whole = train_tiny(tmp_path / "whole", *options)
    with_callback(Stop())
    with pytest.raises(BaseException):  # noqa: B017, PT011 - however Lightning tells it
        train_tiny(tmp_path / "broken", *options)
    with_callback()
    shutil.rmtree(copy)
    resumed = train_tiny(tmp_path / "broken", *options)
    assert (resumed.status, resumed.attempts) == (Status.FINISHED, 2)
    assert resumed.final_weights_sha256 == whole.final_weights_sha256


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_that_starts_from_another_is_reproduced_until_that_one_changes(source, train_tiny, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    train_tiny(tmp_path / "run", f"init_from={copy}", *NEW_CLASSES)
    assert reproduce(tmp_path / "run").passed
    train_tiny(copy, "optimizer.lr=0.01", "rerun=true")
    again = reproduce(tmp_path / "run")
    assert {point.name for point in again.points if not point.same} >= {"weights, first", "weights, last step"}
    moved = reproduce(tmp_path / "run", overrides=[f"init_from={source}"])
    assert next(point for point in moved.points if point.name == "weights, first").same


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["init_from=/nowhere"], "init_from: there is no /nowhere; expected the folder of a finished run"),
        (["init_from=job:transfer"], "init_from is 'job:transfer'; expected a path, or job:key=value"),
        (["init_from=5"], "init_from is 5; expected a run's folder"),
        (["freeze=head"], "freeze is 'head'; expected backbone or first_layer, or null"),
    ],
)
def test_what_cannot_be_started_from_is_reported_in_a_line(train_tiny, tmp_path, options, message):
    with pytest.raises(ConfigError) as told:
        train_tiny(tmp_path / "run", *options)
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_another_backbone_is_refused_with_what_differs(source, train_tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"features\.0\.0\.weight \(2×1×3×3 there, 4×1×3×3 here\)"):
        train_tiny(tmp_path / "run", f"init_from={source}", "model.channels=[4,3]")


def test_an_unfinished_run_is_nothing_to_start_from(source, train_tiny, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    text = (copy / "run.json").read_text()
    (copy / "run.json").write_text(text.replace('"status": "finished"', '"status": "failed"'))
    with pytest.raises(ConfigError, match="holds a run that is failed; expected a finished one"):
        train_tiny(tmp_path / "run", f"init_from={copy}")


def test_a_job_of_the_same_sweep_is_named_by_what_differs(tmp_path):
    own = ["seed=1", "transfer=frozen", "trainer.max_epochs=2"]
    found = source_path("job:transfer=pretrain", tmp_path / job_name(own), own)
    assert found == tmp_path / job_name(["transfer=pretrain", "trainer.max_epochs=2", "seed=1"])


def job(folder, starts_from=None):
    return Job(
        0,
        [],
        b"",
        Path("/nowhere") / folder,
        [],
        fingerprint=str(folder),
        starts_from=starts_from and Path("/nowhere") / starts_from,
    )


def may_start(one, *unfinished):
    return RunHooks().may_start(one, unfinished)


def test_a_job_waits_until_the_one_it_starts_from_has_ended():
    first, second, other = job("first"), job("second", "first"), job("other")
    assert not may_start(second, other, first)
    assert may_start(other, second, first)
    assert may_start(first, second, other)
    assert may_start(second, other)


def test_jobs_that_start_from_each_other_are_refused():
    require_a_beginning([job("a"), job("b", "a"), job("c", "b")])
    with pytest.raises(ConfigError, match="init_from makes b start from a, which starts from it"):
        require_a_beginning([job("a", "b"), job("b", "a")])


def test_the_head_of_the_tiny_net_is_its_last_layer(source):
    torch.manual_seed(0)
    from vision_baselines.models.cnn import CNN

    assert head_name(CNN((1, 8, 8), 10, channels=[2, 3], hidden_features=4)) == "head.4"


@pytest.mark.parametrize("named", ["outputs/first", "outputs/first/checkpoints/best.ckpt"])
def test_a_job_waits_for_a_path_too(named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = job(tmp_path / "outputs" / "first")
    second = job(tmp_path / "outputs" / "second", source_path(named, tmp_path, []))
    assert not may_start(second, first)
    assert may_start(first, second)


@pytest.mark.slow
def test_a_sweep_pretrains_first_whatever_the_order(cli, tmp_path):
    words = ["name=t", "data=digits", "seed=0", "trainer.max_epochs=1"]
    ended = cli("-m", *words, "transfer=frozen,scratch,pretrain")
    assert ended.returncode == 0, ended.stderr
    before, after = (
        net_of(tmp_path / "outputs" / "t" / f"data=digits,seed=0,trainer.max_epochs=1,transfer={name}")
        for name in ("pretrain", "frozen")
    )
    assert {name for name in before if not before[name].equal(after[name])} == {"head.4.weight", "head.4.bias"}


@pytest.mark.few(1)
@pytest.mark.parametrize("way", ["scratch", "finetuned", "frozen"])
def test_the_default_data_has_enough_images_for_every_way(compose, way):
    cfg = compose(f"transfer={way}", "data=digits")
    datamodule = build.datamodule(cfg)
    datamodule.setup("fit")
    assert len(datamodule.splits.train.target) == 63
    assert len(datamodule.train_dataloader()) == 4


def test_published_results_of_fine_tuning_are_for_batches_of_64(compose):
    assert compose("experiment=finetune", "transfer=scratch").data.batch_size == 64
