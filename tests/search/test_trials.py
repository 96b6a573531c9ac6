"""How a study goes on: rounds, seeds, pruning, failures, several objectives, and what it tells the sampler."""

from __future__ import annotations

from statistics import fmean
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from vision_baselines.comparison.search import Search, SearchTrial, read_search
from vision_baselines.errors import ConfigError
from vision_baselines.search.pruning import by_epoch, prunes_epoch, prunes_seeds, step_of
from vision_baselines.search.results import result_of
from vision_baselines.search.study import SEED_VALUES, Plan, next_values
from vision_baselines.search.trials import Trials
from vision_baselines.sweep.hooks import RunHooks


def states(study):
    return [trial.state.name for trial in study.trials]


def test_a_trial_is_the_mean_over_its_seeds_which_run_in_their_order(sweep):
    study = sweep.run(n=4, seeds=[7, 3, 5], pruner="none")
    complete = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    assert complete
    for trial in complete:
        assert trial.value == fmean(value for [value] in trial.user_attrs[SEED_VALUES])
        mine = [job for job in sweep.launched if f"search.trial={trial.number}" in job]
        assert [text for job in mine for text in job if text.startswith("seed=")] == ["seed=7", "seed=3", "seed=5"]
        assert len({tuple(text for text in job if not text.startswith("seed=")) for job in mine}) == 1


@pytest.mark.few(1)
@pytest.mark.parametrize("slots", [3, 1])
def test_rounds_are_as_wide_as_the_launcher_and_said_once(sweep, slots, capsys):
    sweep.diverges = lambda settings: False
    study = sweep.run(n=4, seeds=2, slots=slots, pruner="none")
    assert len(study.trials) == 4
    assert max(sweep.rounds) == slots
    assert sum(sweep.rounds) == 8
    said = capsys.readouterr().out
    for number in range(4):
        assert said.count(f"trial {number} of 4: ") == 1
        assert said.count(f"trial {number} of 4 goes on: seed=1\n") == 1


@pytest.mark.slow
@pytest.mark.ci
def test_a_trial_that_cannot_win_is_stopped_by_epoch_and_by_seed(sweep):
    study = sweep.run(n=20, seeds=3)
    pruned = [trial for trial in study.trials if trial.state is TrialState.PRUNED]
    assert pruned
    best = study.optuna.best_trial
    assert all(trial.number > 4 for trial in pruned)  # the first five are what others are compared with
    for trial in pruned:
        assert trial.user_attrs["reason"].startswith("pruned after ")
        assert all(value <= best.value for [value] in trial.user_attrs.get(SEED_VALUES, []))
    unpruned = sum(3 for trial in study.trials if trial.state is TrialState.COMPLETE)
    assert len(sweep.launched) < 3 * 20
    assert len(sweep.finished) >= unpruned


def test_a_trial_that_is_stopped_between_seeds_has_the_folders_of_those_that_it_ran(sweep, monkeypatch):
    monkeypatch.setattr(Trials, "_cannot_win", lambda *_: True)
    sweep.diverges = lambda settings: False
    sweep.run(n=2, seeds=3)
    for trial in read_search(sweep.folder).trials:
        assert trial.reason == "pruned after 1 of 3 seeds"
        [name] = trial.folders
        assert (sweep.folder / name).is_dir()


def test_failed_and_diverged_trials_are_told_and_the_study_goes_on(sweep):
    sweep.fails = lambda settings, seed: RuntimeError("boom") if settings["model.channels"] == "[32,64]" else None
    study = sweep.run(n=6, seeds=1)
    failed = [trial for trial in study.trials if trial.state is TrialState.FAIL]
    assert {trial.user_attrs["reason"] for trial in failed} == {"boom", "the loss became nan"}
    assert any(trial.state is TrialState.COMPLETE for trial in study.trials)
    assert len(study.trials) == 6
    told = read_search(sweep.folder)
    assert {trial.reason for trial in told.of_state("failed")} == {"boom", "the loss became nan"}


