"""Jobs that differ in numbers alone are planned from the first of them, and are what they would be planned alone."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf
from tests.jobs.conftest import Counting
from tests.test_experiments import EXPERIMENTS, jobs_of, options_of

from vision_baselines.config.compose import conf_dir, register_resolvers
from vision_baselines.config.trust import checked
from vision_baselines.errors import ConfigError
from vision_baselines.jobs import looking
from vision_baselines.jobs.hooks import Hooks
from vision_baselines.jobs.job import unpacked
from vision_baselines.sweep.hooks import RunHooks

NUMBERS = {
    "seed": [0, 1, 2, 3],
    "optimizer.lr": [1e-3, 2e-3, 5e-4],
    "trainer.max_epochs": [1, 2, 3],
    "data.batch_size": [16, 32],
    "data.split_seed": [1, 2, 3],
    "++model.dropout": [0.1, 0.2],
    "threads": [1, 2],
    "data.source.val_size": [100, 120],
}


class Full(RunHooks):
    """Each job is asked of `job`."""

    def job_like(self, first, index, overrides, numbers):
        return None

    def is_number_only(self, key):
        return False


@pytest.fixture
def sweep(tmp_path):
    """``sweep(jobs, *typed, hooks=…)``: the jobs, and how many configs were composed in full."""
    register_resolvers()
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    with checked(), initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()

        def planned(jobs, *typed, hooks=None):
            common = ["name=planned", f"paths.output_dir={tmp_path}", "paths.root_dir=" + str(tmp_path), *typed]
            master = loader.load_configuration("train", common, RunMode.MULTIRUN)
            counting = Counting(loader)
            context = SimpleNamespace(config_loader=counting)
            own = hooks or RunHooks()
            own.starts_early = False
            found = looking.looked_at(
                [[*common, *job] for job in jobs], 0, config=master, hydra_context=context, hooks=own
            )
            return found, counting.count

        yield planned
    GlobalHydra.instance().hydra = before


def grid(**axes):
    keys = [key.replace("__", ".") for key in axes]
    return [[f"{k}={v}" for k, v in zip(keys, values, strict=True)] for values in itertools.product(*axes.values())]


def drawn(case: int) -> list[list[str]]:
    """Jobs over some keys' numbers and some texts, in any order."""
    draw = random.Random(case)
    keys = draw.sample(list(NUMBERS), draw.randint(1, 3))
    axes = {key: draw.sample(NUMBERS[key], 2) for key in keys}
    if draw.random() < 0.6:
        axes["model"] = draw.choice([["fc", "cnn"], ["cnn"]])
    if draw.random() < 0.5:
        axes[draw.choice(["optimizer", "augment"])] = []
        axes = {k: v or (["sgd", "adamw"] if k == "optimizer" else ["none", "shift"]) for k, v in axes.items()}
    jobs = [[f"{k}={v}" for k, v in zip(axes, values, strict=True)] for values in itertools.product(*axes.values())]
    draw.shuffle(jobs)
    return jobs[:8]


def texts(job):
    facts = {name: value for name, value in vars(job).items() if name != "packed_config"}
    config = OmegaConf.to_container(unpacked(job.packed_config), resolve=False)
    return facts, config


@pytest.mark.slow
@pytest.mark.ci(every=9)
@pytest.mark.parametrize("case", range(16))
def test_a_job_that_is_like_another_one_is_what_it_is_alone(sweep, case):
    jobs = drawn(case)
    found, _ = sweep(jobs)
    alone, in_full = sweep(jobs, hooks=Full())
    assert in_full == len(jobs)
    assert [texts(job) for job in found] == [texts(job) for job in alone]


@pytest.mark.few(1)
@pytest.mark.ci(every=3)
@pytest.mark.parametrize(
    ("typed", "axes"),
    [
        (["data.image_shape=[1,${data.resize},${data.resize}]"], {"data__resize": [20, 24, 28]}),
        (
            ["model=cnn", "model.channels=[${data.batch_size},${threads}]"],
            {"data__batch_size": [8, 16], "threads": [1, 2]},
        ),
        (
            ["+callbacks.a={_target_: pytorch_lightning.callbacks.Timer, duration: [{b: [0, ${seed}]}, ${optimizer}]}"],
            {"optimizer__lr": [0.1, 0.2], "seed": [4, 5]},
        ),
    ],
    ids=["image size", "channels", "lists in mappings in lists"],
)
def test_a_number_that_gets_into_a_list_does_so_in_every_job(sweep, typed, axes):
    jobs = grid(**axes)
    found, in_full = sweep(jobs, *typed)
    alone, _ = sweep(jobs, *typed, hooks=Full())
    assert in_full <= 1 + len(axes)
    assert [texts(job) for job in found] == [texts(job) for job in alone]
    assert len({job.fingerprint for job in found}) == len(jobs)


