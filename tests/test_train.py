"""A run trains, tests its best epoch and leaves a record that says what happened, however it ended."""

from __future__ import annotations

import hashlib
import json
import os
import signal

import pytest
import pytorch_lightning as pl
import torch

from vision_baselines.errors import ConfigError, DataError, DivergedError, TrainingError
from vision_baselines.jobs.signals import Interrupted
from vision_baselines.runs.record import Status, read_record
from vision_baselines.training.results import headline, weights_sha256


class AtStep(pl.Callback):
    """Calls `act` after a step of the run, once."""

    def __init__(self, step, act):
        self.step, self.act = step, act

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            self.act(trainer)


class ValAccuracy(pl.Callback):
    """Makes the validation accuracies what the test wants them to be, epoch by epoch; the weights are noted."""

    def __init__(self, *values):
        self.values = values
        self.weights = []

    def on_validation_epoch_end(self, trainer, pl_module):
        accuracy = torch.tensor(self.values[trainer.current_epoch])
        pl_module.val_acc.compute = lambda: accuracy
        self.weights.append(weights_sha256(pl_module.net))


def raising(error):
    def act(trainer):
        raise error

    return act


def test_a_run_leaves_a_finished_record_of_everything(run_tiny, tmp_path):
    record = run_tiny("run")
    folder = tmp_path / "outputs" / "run"
    assert read_record(folder) == record
    assert record.status is Status.FINISHED
    assert set(record.metrics) == {"test/loss", "test/acc", "val/loss", "val/acc"}
    assert [row.epoch for row in record.history] == [0, 1]
    assert [row.step for row in record.history] == [6, 12]
    assert record.parameters is not None
    assert record.parameters.total == sum(record.parameters.per_layer.values())
    assert sum(map(sum, record.confusion)) == 20
    assert record.class_names == [str(label) for label in range(10)]
    assert record.environment.versions["torch"] == str(torch.__version__)
    assert record.environment.threads == 1
    assert record.environment.device == "cpu"
    assert record.timings.fit_s > 0
    assert record.timings.test_s > 0
    assert record.timings.images_per_s > 0
    assert record.ended_at >= record.started_at
    assert record.failure is None
    assert record.attempts == 1


def test_the_recorded_config_runs_wherever_it_is_read(run_tiny, tmp_path):
    record = run_tiny("run")
    assert str(tmp_path) not in json.dumps(record.config)
    assert record.config["seed"] == 0
    assert record.config["model"]["image_shape"] == [1, 8, 8]
    assert (tmp_path / "outputs" / "run" / "config.yaml").is_file()


def test_the_parameter_count_is_that_of_the_net(run_tiny):
    record = run_tiny("run")
    conv = (1 * 9 + 1) * 2 + 2 * 2 + (2 * 9 + 1) * 3 + 2 * 3
    head = (3 * 2 * 2 + 1) * 4 + (4 + 1) * 10
    assert record.parameters.total == record.parameters.trainable == conv + head


def test_test_accuracy_is_the_share_on_the_confusion_matrix_diagonal(run_tiny):
    record = run_tiny("run")
    diagonal = sum(record.confusion[i][i] for i in range(10))
    assert record.metrics["test/acc"] == pytest.approx(diagonal / 20)


def test_the_same_config_gives_the_same_weights_and_curves(run_tiny):
    first, second = run_tiny("a"), run_tiny("b")
    assert first.weights_sha256 == second.weights_sha256
    assert first.final_weights_sha256 == second.final_weights_sha256
    assert first.history == second.history
    assert first.metrics == second.metrics


def test_the_seed_is_set_by_default_and_zero_counts(run_tiny):
    weights = {seed: run_tiny(f"s{seed}", f"seed={seed}").final_weights_sha256 for seed in (0, 1)}
    assert run_tiny("default").final_weights_sha256 == weights[0] != weights[1]


