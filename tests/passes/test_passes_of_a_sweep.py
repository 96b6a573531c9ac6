"""Which jobs of a sweep are trained in one pass, and what such a sweep leaves."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from vision_baselines.config.search_options import TRIAL
from vision_baselines.config.seeds_per_pass import can_share_steps
from vision_baselines.errors import ConfigError
from vision_baselines.models.fc import FC
from vision_baselines.passes.errors import NotInOnePassError
from vision_baselines.passes.fitness import require_config
from vision_baselines.passes.gain import require_gain
from vision_baselines.runs.record import Status, read_record
from vision_baselines.sweep import passes as passes_module
from vision_baselines.sweep.job import Job
from vision_baselines.sweep.passes import Passes
from vision_baselines.training.resume_files import resume_files


def jobs(*tasks: str) -> list[Job]:
    return [
        Job(at, task.split(), task.encode(), Path(f"/{at}"), [], task=task.split()) for at, task in enumerate(tasks)
    ]


def members(found: Sequence[Job]) -> list[list[int]]:
    return [[one.index for one in job.members] for job in found]


@pytest.fixture
def reasons(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """By what is in a job's overrides: why such jobs cannot be trained in one pass."""
    known: dict[str, str] = {}

    def reasons_against(contents: Sequence[bytes], only_faster: bool) -> list[str]:
        typed = [content.decode().split() for content in contents]
        return [next((why for text, why in known.items() if text in words), "") for words in typed]

    monkeypatch.setattr(passes_module, "reasons_against", reasons_against)
    return known


def test_jobs_that_differ_in_their_seed_alone_are_put_together() -> None:
    asked = jobs(
        *(f"model={model} seed={seed}" for seed in range(5) for model in ("cnn", "fc")), "model=fc lr=1 seed=0"
    )
    found = Passes(3).grouped(asked, 2)
    assert members(found) == [[0, 2, 4], [1, 3, 5], [6, 8], [7, 9], [10]]
    assert [job.processes for job in asked] == [1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1]
    assert Passes(3).announced(asked, 2) == "11 jobs in 5 processes, 2 at a time: up to 3 seeds in one pass"


def test_one_seed_a_pass_changes_nothing() -> None:
    asked = jobs("seed=0", "seed=1")
    assert Passes(1).grouped(asked, 2) == asked
    assert Passes(1).announced(asked, 2) == ""


def test_jobs_of_a_search_are_one_by_one(reasons: dict[str, str]) -> None:
    asked = jobs(*(f"lr=1 {TRIAL}={trial} seed={seed}" for trial in range(2) for seed in range(3)))
    found = Passes(3)
    found.require(asked)
    assert members(found.grouped(asked, 2)) == [[0], [1], [2], [3], [4], [5]]


def test_auto_leaves_no_core_without_a_pass(reasons: dict[str, str]) -> None:
    asked = jobs(*(f"seed={seed}" for seed in range(7)))
    found = Passes("auto")
    found.require(asked)
    assert members(found.grouped(asked, 2)) == [[0, 1, 2, 3], [4, 5, 6]]


def test_what_cannot_be_is_refused_where_a_number_is_asked_for_and_else_run_singly(reasons: dict[str, str]) -> None:
    reasons["model=cnn"] = "its net is another"
    asked = jobs("model=cnn seed=0", "model=fc seed=0", "model=cnn seed=1", "model=fc seed=1")
    with pytest.raises(
        ConfigError, match=r"seeds_per_pass is 4, and model=cnn cannot be trained so: its net is another"
    ):
        Passes(4).require(asked)
    found = Passes("auto")
    found.require(asked)
    assert members(found.grouped(asked, 1)) == [[0], [1, 3], [2]]
    Passes(4).require(asked[:2])  # of one seed there is nothing to put together