def test_jobs_of_a_grid_are_composed_four_times_and_a_mistake_in_the_last_is_refused(sweep):
    jobs = grid(model=["fc", "cnn"], seed=range(7), optimizer__lr=[1e-3, 2e-3, 3e-3])
    found, in_full = sweep(jobs)
    assert in_full == 4  # the first of each net, and the first in which each key differs
    assert len({job.fingerprint for job in found}) == len({job.folder for job in found}) == 42
    with pytest.raises(ConfigError, match=r"optimizer\.lr is -1\.0"):
        sweep([*jobs[:20], ["model=fc", "seed=7", "optimizer.lr=-1.0"]])
    with pytest.raises(ConfigError, match="seed is"):
        sweep([*grid(seed=range(5)), ["seed=4294967296"]])


@pytest.mark.slow
@pytest.mark.ci(every=33)
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_jobs_of_an_experiment_are_what_they_are_alone(sweep, experiment, tmp_path):
    every = [
        [f"seed={seed}" if text == "seed=0" else text for text in job]
        for seed in range(3)
        for job in jobs_of(experiment)
    ]
    jobs = random.Random(experiment).sample(every, min(8, len(every)))
    typed = [f"experiment={experiment}", *options_of(experiment, tmp_path)]
    found, _ = sweep(jobs, *typed)
    alone, _ = sweep(jobs, *typed, hooks=Full())
    assert [texts(job) for job in found] == [texts(job) for job in alone]


@pytest.mark.slow
@pytest.mark.ci(every=3)
@pytest.mark.parametrize(
    "typed",
    [
        ["notes='${seed} of ${trainer.max_epochs}'"],  # a number in a text
        ["+notes_of.lr=\"${oc.decode:'${seed}'}\""],
        ["hydra.sweep.subdir=${hydra.job.num}"],
        ["notes=${hydra:job.name}"],
    ],
)
def test_where_a_number_could_get_anywhere_each_job_is_planned_alone(sweep, typed):
    jobs = grid(seed=range(4))
    hooks = RunHooks()
    made = []
    hooks.job_like = lambda *given: made.append(RunHooks.job_like(hooks, *given)) or made[-1]
    found, _ = sweep(jobs, *typed, hooks=hooks)
    alone, _ = sweep(jobs, *typed, hooks=Full())
    assert made
    assert not any(made)
    assert [texts(job) for job in found] == [texts(job) for job in alone]


@pytest.mark.slow
@pytest.mark.ci
def test_what_is_made_wrong_once_is_made_no_more(sweep):
    hooks, asked = RunHooks(), []

    def wrong(first, index, overrides, numbers):
        asked.append(index)
        job = RunHooks.job_like(hooks, first, index, overrides, numbers)
        job.fingerprint = "wrong"
        return job

    hooks.job_like = wrong
    found, _ = sweep(grid(seed=range(5)), hooks=hooks)
    assert asked == [1]
    assert len({job.fingerprint for job in found}) == 5


@pytest.mark.slow
def test_a_finished_job_is_known_from_its_record_in_either_way(sweep, tmp_path):
    [job], _ = sweep([["seed=3", "model=fc"]])
    from vision_baselines.runs.record import Environment, RunRecord, Status, now

    config = OmegaConf.to_container(unpacked(job.packed_config), resolve=False)
    RunRecord(
        name=job.folder.name, sweep="planned", status=Status.FINISHED, overrides=job.task,
        config={"seed": config["seed"]},
        fingerprint=job.fingerprint, seed=3, started_at=now(), metrics={"val/acc": 0.5},
        environment=Environment(versions={}, python="", platform="", cpu_capability="", threads=1, device="cpu"),
    ).write(job.folder)  # fmt: skip
    found, _ = sweep([["seed=" + str(seed), "model=fc"] for seed in range(5)])
    assert [job.outcome is not None for job in found] == [False, False, False, True, False]


def test_hooks_that_make_no_jobs_from_others_are_not_told_what_differs(sweep):
    class Plain(Hooks):
        def job(self, index, overrides, composed):
            return super().job(index, overrides, composed)

    jobs, _ = sweep(grid(seed=range(3)), hooks=Plain())
    assert [unpacked(job.packed_config).seed for job in jobs] == [0, 1, 2]