@pytest.mark.slow
def test_what_ran_before_in_the_process_changes_nothing(run_tiny):
    expected = run_tiny("first").final_weights_sha256
    torch.rand(1234)
    run_tiny("between", "seed=5", "model.hidden_features=9")
    assert run_tiny("after").final_weights_sha256 == expected


@pytest.mark.slow
def test_loading_workers_change_nothing(run_tiny):
    expected = run_tiny("alone")
    with_workers = run_tiny("workers", "data.num_workers=2")
    assert with_workers.final_weights_sha256 == expected.final_weights_sha256
    assert with_workers.fingerprint == expected.fingerprint


def test_the_weights_hash_depends_on_names_and_bytes_alone():
    net = torch.nn.Linear(2, 2)
    digest = hashlib.sha256()
    for name, value in (("bias", net.bias), ("weight", net.weight)):
        digest.update(f"{name} torch.float32 {tuple(value.shape)}\n".encode())
        digest.update(value.detach().numpy().tobytes())
    assert weights_sha256(net) == digest.hexdigest()
    assert weights_sha256(net.to(memory_format=torch.channels_last)) == digest.hexdigest()


def test_a_tested_run_is_the_best_epoch_not_the_last(run_tiny, with_callback):
    accuracy = ValAccuracy(0.2, 0.9, 0.4)
    with_callback(accuracy)
    record = run_tiny("run", "trainer.max_epochs=3")
    assert record.best_epoch == 1
    assert record.weights_sha256 == accuracy.weights[1]
    assert record.final_weights_sha256 == accuracy.weights[2]
    assert record.weights_sha256 != record.final_weights_sha256


@pytest.mark.slow
def test_the_returned_metrics_are_those_of_the_best_epoch(run_tiny, with_callback, tmp_path):
    # the run that stops after the best epoch has that epoch's weights as its last
    with_callback(ValAccuracy(0.2, 0.9, 0.4))
    longer = run_tiny("longer", "trainer.max_epochs=3", "scheduler=none")
    with_callback(ValAccuracy(0.2, 0.9))
    shorter = run_tiny("shorter", "trainer.max_epochs=2", "scheduler=none")
    with_callback(ValAccuracy(0.2, 0.3, 0.4))
    last = run_tiny("last", "trainer.max_epochs=3", "scheduler=none")
    assert longer.metrics == shorter.metrics
    assert longer.metrics["val/acc"] == pytest.approx(0.9)
    assert longer.metrics["val/loss"] == pytest.approx(longer.history[1].metrics["val/loss"])
    assert longer.metrics["test/loss"] != last.metrics["test/loss"]


def test_of_two_equally_good_epochs_the_first_is_kept(run_tiny, with_callback):
    with_callback(ValAccuracy(0.5, 0.5))
    assert run_tiny("run").best_epoch == 0


def test_an_epoch_whose_score_is_no_number_is_never_the_best(run_tiny, with_callback):
    with_callback(ValAccuracy(float("nan"), 0.1))
    assert run_tiny("run").best_epoch == 1


def test_a_run_that_raises_is_a_failed_record_with_the_whole_story(run_tiny, with_callback, tmp_path):
    with_callback(AtStep(3, raising(RuntimeError("the\nroof fell in"))))
    with pytest.raises(RuntimeError, match="roof"):
        run_tiny("run")
    record = read_record(tmp_path / "outputs" / "run")
    assert record.status is Status.FAILED
    assert (record.failure.kind, record.failure.message) == ("RuntimeError", "the roof fell in")
    assert "Traceback" in record.failure.traceback
    assert record.ended_at is not None
    assert not record.metrics


def test_a_run_that_calls_exit_is_a_failed_one(run_tiny, with_callback, tmp_path):
    with_callback(AtStep(3, raising(SystemExit(0))))
    with pytest.raises(TrainingError, match=r"sys\.exit\(0\)"):
        run_tiny("run")
    assert read_record(tmp_path / "outputs" / "run").status is Status.FAILED


