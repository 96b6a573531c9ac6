"""What a sweep says and decides, without its processes."""

from __future__ import annotations

import ast
import io
import re
from types import SimpleNamespace

import pytest

from vision_baselines.errors import ConfigError
from vision_baselines.jobs import memory
from vision_baselines.jobs.memory import fitting
from vision_baselines.jobs.outcome import Outcome
from vision_baselines.jobs.summary import failures
from vision_baselines.runs.record import Status, read_record
from vision_baselines.sweep.memory import job_bytes

GB = 2**30


@pytest.mark.parametrize(
    ("slots", "needs", "free", "fit"),
    [
        (4, [GB] * 8, 64 * GB, 4),
        (4, [GB] * 8, 2.5 * GB, 2),
        (4, [GB] * 8, 0.5 * GB, 1),  # one job is always tried
        (4, [3 * GB, GB, GB, GB], 4.5 * GB, 2),
        (2, [GB], None, 2),
        (8, [GB, GB], 2 * GB, 8),
    ],
)
def test_no_more_jobs_run_at_a_time_than_memory_has_room_for(monkeypatch, slots, needs, free, fit):
    monkeypatch.setattr(memory, "free_bytes", lambda: None if free is None else int(free))
    found, said = fitting(slots, needs)
    assert found == fit
    assert bool(said) == (fit < slots)


@pytest.mark.parametrize(
    ("meminfo", "limits", "free"),
    [
        ("MemTotal: 9 kB\nMemAvailable:    4 kB\n", None, 4096),
        ("MemAvailable:    4 kB\n", ("max", "10"), 4096),
        ("MemAvailable:    4 kB\n", ("1000", "900"), 100),
        ("MemAvailable:    4 kB\n", ("1000", "1900"), 0),
        (None, ("1000", "900"), 100),
        (None, None, None),
        ("nothing\n", None, None),
    ],
)
def test_free_memory_is_the_least_that_the_system_and_the_container_allow(monkeypatch, tmp_path, meminfo, limits, free):
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    if meminfo:
        (tmp_path / "meminfo").write_text(meminfo)
    for name, value in zip(("memory.max", "memory.current"), limits or (), strict=False):
        (tmp_path / name).write_text(value)
    assert memory.free_bytes() == free


def test_a_job_needs_room_for_its_images():
    data = {"image_shape": [3, 32, 32], "source": {"train_size": 50_000, "test_size": 10_000}}
    assert job_bytes({"data": data}) >= 60_000 * 3 * 32 * 32 + job_bytes({})


@pytest.mark.parametrize(
    ("outcomes", "counts", "lines"),
    [
        ([Outcome(0), Outcome(0)], "", 0),
        ([Outcome(4, message="a"), Outcome(4, message="b"), Outcome(0)], "2 of 3 jobs failed, 1 finished", 2),
        ([Outcome(143, message="ended by SIGTERM"), Outcome(0)], "1 of 2 jobs interrupted, 1 finished", 1),
        ([Outcome(4, message="a"), Outcome(130), None], "1 of 3 jobs failed, 1 interrupted, 1 not started", 2),
    ],
)
def test_every_job_without_a_result_is_counted_and_named(outcomes, counts, lines):
    found, named = failures([(f"seed={seed}", outcome, outcome is not None) for seed, outcome in enumerate(outcomes)])
    assert found == counts
    assert len(named) == lines


@pytest.mark.parametrize("name", ["vision_baselines_local", "vision_baselines_configs"])
def test_the_plugins_know_nothing_of_runs(root, name):
    tree = ast.parse((root / "src" / "hydra_plugins" / f"{name}.py").read_text())
    found = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    found |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    ours = {module for module in found if module.startswith("vision_baselines")}
    assert all(module.startswith(("vision_baselines.jobs.", "vision_baselines.sweep.until_decided")) for module in ours)
    assert not {module.split(".")[0] for module in found} & {"torch", "pytorch_lightning"}