@pytest.mark.parametrize(
    ("tasks", "seeds_follow", "refused"),
    [
        (["lr=1 seed=0", "lr=2 seed=0"], False, False),
        (["lr=1 seed=0", "lr=2 seed=0"], True, True),
        ([f"lr=1 {TRIAL}=0 seed=0"], False, True),
        ([f"lr=2 {TRIAL}=0 seed=0"], True, False),
    ],
)
def test_seeds_that_follow_later_are_thought_of_before_anything_is_trained(
    tasks: list[str], seeds_follow: bool, refused: bool, reasons: dict[str, str]
) -> None:
    reasons["lr=1"] = "nothing of it can be"
    for size in (4, "auto"):
        found = Passes(size, seeds_follow=seeds_follow)
        if refused and size != "auto":
            with pytest.raises(ConfigError, match=r"seeds_per_pass is 4, and .*lr=1.* cannot be trained so"):
                found.require(jobs(*tasks))
        else:
            found.require(jobs(*tasks))


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "many", None])
def test_sizes_that_are_none_are_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="seeds_per_pass is"):
        Passes.of(OmegaConf.create({"seeds_per_pass": value}))


def test_only_the_launcher_of_this_machine_has_passes() -> None:
    config = {"seeds_per_pass": 4, "hydra": {"launcher": {"_target_": "hydra_plugins.other.SlurmLauncher"}}}
    with pytest.raises(ConfigError, match="seeds_per_pass is 4; expected 1 or auto"):
        Passes.of(OmegaConf.create(config))
    assert Passes.of(OmegaConf.create({**config, "seeds_per_pass": "auto"})).size == 1


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"init_from": "job:model=fc"}, "init_from is set"),
        ({"trainer": {"devices": 2}}, "trainer.devices"),
        ({"trainer": {"precision": "bf16-mixed"}}, "trainer.precision"),
        ({"trainer": {"accumulate_grad_batches": 2}}, "accumulate_grad_batches"),
        ({"classifier": {"compile": {}}}, "classifier.compile"),
        ({"data": {"num_workers": 1}}, "data.num_workers"),
        ({"trace": True}, "trace"),
        ({"callbacks": {"find": {"_target_": "pytorch_lightning.callbacks.LearningRateFinder"}}}, "callbacks.find"),
        ({"callbacks": {"watch": {"_target_": "vision_baselines.training.nan_watch.NanWatch"}}}, "callbacks.watch"),
        ({"callbacks": {"own": {"_target_": "mine.Own"}}}, "callbacks.own"),
        ({"optimizer": {"_target_": "torch.optim.LBFGS"}}, "torch.optim.LBFGS"),
        ({"optimizer": {"_target_": "mine.Own"}}, "mine.Own"),
        ({"parameter_groups": {"a": {"optimizer": {"_target_": "mine.Own"}}}}, "mine.Own"),
        ({"probe": {"depth": {"_target_": "a.b"}}}, "probe.depth"),
    ],
)  # fmt: skip
def test_configs_that_reach_into_a_step_are_refused_by_name(config: dict[str, Any], says: str) -> None:
    with pytest.raises(NotInOnePassError, match=says):
        require_config(config)


@pytest.mark.slow
def test_a_sweep_in_passes_leaves_what_a_sweep_leaves(cli: Callable[..., Any], tiny: list[str], tmp_path: Path) -> None:
    common = ["-m", *tiny[:7], "model=fc,linear", "seed=0,1,2", "trainer.max_epochs=1", "n_jobs=1"]
    done = cli(*common, "name=swept", "seeds_per_pass=3")
    assert done.returncode == 0, done.stderr
    assert "6 jobs in 2 processes, 1 at a time: up to 3 seeds in one pass" in done.stdout
    folders = sorted(path.parent for path in (tmp_path / "outputs" / "swept").glob("*/run.json"))
    records = [read_record(folder) for folder in folders]
    assert [record.environment.seeds_per_pass for record in records] == [3] * 6
    assert len({record.weights_sha256 for record in records}) == 6
    for folder, record in zip(folders, records, strict=True):
        assert all((folder / name).exists() for name in ("predictions.npz", "train.log", "output.txt", *record.files))
        own = (folder / "train.log").read_text()
        assert own.count("epoch 0 (last 0)") == 1, "lines of another run"
        assert (folder / "output.txt").read_text().count(record.name) == 1
    again = cli(*common, "name=swept", "seeds_per_pass=auto")
    assert again.returncode == 0
    assert "6 of 6 jobs are finished already" in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["preview=true"]], ids=["run", "preview"])