def test_a_loss_that_is_no_number_ends_the_run_as_diverged(run_tiny, tmp_path):
    with pytest.raises(DivergedError, match=r"learning rate .*optimizer\.lr"):
        run_tiny("run", "optimizer=sgd", "optimizer.lr=1e30", "scheduler=none", "trainer.max_epochs=5")
    record = read_record(tmp_path / "outputs" / "run")
    assert record.status is Status.DIVERGED
    assert record.failure.kind == "DivergedError"
    assert not record.failure.traceback


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_step_and_ends_the_run_as_interrupted(run_tiny, with_callback, tmp_path, signum):
    with_callback(AtStep(4, lambda trainer: os.kill(os.getpid(), signum)))
    with pytest.raises(Interrupted) as interrupted:
        run_tiny("run")
    assert interrupted.value.exit_code == 128 + signum
    folder = tmp_path / "outputs" / "run"
    assert read_record(folder).status is Status.INTERRUPTED
    states = sorted(path.name for path in (folder / "checkpoints").glob("*.ckpt"))
    assert states in (["resume-step=00000004.ckpt"], ["resume-step=00000005.ckpt"])


def test_signal_handlers_are_put_back(run_tiny):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    run_tiny("run")
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_a_finished_run_is_not_trained_again(run_tiny, tmp_path):
    first = run_tiny("run")
    weights = tmp_path / "outputs" / "run" / "checkpoints" / "best.ckpt"
    written = weights.stat().st_mtime_ns
    assert run_tiny("run") == first
    assert weights.stat().st_mtime_ns == written


@pytest.mark.slow
def test_rerun_trains_a_finished_run_again_from_nothing(run_tiny, tmp_path):
    first = run_tiny("run", "keep_resume_states=true")
    again = run_tiny("run", "keep_resume_states=true", "rerun=true")
    assert again.attempts == 1
    assert again.final_weights_sha256 == first.final_weights_sha256
    assert len(list((tmp_path / "outputs" / "run" / "checkpoints").glob("resume*.ckpt"))) == 1


def test_another_config_under_the_same_name_is_refused_with_the_differences(run_tiny, tmp_path):
    first = run_tiny("run")
    with pytest.raises(ConfigError, match=r"model\.hidden_features: 4 → 5") as error:
        run_tiny("run", "model.hidden_features=5")
    assert len(str(error.value).splitlines()) == 2
    assert read_record(tmp_path / "outputs" / "run") == first


@pytest.mark.slow
def test_a_failed_run_may_be_fixed_by_changing_its_config(run_tiny, with_callback):
    with_callback(AtStep(3, raising(RuntimeError("no"))))
    with pytest.raises(RuntimeError):
        run_tiny("run")
    with_callback()
    record = run_tiny("run", "model.hidden_features=5")
    assert record.finished
    assert [row.epoch for row in record.history] == [0, 1]


def test_a_folder_that_another_process_trains_in_is_refused(run_tiny, tmp_path):
    from vision_baselines.storage.lock import exclusive

    with exclusive(tmp_path / "outputs" / "run"), pytest.raises(ConfigError, match=r"is being trained by process"):
        run_tiny("run")


def test_the_headline_is_one_line_with_the_result_and_its_cost(run_tiny):
    line = headline(run_tiny("run"))
    assert "\n" not in line
    for word in ("run", "test/acc", "%", "best epoch", "parameters", " s"):
        assert word in line


def test_a_run_needs_no_logger(run_tiny):
    assert run_tiny("run", "logger=none", pictures=True).finished


@pytest.mark.slow
def test_a_run_can_log_to_csv_alone(run_tiny, tmp_path):
    run_tiny("run", "logger=csv", pictures=True)
    table = (tmp_path / "outputs" / "run" / "csv" / "metrics.csv").read_text()
    assert "val/acc" in table.splitlines()[0]


def test_a_run_without_validation_tests_its_last_epoch(run_tiny):
    record = run_tiny("run", "+trainer.limit_val_batches=0")
    assert record.best_epoch == 1
    assert record.weights_sha256 == record.final_weights_sha256