def test_a_job_that_could_not_say_it_is_finished_is_believed_by_its_record(run_tiny, tmp_path):
    from vision_baselines.sweep.hooks import RunHooks
    from vision_baselines.sweep.job import Job

    record = run_tiny("job", "trainer.max_epochs=1")
    folder = tmp_path / "outputs" / "job"
    job = Job(0, [], b"", folder, [])
    without_a_word = RunHooks().without_a_word
    assert without_a_word(job, None) == Outcome(0, value=record.metrics[record.selection_metric])
    job.previous = record  # nothing new was written: what is there is an earlier run's
    assert without_a_word(job, None).exit_code == 4
    assert read_record(folder).finished
    record.status = Status.RUNNING
    record.write(folder)
    assert "killed by SIGKILL" in without_a_word(job, -9).message
    assert read_record(folder).status is Status.FAILED


def test_the_bar_counts_epochs_from_zero_as_records_do(compose):
    from pytorch_lightning import Trainer

    from vision_baselines.training import build
    from vision_baselines.training.progress_bar import EpochProgressBar

    bar = build._instance(compose(), "callbacks.progress_bar", EpochProgressBar)
    bar._trainer = Trainer(max_epochs=2, logger=False, enable_checkpointing=False, callbacks=[bar], accelerator="cpu")
    bar.enable()
    bar._init_progress(bar.trainer)
    try:
        bar._initialize_train_progress_bar_id()
        [task] = bar.progress.tasks
        assert task.description.split() == ["Epoch", "0", "(last", "1)"]
        bar.trainer.fit_loop.epoch_progress.current.completed = (
            bar.trainer.fit_loop.epoch_progress.current.processed
        ) = 1
        assert bar.trainer.current_epoch == 1
        bar.on_train_epoch_start(bar.trainer, None)
        assert bar.progress.tasks[0].description.split() == ["Epoch", "1", "(last", "1)"]
    finally:
        bar._stop_progress()


@pytest.mark.parametrize(
    ("max_epochs", "ends_after", "kept"),
    [
        (3, 3, [0, 1, 2]),
        (30, 2, [0, 1]),
        (100, 11, [0, 4, 8, 10]),
        (-1, 2, [0, 1]),
    ],
)
def test_a_line_of_every_epoch_stays_and_of_many_epochs_every_so_many(max_epochs, ends_after, kept):
    from types import SimpleNamespace

    from rich.console import Console

    from vision_baselines.training.progress_bar import EpochProgressBar

    bar = EpochProgressBar()
    bar._trainer = SimpleNamespace(max_epochs=max_epochs)
    bar.keep(0, {}, headline="acc", is_last=True)  # before training or after it there is no bar, and no line
    console = Console(record=True, quiet=False, width=200, file=io.StringIO())
    bar.progress = SimpleNamespace(console=console)
    metrics = {"train/loss": 0.199, "train/acc": 0.9, "val/loss": 0.12, "val/acc": 0.983}
    for epoch in range(ends_after):
        bar.keep(epoch, metrics, headline="acc", is_last=epoch == ends_after - 1)
    lines = console.export_text().splitlines()
    words = "train loss 0.1990  validation loss 0.1200  validation accuracy 98.30%"
    assert lines == [f"epoch {epoch}  {words}" for epoch in kept]