def test_what_cannot_be_in_one_pass_is_refused_by_a_preview_too(
    cli: Callable[..., Any], tiny: list[str], tmp_path: Path, words: list[str]
) -> None:
    common = ["-m", *tiny[:7], "seed=0,1,2", "name=other", *words]
    refused = cli(*common, "model=fc,linear", "seeds_per_pass=3", "data.num_workers=1")
    assert refused.returncode == 2
    assert "cannot be trained so: data.num_workers is more than 0" in refused.stderr
    refused = cli(*common, "model=fc", "seeds_per_pass=3", "model.hidden_features=[0]")
    assert refused.returncode == 2
    assert "hidden_features" in refused.stderr
    assert not (tmp_path / "outputs" / "other").exists()


@pytest.mark.slow
def test_a_preview_says_which_jobs_share_a_pass(cli: Callable[..., Any], tiny: list[str], tmp_path: Path) -> None:
    common = ["-m", *tiny[:7], "model=fc,linear", "seed=range(6)", "n_jobs=2", "preview=true"]
    shown = cli(*common, "seeds_per_pass=4").stdout.splitlines()
    assert shown[-1] == "12 jobs in 4 processes, 2 at a time: up to 4 seeds in one pass"
    assert sum("to be trained" in line for line in shown) == 12
    assert cli(*common).stdout.splitlines()[-1].endswith("to be trained")


@pytest.mark.parametrize(
    ("accelerator", "units", "says"),
    [
        ("cpu", [128], None),
        ("cpu", [512, 256], "a step has 102 MFLOP, and it is worth it up to 50"),
        ("gpu", [512, 256], None),
        ("gpu", [1024, 512], "a step has 304 MFLOP, and it is worth it up to 110"),
        ("mps", [8], "auto knows nothing of trainer.accelerator=mps"),
    ],
)
def test_auto_goes_by_what_a_step_computes_where_it_was_measured(
    accelerator: str, units: list[int], says: str | None
) -> None:
    config = {"trainer": {"accelerator": accelerator}, "data": {"batch_size": 64}}
    about = pytest.raises(NotInOnePassError, match=says) if says else contextlib.nullcontext()
    with about:
        require_gain(FC((1, 16, 16), 10, hidden_features=units), config, (1, 16, 16))


@pytest.mark.parametrize("launcher", ["hydra._internal.core_plugins.basic_launcher.BasicLauncher", "x.Joblib", None])
@pytest.mark.parametrize("size", [1, 2, 64, "auto"])
def test_launchers_of_other_packages_are_told_before_a_job_begins(launcher: str | None, size: int | str) -> None:
    if size in (1, "auto"):
        assert not can_share_steps(size, launcher)
    else:
        with pytest.raises(ConfigError, match=f"seeds_per_pass is {size}; expected 1 or auto, or the launcher"):
            can_share_steps(size, launcher)
    assert can_share_steps(size, "hydra_plugins.vision_baselines_local.LocalLauncher")


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent is gone")
@pytest.mark.parametrize("size", [3, 1])
def test_seeds_whose_sweep_is_killed_all_save(
    tiny: list[str], root: Path, environment: dict[str, str], tmp_path: Path, size: int
) -> None:
    long = ["-m", *tiny, "seed=0,1,2", "name=killed", "n_jobs=3", "trainer.max_epochs=100000", f"seeds_per_pass={size}"]
    command = [sys.executable, str(root / "scripts" / "train.py"), *long, f"paths.output_dir={tmp_path}"]
    sweep = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: sum("epoch 3 " in log.read_text() for log in tmp_path.glob("killed/*/train.log")) == 3)
    finally:
        sweep.kill()
        sweep.wait()
    logs = list(tmp_path.glob("killed/*/train.log"))
    wait_until(lambda: all(read_record(log.parent).status is Status.INTERRUPTED for log in logs))
    for log in logs:
        assert resume_files(log.parent / "checkpoints"), "its state is lost"
        assert "Traceback" not in (log.parent / "output.txt").read_text()


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)
