"""What a sweep cannot be is refused before its first job."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf, open_dict

from hydra_plugins.vision_baselines_local import PairedSweeper
from vision_baselines.cli import messages
from vision_baselines.config.compose import composed, conf_dir
from vision_baselines.config.hydra_part import check_hydra
from vision_baselines.errors import ConfigError
from vision_baselines.jobs.counting import looking_at
from vision_baselines.jobs.launch import launch
from vision_baselines.sweep.around import AroundRuns
from vision_baselines.sweep.checks import require_a_beginning, require_one_sweep
from vision_baselines.sweep.hooks import RunHooks


@pytest.mark.parametrize(
    "jobs",
    [
        [["preview=true"], ["preview=false"]],
        [["seed=0", "n_jobs=1"], ["seed=0", "n_jobs=2"]],
        [["comparison.metric=a/b"], ["comparison.metric=a/c"]],
        [["+fail_fast=true"], ["fail_fast=false"]],
    ],
)
def test_what_a_sweep_as_a_whole_does_has_one_value(jobs: list[list[str]]) -> None:
    with pytest.raises(ConfigError, match="has one, so give it one value"):
        require_one_sweep(jobs)


def test_what_differs_between_jobs_otherwise_is_a_sweep() -> None:
    require_one_sweep([["seed=0", "n_jobs=1"], ["seed=1", "n_jobs=1"]])


def test_of_a_key_that_is_typed_twice_the_last_one_counts() -> None:
    require_one_sweep([["comparison.fresh_seeds=2", f"seed={seed}", "++comparison.fresh_seeds=3"] for seed in (0, 1)])
    with pytest.raises(ConfigError, match="n_jobs is 1, 2"):
        require_one_sweep([["n_jobs=2", "n_jobs=1"], ["n_jobs=1", "n_jobs=2"]])


def test_a_sweep_without_jobs_is_refused() -> None:
    config = SimpleNamespace(hydra=SimpleNamespace(hydra_logging=None, verbose=False))
    with pytest.raises(ConfigError, match="the sweep has no job"):
        launch([], 0, config=config, hydra_context=None, task_function=None, hooks=RunHooks(), slots=1)  # type: ignore[arg-type]


def job(folder: Path, index: int = 0, starts_from: Path | None = None, previous: Any = None) -> Any:
    return SimpleNamespace(folder=folder, index=index, starts_from=starts_from, previous=previous, outcome=None)


def test_two_jobs_in_one_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="jobs 0 and 1 would share the folder x"):
        require_a_beginning([job(tmp_path / "x"), job(tmp_path / "x", 1)])


def test_a_job_that_starts_from_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a job of this sweep nor there"):
        require_a_beginning([job(tmp_path / "x", starts_from=tmp_path / "seed=9")])


@pytest.mark.parametrize("what", ["a job", "a checkpoint of a job", "a folder", "resumed"])
def test_a_job_that_has_what_it_starts_from_is_not(tmp_path: Path, what: str) -> None:
    (tmp_path / "there").mkdir()
    source = {"a job": "y", "a checkpoint of a job": "y/checkpoints/best.ckpt", "a folder": "there"}.get(what, "gone")
    started = "record" if what == "resumed" else None
    require_a_beginning([job(tmp_path / "x", 0, tmp_path / source, started), job(tmp_path / "y", 1)])


@pytest.mark.few(4)
@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("groups", value) for value in ("abc", ["abc"], [["seed=0"], "x"], [1], {"a": 1})),
        *(("max_batch_size", value) for value in (0, -1, "abc", True, 1.5)),
    ],
)
def test_the_sweeper_is_given_what_it_can_use(key: str, value: Any) -> None:
    cfg = composed([], with_hydra=True)
    with open_dict(cfg):
        cfg.hydra.sweeper[key] = value
    with pytest.raises(ConfigError, match=rf"^hydra\.sweeper\.{key} is"):
        check_hydra(cfg, [], [])


@pytest.mark.few(1)
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
@pytest.mark.parametrize("word", ["n_jobs=2", "fail_fast=true"])
def test_what_another_launcher_does_not_heed_is_refused(launcher: str, word: str) -> None:
    words = [f"hydra/launcher={launcher}"]
    check_hydra(composed(words, with_hydra=True), words, [])
    with pytest.raises(ConfigError, match="hydra/launcher=local heeds"):
        check_hydra(composed([*words, word], with_hydra=True), [*words, word], [])


@pytest.mark.few(1)
@pytest.mark.parametrize("key", ["hydra.launcher.setup=[echo]", "+hydra.launcher.parameters.reservation=x"])
def test_what_a_shell_runs_on_a_cluster_is_set_by_the_command_line_alone(key: str) -> None:
    words = ["hydra/launcher=slurm_local", key]
    cfg = composed(words, with_hydra=True)
    check_hydra(cfg, words, [])
    with open_dict(cfg):
        cfg.hydra.overrides.hydra = words[:1]
    with pytest.raises(ConfigError, match="only the command line"):
        check_hydra(cfg, words[:1], [])


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("BasicSweeper does not support sweep type : INTERVAL_SWEEP", "an interval is for a search"),
        (
            "Interpolation key 'seed' not found\n    full_key: data.seed",
            "the config has no seed, which data.seed refers to",
        ),
        ("Environment variable 'NOPE' not found\n    full_key: seed", "seed: the environment variable NOPE is not set"),
        ("Cannot find primary config 'nope'. Config search path:", "there is no config 'nope'"),
        ("Error merging override data.mean={a:1}", "data.mean={a:1} cannot be"),
    ],
)
def test_hydras_words_are_put_in_ours(said: str, answer: str) -> None:
    assert answer in str(messages.one_line(HydraException(said), conf_dir()))


@pytest.mark.parametrize(
    ("word", "is_preview", "n"),
    [("seed=range(0,1000000000000)", False, "1,000,000,000,000"), ("seed=range(0,10001)", True, "10,001"),
     ("optimizer.lr=range(0,1,1e-9)", False, "1,000,000,000")],
)  # fmt: skip
def test_more_jobs_than_can_be_looked_at_are_refused_with_their_number_before_a_list_is_made(
    word: str, is_preview: bool, n: str
) -> None:
    sweeper = SimpleNamespace(runs=AroundRuns(), config=OmegaConf.create({"preview": is_preview}))
    sweeper._grids = lambda overrides: [overrides]
    with pytest.raises(ConfigError, match=rf"^the sweep has {n} jobs.* expected at most 10"):
        PairedSweeper._split(sweeper, OverridesParser.create().parse_overrides([word]), None)  # type: ignore[arg-type]


def test_many_jobs_are_counted_at_once_while_they_are_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    looking_at(999).told(0)
    assert capsys.readouterr().err == ""
    looking_at(1000).told(0)
    assert capsys.readouterr().err == "looking at 1,000 jobs before the first one starts: 0 so far\n"