@pytest.mark.slow
def test_a_sampler_learns_from_failures():
    """Where one half of the space fails always, it is chosen less than by chance; without the failures it is not."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from vision_baselines.search.space import space_of

    space = space_of(OverridesParser.create().parse_overrides(["x=interval(0,1)"]))
    plan = Plan(space, ("val/acc",), ("max",), (0,))
    distribution = {"x": space.parameters[0].distribution()}
    trials, chosen = [], []
    for number in range(60):
        x = next_values(plan, trials)["x"]
        chosen.append(x)
        state = TrialState.FAIL if x > 0.5 else TrialState.COMPLETE
        value = None if x > 0.5 else 0.5  # nothing else to learn
        trial = create_trial(state=state, value=value, params={"x": x}, distributions=distribution)
        trial.number = number
        trials.append(trial)
    assert sum(x > 0.5 for x in chosen[20:]) < 15


def test_a_job_that_leaves_no_record_is_a_failed_trial_and_is_not_asked_for_again(sweep, monkeypatch):
    launch = sweep.launch

    def some_are_lost(jobs, index):
        return launch([], index) + [sweep_return(job, launch, sweep) for job in jobs]

    def sweep_return(job, launch, sweep):
        if "search.trial=1" in job:
            from hydra.core.utils import JobReturn, JobStatus

            sweep.launched.append(job)
            return JobReturn(status=JobStatus.FAILED)
        return launch([job], len(sweep.launched))[0]

    monkeypatch.setattr(sweep, "launch", some_are_lost)
    study = sweep.run(n=3, seeds=2)
    assert study.trials[1].state is TrialState.FAIL
    assert study.trials[1].user_attrs["reason"] == "its job failed without a record"
    assert sum("search.trial=1" in job for job in sweep.launched) == 1


def test_the_same_settings_are_trained_once(sweep):
    study = sweep.run(n=6, seeds=1, space=("optimizer.lr=0.001,0.01", "model.channels=[16,32]"), sampler="random")
    assert len(study.trials) == 6
    assert len(sweep.finished) == len({trial.params["optimizer.lr"] for trial in study.trials})
    values = {}
    for trial in study.trials:
        assert values.setdefault(trial.params["optimizer.lr"], trial.value) == trial.value


def test_a_grid_is_gone_through_once(sweep):
    space = ("optimizer.lr=0.001,0.01,0.1", "model.channels=choice([16,32],[32,64])")
    study = sweep.run(n=None, seeds=1, space=space, sampler="grid")
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 6 == len(study.trials)
    with pytest.raises(ConfigError, match="the grid has 6 settings"):
        sweep.search(n=7, space=space, sampler="grid")


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_every_sampler_follows_from_its_seed_and_the_trials_alone(sweep, sampler):
    found = [trial.params for trial in sweep.run(n=5, seeds=1, sampler=sampler).trials]
    study = sweep.run(n=5, seeds=1, sampler=sampler)
    assert [next_values(study.plan, study.trials[:number]) for number in range(5)] == found


@pytest.mark.slow
@pytest.mark.ci
def test_several_objectives_give_a_front_and_prune_nothing(sweep, monkeypatch):
    from vision_baselines.search import trials as module

    sizes = {"[16,32]": 100.0, "[32,64]": 400.0}

    def result(folder, number, objectives):
        found = result_of(folder, number, ["val/acc"])
        channels = "[32,64]" if "_32,64_" in folder.name else "[16,32]"
        return found if found.state != "finished" else type(found)("finished", (*found.values, sizes[channels]))

    monkeypatch.setattr(module, "result_of", result)
    monkeypatch.setattr(module, "objectives_and_directions", lambda plan: (("val/acc", "parameters"), ("max", "min")))
    study = sweep.run(n=12, seeds=1, objectives=["val/acc", "parameters"])
    assert "PRUNED" not in states(study)
    written = read_search(sweep.folder)
    assert {trial.number for trial in written.front()} == {trial.number for trial in study.optuna.best_trials}


def test_a_front_of_one_objective_is_the_best_trial():
    trials = [
        SearchTrial(number=n, state="complete", settings={"x": n}, values=[v]) for n, v in enumerate([0.5, 0.9, 0.9])
    ]
    facts = {"seeds": [0], "sampler": "tpe", "sampler_seed": 0, "pruner": "none", "wanted": 3, "parameters": []}
    assert [t.number for t in Search(objectives={"val/acc": "max"}, trials=trials, **facts).front()] == [1]
    assert [t.number for t in Search(objectives={"val/loss": "min"}, trials=trials, **facts).front()] == [0]


def trial_with(values, *, seeds=(), state=TrialState.COMPLETE, value=0.5):
    return create_trial(
        state=state,
        value=value if state is TrialState.COMPLETE else None,
        intermediate_values=values,
        user_attrs={SEED_VALUES: [[one] for one in seeds]},
    )


def test_values_of_one_seed_are_compared_with_those_of_the_same_seed():
    others = [
        trial_with({step_of(epoch, place, 2): 0.5 + 0.2 * place for epoch in range(3) for place in range(2)})
        for _ in range(5)
    ]
    mine = trial_with({step_of(0, 0, 2): 0.6, step_of(0, 1, 2): 0.65}, state=TrialState.RUNNING)
    assert by_epoch(mine, 1, 2) == {0: 0.65}
    trials = [*others, mine]
    assert not prunes_epoch("median", trials, 5, 0, 2, "max")
    assert prunes_epoch("median", trials, 5, 1, 2, "max")  # 0.65 is above seed 0's 0.5, and below seed 1's 0.7
    assert not prunes_epoch("median", trials, 5, 1, 2, "min")
    assert not prunes_epoch("none", trials, 5, 1, 2, "max")
    assert not prunes_epoch("median", trials[3:], 2, 1, 2, "max")  # too few to compare with


def test_seeds_are_compared_by_their_mean_or_in_pairs():
    others = [trial_with({}, seeds=[0.9, 0.92, 0.91, 0.93, 0.9, 0.92], value=0.91) for _ in range(5)]
    behind = trial_with({}, seeds=[0.85, 0.86, 0.84, 0.85], state=TrialState.RUNNING)
    ahead = trial_with({}, seeds=[0.95, 0.96, 0.94, 0.95], state=TrialState.RUNNING)
    for pruner in ("median", "wilcoxon"):
        assert prunes_seeds(pruner, [*others, behind], 5, "max")
        assert not prunes_seeds(pruner, [*others, ahead], 5, "max")
        assert prunes_seeds(pruner, [*others, ahead], 5, "min")
    assert not prunes_seeds("wilcoxon", [*others, trial_with({}, seeds=[0.1, 0.1, 0.1])], 5, "max")  # p is 0.125
    assert not prunes_seeds("none", [*others, behind], 5, "max")


def test_the_dashboards_storage_is_optunas_own(sweep):
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    study = sweep.run(n=3, seeds=1)
    storage = JournalStorage(JournalFileBackend(str(sweep.folder / "search.journal")))
    loaded = optuna.load_study(study_name="search", storage=storage)
    assert [trial.params for trial in loaded.trials] == [trial.params for trial in study.trials]
    assert loaded.direction.name == "MAXIMIZE"


def test_a_round_of_trials_is_said_by_the_search_and_other_jobs_by_the_launcher():
    def jobs(*typed):
        return [SimpleNamespace(task=["model=fc", text], members=[text], companions=[]) for text in typed]

    assert RunHooks().announced(jobs("search.trial=0", "search.trial=1"), 2) == ""
    assert RunHooks().announced(jobs("search.trials=4"), 1) == "1 job, 1 at a time"
    assert RunHooks().announced(jobs("seed=0", "seed=1"), 2) == "2 jobs, 2 at a time"
