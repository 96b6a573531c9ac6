"""After a sweep the chosen setting on seeds that chose nothing: which jobs follow, and how they stay apart."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from hydra_plugins.vision_baselines_local import PairedSweeper
from vision_baselines.comparison.caveats import caveats
from vision_baselines.comparison.collection import collect
from vision_baselines.comparison.table import tabulate
from vision_baselines.comparison.verdict import headline
from vision_baselines.config.comparison_options import check_comparison, check_fresh_seeds
from vision_baselines.errors import ConfigError, TrainingError
from vision_baselines.report.frames import groups_frame, jobs_frame
from vision_baselines.report.markdown import markdown
from vision_baselines.report.page import page
from vision_baselines.runs.fingerprint import job_name, key_of
from vision_baselines.runs.record import FRESH_SEEDS, Environment, RunRecord, Status, now
from vision_baselines.sweep.around import AroundRuns
from vision_baselines.sweep.fresh import preview, require_a_choice, run_fresh_seeds

ACC = {"cnn": 0.95, "fc": 0.90, "mlp": 0.92}


def record_of(overrides: list[str], acc: float | None = None, **changes) -> RunRecord:
    settings = dict(text.split("=", 1) for text in overrides if not text.startswith("hydra"))
    seed, model = int(settings["seed"]), settings["model"]
    acc = ACC[model] if acc is None else acc
    facts = {
        "name": job_name(overrides),
        "sweep": "demo",
        "status": Status.FINISHED,
        "overrides": [text for text in overrides if not text.startswith("hydra")],
        "config": {"seed": seed},
        "fingerprint": ",".join(text for text in overrides if key_of(text) in ("model", "optimizer.lr")),
        "seed": seed,
        "started_at": now(),
        "environment": Environment(
            versions={}, python="3.13", platform="Linux", cpu_capability="AVX2", threads=1, device="cpu"
        ),
        "confusion": [[9, 1], [0, 10]],
        "metrics": {"val/acc": acc + 1e-4 * seed, "test/acc": acc - 0.01 + 2e-4 * seed * len(model)},
    }
    return RunRecord(**(facts | changes))


@pytest.fixture
def sweep(tmp_path):
    """Three models with three seeds each, finished; and a launcher that keeps what it was given and finishes it."""
    folder = tmp_path / "demo"
    for model in ACC:
        for seed in range(3):
            found = record_of([f"model={model}", f"seed={seed}", "rerun=true", "name=demo"])
            found.write(folder / found.name)
    launched: list[list[str]] = []

    def launch(jobs, initial_job_idx):
        launched.extend(jobs)
        for overrides in jobs:
            found = record_of(overrides)
            found.write(folder / FRESH_SEEDS / found.name)
        return [SimpleNamespace(return_value=0.0) for _ in jobs]

    def config(**options):
        task = ["model=cnn,fc,mlp", "seed=0,1,2", "name=demo", "n_jobs=2", "data.num_workers=0,1"]
        return OmegaConf.create(
            {
                "comparison": {"fresh_seeds": 3, "group_by": None, "metric": None, "select": None} | options,
                "hydra": {"sweep": {"dir": str(folder)}, "overrides": {"task": task}},
            }
        )

    def run(**options):
        launched.clear()
        run_fresh_seeds(launch, config=config(**options), hydra_context=SimpleNamespace(config_loader=None))
        return list(launched)

    return SimpleNamespace(folder=folder, run=run, launch=launch, config=config)


def seeds(jobs):
    return [text.partition("=")[2] for job in jobs for text in job if key_of(text) == "seed"]


def test_the_chosen_setting_is_trained_on_seeds_that_no_group_has_used(sweep):
    jobs = sweep.run()

    assert seeds(jobs) == ["3", "4", "5"]
    for job in jobs:
        assert job[0] == "model=cnn"
        assert "rerun=true" not in job  # of an earlier command
        assert {"name=demo", "n_jobs=2"} <= set(job)  # of this one
        assert not any(key_of(text) == "data.num_workers" for text in job)
        assert job[-1].startswith(f"hydra.sweep.subdir='{FRESH_SEEDS}/")


def test_the_same_command_again_asks_for_the_same_jobs(sweep):
    assert sweep.run() == sweep.run()


def test_a_seed_that_one_group_alone_has_used_is_not_fresh(sweep):
    record_of(["model=fc", "seed=4"]).write(sweep.folder / "model=fc,seed=4")

    assert seeds(sweep.run()) == ["3", "5", "6"]


def test_the_metric_that_selects_decides_what_is_trained(sweep):
    for path in sweep.folder.glob("*/run.json"):
        found = RunRecord.model_validate_json(path.read_bytes())
        found.metrics["val/loss"] = {"mlp": 0.1}.get(found.fingerprint.removeprefix("model="), 0.5)
        found.write(path.parent)

    assert {job[0] for job in sweep.run(select="val/loss")} == {"model=mlp"}


@pytest.mark.parametrize("case", ["one group", "no validation metric", "nothing there"])
def test_where_nothing_is_chosen_nothing_is_trained_and_it_is_said(sweep, case, capsys):
    for path in sweep.folder.glob("*/run.json"):
        found = RunRecord.model_validate_json(path.read_bytes())
        if case == "nothing there" or (case == "one group" and found.fingerprint != "model=cnn"):
            path.unlink()
        elif case == "no validation metric":
            del found.metrics["val/acc"]
            found.write(path.parent)

    assert sweep.run() == []
    assert "none was trained, since no setting was chosen" in capsys.readouterr().out


def test_a_setting_whose_runs_failed_is_not_chosen(sweep):
    for seed in range(3):
        failed = record_of(["model=cnn", f"seed={seed}"], status=Status.FAILED, metrics={})
        failed.write(sweep.folder / f"model=cnn,seed={seed}")

    assert {job[0] for job in sweep.run()} == {"model=mlp"}


def test_each_setting_of_a_chosen_group_is_trained(sweep):
    for lr in (1, 2):
        for seed in range(3):
            found = record_of(["model=cnn", f"optimizer.lr={lr}", f"seed={seed}"])
            found.write(sweep.folder / found.name)
    jobs = sweep.run(group_by="model", fresh_seeds=2)

    assert sorted((job[0], job[1]) for job in jobs if "optimizer" in job[1]) == [
        ("model=cnn", f"optimizer.lr={lr}") for lr in (1, 1, 2, 2)
    ]


def test_a_job_that_fails_there_fails_the_sweep(sweep):
    def failing(jobs, initial_job_idx):
        class Failed:
            @property
            def return_value(self):
                raise TrainingError("it diverged")

        return [Failed()]

    with pytest.raises(TrainingError, match="it diverged"):
        run_fresh_seeds(failing, config=sweep.config(), hydra_context=SimpleNamespace(config_loader=None))


def test_fresh_runs_choose_nothing_and_are_what_is_reported(sweep):
    before = tabulate(collect([sweep.folder]))
    sweep.run()
    table = tabulate(collect([sweep.folder]))

    assert table.rows == before.rows
    assert [row.label for row in table.shown()] == ["model=cnn", "model=mlp", "model=fc", "fresh seeds of model=cnn"]
    assert {repetition.seed for repetition in table.reported.values("test/acc")} == {3, 4, 5}
    assert table.n_finished == 9
    assert len(table.jobs) == 12
    mean = table.metric.written(table.reported.metrics["test/acc"].mean).removesuffix("%")
    assert f"among 3 settings, has a test accuracy of {mean} ± " in headline(table)
    assert "on 3 seeds that chose nothing; on the seeds that chose it, it beats model=fc" in headline(table)
    assert not any("optimism" in caveat for caveat in caveats(table))
    assert any("optimism" in caveat for caveat in caveats(before))


def test_every_form_of_the_comparison_has_a_line_of_its_own_for_them(sweep):
    sweep.run()
    table = tabulate(collect([sweep.folder]))

    assert groups_frame(table)["group"].tolist()[-1] == "fresh seeds of model=cnn"
    assert len(jobs_frame(table)) == 12
    assert "| fresh seeds of model=cnn |" in markdown(table)
    assert "<b>3</b> on fresh seeds" in page(table, None)


def test_of_a_group_and_its_baseline_the_one_that_was_trained_afresh_was_chosen(sweep):
    for path in sweep.folder.glob("model=mlp*/run.json"):
        path.unlink()

    assert tabulate(collect([sweep.folder])).choice is None
    sweep.run()
    assert "model=cnn, chosen by validation accuracy among 2 settings" in headline(tabulate(collect([sweep.folder])))


def test_seeds_that_groups_use_later_are_fresh_no_longer(sweep):
    sweep.run()
    for model in ACC:
        record_of([f"model={model}", "seed=3"]).write(sweep.folder / f"model={model},seed=3")
    table = tabulate(collect([sweep.folder]))

    assert {repetition.seed for repetition in table.reported.values("test/acc")} == {4, 5}
    assert any("1 run on fresh seeds left out" in caveat for caveat in caveats(table))
    assert len(jobs_frame(table)) == 15
    assert "seeds that are fresh no longer" in page(table, None)
    assert seeds(sweep.run()) == ["4", "5", "6"]


def test_the_folder_of_fresh_runs_can_be_compared_by_itself(sweep):
    sweep.run()

    assert [row.label for row in tabulate(collect([Path(sweep.folder / FRESH_SEEDS)])).rows] == ["model=cnn"]


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "three", 1001])
def test_a_number_of_fresh_seeds_that_is_none_is_refused(value):
    with pytest.raises(ConfigError, match=r"comparison\.fresh_seeds is .*whole number from 1 to 1000"):
        check_comparison({"comparison": {"fresh_seeds": value}})


def test_without_validation_nothing_could_choose_and_it_is_refused():
    with pytest.raises(ConfigError, match=r"data\.val_size=0 leaves nothing to choose by"):
        check_comparison({"comparison": {"fresh_seeds": 3}, "data": {"val_size": 0}})


@pytest.mark.parametrize(
    ("sweeper", "options", "message"),
    [
        ("hydra_plugins.hydra_optuna_sweeper.OptunaSweeper", {}, "needs hydra/sweeper=paired"),
        ("hydra_plugins.vision_baselines_local.PairedSweeper", {"group_by": "model,seed"}, "group_by names seed"),
        ("hydra_plugins.vision_baselines_local.PairedSweeper", {"chance_level": "uniform"}, "leaves .* no choice"),
        ("hydra_plugins.vision_baselines_local.PairedSweeper", {}, ""),
    ],
)
def test_a_sweep_that_could_not_train_them_is_refused(sweeper, options, message):
    cfg = OmegaConf.create({"comparison": {"fresh_seeds": 3} | options, "hydra": {"sweeper": {"_target_": sweeper}}})
    if not message:
        assert check_fresh_seeds(cfg) is None
        return
    with pytest.raises(ConfigError, match=message):
        check_fresh_seeds(cfg)


@pytest.mark.parametrize("n", [1, 2])
def test_a_sweep_of_one_setting_is_refused_before_anything_is_trained(sweep, n):
    config = sweep.config()
    config.hydra.sweep.dir = str(sweep.folder.parent / "new")
    jobs = [["model=cnn", f"seed={seed}", "name=demo"] for seed in range(n)]
    with pytest.raises(ConfigError, match="this sweep has one alone"):
        require_a_choice(jobs, config)
    require_a_choice([*jobs, ["model=fc", "seed=0"]], config)
    require_a_choice(jobs, sweep.config())  # whose folder has others to choose among


@pytest.mark.parametrize("is_preview", [False, True])
def test_the_sweeper_refuses_a_single_setting(sweep, is_preview):
    sweeper = PairedSweeper.__new__(PairedSweeper)  # without Hydra's set-up of plugins
    sweeper.groups, sweeper.runs, sweeper.launcher = [], AroundRuns(), None
    sweeper.config = sweep.config()
    sweeper.config.preview = is_preview
    sweeper.config.hydra.sweep.dir = str(sweep.folder.parent / "new")
    words = OverridesParser.create().parse_overrides(["model=cnn", "seed=0,1"])
    with pytest.raises(ConfigError, match="this sweep has one alone"):
        sweeper.split_arguments(words, None)


def test_the_page_says_why_nothing_was_chosen(sweep, capsys):
    for path in sweep.folder.glob("*/run.json"):
        found = RunRecord.model_validate_json(path.read_bytes())
        found.config["comparison"] = {"fresh_seeds": 1}
        if found.fingerprint != "model=cnn":
            found.status, found.metrics = Status.FAILED, {}
        found.write(path.parent)
    assert sweep.run() == []
    reason = "1 of 3 groups can be ranked, and a choice needs two"
    assert reason in " ".join(capsys.readouterr().out.split())
    assert reason in markdown(tabulate(collect([sweep.folder])))


def test_seeds_that_are_finished_are_not_called_jobs_that_follow(sweep, capsys):
    preview(sweep.config(fresh_seeds=1))
    assert "up to 1 more job follows:" in (out := capsys.readouterr().out)
    assert "none does" not in out
    sweep.run()
    assert "model=cnn was chosen; it is trained on seeds" in capsys.readouterr().out
    sweep.run()
    assert "model=cnn was chosen; it was trained on seeds" in capsys.readouterr().out
    preview(sweep.config())
    assert "as long as that is model=cnn, none does, finished: 3, 4, 5" in " ".join(capsys.readouterr().out.split())


def test_fresh_seeds_that_only_guess_are_named_too(sweep):
    sweep.run()
    for path in sweep.folder.glob(f"{FRESH_SEEDS}/*/run.json"):
        found = RunRecord.model_validate_json(path.read_bytes())
        found.confusion, found.metrics["test/acc"] = [[10, 0], [10, 0]], 0.5
        found.write(path.parent)
    [said] = [caveat for caveat in caveats(tabulate(collect([sweep.folder]))) if "always guessing" in caveat]
    assert "fresh seeds of model=cnn" in said