@pytest.mark.parametrize(("width", "fields"), [(82, 3), (80, 2), (60, 2), (40, 1)])
@pytest.mark.parametrize("max_epochs", [200, 1000])
def test_a_line_of_an_epoch_fits_and_all_lines_of_a_run_say_the_same(width, fields, max_epochs):
    from types import SimpleNamespace

    from rich.console import Console

    from vision_baselines.training.progress_bar import EpochProgressBar

    bar = EpochProgressBar()
    bar._trainer = SimpleNamespace(max_epochs=max_epochs)
    console = Console(record=True, width=width, file=io.StringIO())
    bar.progress = SimpleNamespace(console=console)
    for epoch, acc in ((0, 0.5), (max_epochs - 1, 1.0)):
        metrics = {"train/loss": 0.199, "val/loss": 0.12, "val/acc": acc}
        bar.keep(epoch, metrics, headline="acc", is_last=True)
    first, last = console.export_text().splitlines()
    assert len(last) <= width
    assert len(re.findall(r"\s{2}", first)) == len(re.findall(r"\s{2}", last)) == fields
    assert last.endswith("validation accuracy 100.00%")


@pytest.mark.parametrize("width", [60, 70, 80, 90, 100, 140, 200])
@pytest.mark.parametrize(("epoch", "max_epochs", "batches"), [(0, 2, 20), (99, 200, 1250), (4, -1, float("inf"))])
def test_the_bar_is_one_line(width, epoch, max_epochs, batches, monkeypatch):
    from types import SimpleNamespace

    from pytorch_lightning.callbacks.progress import rich_progress
    from rich.console import Console

    from vision_baselines.training import progress_bar

    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None, _environ={})
    for module in (rich_progress, progress_bar):
        monkeypatch.setattr(module, "get_console", lambda: console)
    monkeypatch.setattr(rich_progress, "reconfigure", lambda **_: None)
    bar = progress_bar.EpochProgressBar()
    bar._trainer = trainer = SimpleNamespace(
        max_epochs=max_epochs,
        current_epoch=epoch,
        num_training_batches=batches,
        lightning_module=SimpleNamespace(task=SimpleNamespace(headline="acc")),
        state=SimpleNamespace(fn="fit"),
        sanity_checking=False,
        training=False,
        progress_bar_callback=bar,
        progress_bar_metrics={"val/acc": 0.9, "train/acc": 0.554},
        loggers=[],
    )
    bar.enable()
    bar._init_progress(trainer)
    try:
        bar.train_progress_bar_id = bar._add_task(batches, bar._get_train_description(epoch))
        bar.progress.update(bar.train_progress_bar_id, completed=1250 if batches == float("inf") else batches)
        bar._update_metrics(trainer, None)
        lines = console.render_lines(bar.progress.make_tasks_table(bar.progress.tasks), pad=False)
    finally:
        bar._stop_progress()
    assert len(lines) == 1
    [line] = ["".join(segment.text for segment in line) for line in lines]
    assert f"Epoch {epoch}" in line
    assert "val/acc: 0.900" in line
    assert ("train/acc: 0.554" in line) or width < 80


def test_a_run_that_fails_before_its_threads_are_set_records_those_it_was_to_have(run_tiny, tmp_path, monkeypatch):
    from vision_baselines.training import build

    def broken(cfg):
        raise RuntimeError("no data")

    monkeypatch.setattr(build, "datamodule", broken)
    with pytest.raises(RuntimeError):
        run_tiny("early", "threads=3")
    record = read_record(tmp_path / "outputs" / "early")
    assert record.status is Status.FAILED
    assert record.environment.threads == 3


def test_jobs_are_announced_only_after_all_of_them_were_looked_at(capsys):
    from omegaconf import OmegaConf

    from hydra_plugins.vision_baselines_local import LocalLauncher
    from vision_baselines.sweep.hooks import RunHooks

    launcher = LocalLauncher(n_jobs=2, jobs=RunHooks())
    config = OmegaConf.create({"preview": False, "comparison": {}, "hydra": {"hydra_logging": None, "verbose": False}})
    launcher.setup(hydra_context=SimpleNamespace(), task_function=lambda cfg: None, config=config)
    with pytest.raises(ConfigError, match="n_jobs is 1, 2"):
        launcher.launch([["seed=0", "n_jobs=1"], ["seed=1", "n_jobs=2"]], 0)
    assert capsys.readouterr().out == ""