def test_a_monitor_that_is_not_logged_is_refused_with_what_is(run_tiny):
    with pytest.raises(ConfigError, match=r"callbacks\.checkpoints\.monitor is 'val/f1'; this run logs .*val/acc"):
        run_tiny("run", "callbacks.checkpoints.monitor=val/f1")


@pytest.mark.slow
def test_data_on_the_training_device_gives_the_same_bits(run_tiny):
    """On a CPU it is there anyway; the path is the one an accelerator takes."""
    records = [run_tiny(name, f"data.on_device={on}") for name, on in (("there", "true"), ("here", "false"))]
    assert records[0].final_weights_sha256 == records[1].final_weights_sha256
    assert records[0].fingerprint == records[1].fingerprint
    assert records[0].metrics == records[1].metrics


@pytest.mark.slow
@pytest.mark.ci
def test_every_file_that_a_run_leaves_is_in_its_record_and_is_removed_before_it_is_trained_anew(run_tiny, tmp_path):
    record = run_tiny("run", "logger=tensorboard", pictures=True)
    folder = tmp_path / "outputs" / "run"
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert left - {".lock"} == set(record.files)
    (folder / "notes.txt").write_text("mine")
    run_tiny("run", "rerun=true", "logger=none")
    assert (folder / "notes.txt").read_text() == "mine"
    assert not list(folder.glob("events*"))


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("data.batch_size=1000", "data.batch_size"),
        ("model.channels=[1,2,3,4,5]", "model"),
        ("data.source.sha256=0123", "0123"),
        ("trainer.gradient_clip_algorithm=nope", "gradient_clip_algorithm"),
        ("init_from=/nowhere", "/nowhere"),
    ],
)
def test_a_run_that_is_refused_while_it_is_built_leaves_nothing(option, says, run_tiny, tmp_path):
    options = ["++" + option]
    with pytest.raises((ConfigError, DataError), match=says):
        run_tiny("run", *options)
    assert not [path for path in (tmp_path / "outputs" / "run").rglob("*") if "lock" not in path.name]
    run_tiny("run", "trainer.max_epochs=1")
    before = (tmp_path / "outputs" / "run" / "run.json").read_bytes()
    with pytest.raises(ConfigError):
        run_tiny("run", *options)  # another run's folder, which stays
    assert (tmp_path / "outputs" / "run" / "run.json").read_bytes() == before


@pytest.mark.parametrize("moment", ["while it was built", "in training"])
def test_a_run_that_is_refused_leaves_an_earlier_start_that_was_killed_as_it_was(
    moment, run_tiny, with_callback, tmp_path, monkeypatch
):
    import pytorch_lightning as pl

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    class InTraining(pl.Callback):
        on_train_batch_end = kill

    folder = tmp_path / "outputs" / "run"
    with monkeypatch.context() as killed:
        killed.setattr("vision_baselines.training.run.note_failure", lambda *_: None)
        if moment == "in training":
            with_callback(InTraining())
        else:
            killed.setattr("vision_baselines.training.build.classifier", kill)
        with pytest.raises(Killed):
            run_tiny("run", "trainer.max_epochs=1")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "lock" not in path.name}
    assert read_record(folder).status is Status.RUNNING

    def refuse(*_):
        raise ConfigError("no such net")

    monkeypatch.setattr("vision_baselines.training.build.classifier", refuse)
    with pytest.raises(ConfigError, match="no such net"):
        run_tiny("run", "trainer.max_epochs=1")
    assert {
        path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "lock" not in path.name
    } == before


@pytest.mark.slow
@pytest.mark.ci
def test_a_refused_command_leaves_no_folder(cli, tiny, tmp_path):
    done = cli("name=refused", *tiny, "data.batch_size=1000")
    assert done.returncode == 2
    assert not (tmp_path / "outputs" / "refused").exists()
