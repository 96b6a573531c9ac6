"""A search that is killed at any write goes on: the same trials, none trained twice, the same best."""

from __future__ import annotations

import itertools
import shutil

import pytest
from optuna.trial import TrialState

from vision_baselines.comparison.search import read_search
from vision_baselines.errors import ConfigError, TrainingError
from vision_baselines.search.storage import JOURNAL_FILE

SPACE = ("optimizer.lr=tag(log,interval(1e-4,1))", "model.channels=choice([16,32],[32,64])")
HOW = ("before", "after", "torn")


def until_it_ends(sweep, kill, points, **options):
    """Run it, killed at each of the points in turn, and then to its end; how often it was killed."""
    kills = 0
    for at, how in points:
        kill.set(at, how)
        try:
            sweep.run(**options)
            break
        except BaseException as error:
            if type(error).__name__ != "KilledError":
                raise
            kills += 1
    kill.set(-1, "after")
    return kills, sweep.run(**options)


@pytest.fixture
def uninterrupted(sweep, kill, tmp_path):
    """``uninterrupted(**options)``: what a search in a folder of its own gives, and how many writes it took."""

    def run(**options):
        folder, sweep.folder = sweep.folder, sweep.folder
        kill.set(-1, "after")
        found = sweep.told(sweep.run(**options))
        writes, trained = kill.count, sorted(sweep.trained)
        sweep.trained, sweep.finished = [], []
        folder.rename(tmp_path / "whole")
        return found, writes, trained

    return run


def compared(sweep, kill, uninterrupted, points, **options):
    whole, writes, trained = uninterrupted(**options)
    kills, study = until_it_ends(sweep, kill, [(at % writes, how) for at, how in points], **options)
    assert sweep.told(study) == whole
    assert len(study.trials) == options.get("n", 8)
    assert len(set(sweep.finished)) == len(sweep.finished)  # no run came to its end twice
    assert set(sweep.trained) == set(trained)
    assert len(sweep.trained) <= len(trained) + kills  # at most the epoch that was lost is trained again
    return study


@pytest.mark.few(1)
@pytest.mark.parametrize(("at", "how"), [(4, "torn"), (11, "before"), (33, "after")])
def test_a_kill_at_any_write_changes_nothing(sweep, kill, uninterrupted, at, how):
    compared(sweep, kill, uninterrupted, [(at, how)], n=5, seeds=1)


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("seeds", [1, 2])
def test_three_kills_at_any_writes_change_nothing(sweep, kill, tmp_path, how, seeds):
    kill.set(-1, "after")
    whole = sweep.told(sweep.run(n=14, seeds=seeds))
    writes, trained = kill.count, set(sweep.trained)
    for at in range(HOW.index(how), writes, 12):
        sweep.trained, sweep.finished = [], []
        sweep.folder = tmp_path / "demo"
        sweep.folder.rename(tmp_path / f"before_{at}_{how}")
        kills, study = until_it_ends(sweep, kill, [(at, how), (5, "after"), (at // 2, "before")], n=14, seeds=seeds)
        assert sweep.told(study) == whole, at
        assert set(sweep.trained) == trained
        assert len(sweep.trained) <= len(trained) + kills
        assert len(set(sweep.finished)) == len(sweep.finished)


def test_a_finished_search_runs_nothing_and_may_grow(sweep):
    first = sweep.told(sweep.run(n=3, seeds=1))
    assert len(first) == 3
    again = sweep.told(sweep.run(n=3, seeds=1))
    assert again == first
    assert sweep.launched == []
    more = sweep.told(sweep.run(n=5, seeds=1))
    assert more[:3] == first
    assert len(more) == 5
    assert [trial.number for trial in read_search(sweep.folder).trials] == [0, 1, 2, 3, 4]


def test_fewer_trials_than_there_are_are_refused_and_nothing_is_written(sweep):
    sweep.run(n=3, seeds=1)
    said = (sweep.folder / "search.json").read_bytes()
    with pytest.raises(ConfigError, match=r"search\.trials is 2, and .* holds 3 trials; expected as many or more"):
        sweep.run(n=2, seeds=1)
    assert (sweep.folder / "search.json").read_bytes() == said
    assert len(sweep.trained) == len(set(sweep.trained))


CHANGES = {
    "parameters": {"space": ("optimizer.lr=tag(log,interval(1e-4,2))", SPACE[1])},
    "fixed": {"space": (*SPACE, "trainer.max_epochs=7")},
    "seeds": {"seeds": 3},
    "sampler": {"sampler": "random"},
    "sampler_seed": {"sampler_seed": 1},
    "pruner": {"pruner": "none"},
}


@pytest.mark.parametrize("key", CHANGES)
def test_another_search_in_the_same_folder_is_refused(sweep, key):
    sweep.run(n=2)
    before = sorted(path.name for path in sweep.folder.iterdir())
    with pytest.raises(ConfigError, match=rf"holds another search \({key} was .* and is "):
        sweep.run(**{"n": 2, **CHANGES[key]})
    assert sorted(path.name for path in sweep.folder.iterdir()) == before
    assert sweep.launched == []


@pytest.mark.slow
@pytest.mark.ci
def test_where_the_journal_is_gone_finished_runs_tell_anew_what_they_measured(sweep, capsys):
    """By a sampler that does not learn, so that the trials are the same; what pruned ones measured is in no record."""
    options = {"n": 20, "seeds": 2, "sampler": "random"}
    whole = sweep.run(**options)
    before = {trial.number: trial for trial in whole.trials}
    pruned = [trial.number for trial in whole.trials if trial.state is TrialState.PRUNED]
    last = max(number for number in pruned if "after epoch" in before[number].user_attrs["reason"])
    assert pruned.index(last) > 0
    for folder in read_search(sweep.folder).trials[last].folders:
        shutil.rmtree(sweep.folder / folder, ignore_errors=True)
    (sweep.folder / JOURNAL_FILE).unlink()
    capsys.readouterr()
    again = sweep.run(**options)
    assert [(trial.state, trial.params) for trial in again.trials] == [
        (trial.state, trial.params) for trial in whole.trials
    ]
    for trial in again.trials:
        if trial.state is TrialState.COMPLETE or trial.number == last:
            assert trial.intermediate_values == before[trial.number].intermediate_values
            assert trial.user_attrs == before[trial.number].user_attrs
    said = capsys.readouterr().out
    assert f"trial {pruned[0]} is pruned as its run was, whose values stood in a journal that is gone" in said


def test_what_makes_no_other_run_may_change(sweep):
    sweep.run(n=2, space=(*SPACE, "n_jobs=1"))
    assert len(sweep.run(n=3, space=(SPACE[1], "n_jobs=2", SPACE[0])).trials) == 3


@pytest.mark.slow
def test_the_trials_follow_from_the_seed_of_the_sampler(sweep, tmp_path):
    found = []
    for place, seed in enumerate([0, 0, 1]):
        sweep.folder = tmp_path / "demo"
        found.append([trial.params for trial in sweep.run(n=12, seeds=1, sampler_seed=seed).trials])
        sweep.folder.rename(tmp_path / str(place))
    assert found[0] == found[1] != found[2]
    for one, other in itertools.combinations(found[0], 2):
        assert one["optimizer.lr"] != other["optimizer.lr"]


@pytest.mark.slow
@pytest.mark.ci
def test_what_is_no_matter_of_the_settings_ends_the_search_and_is_tried_again(sweep):
    class StorageError(Exception):
        pass

    sweep.fails = lambda settings, seed: StorageError("disk full") if len(sweep.launched) > 3 else None
    sweep.diverges = lambda settings: False
    with pytest.raises(TrainingError, match=r"trial 1 failed of what is no matter of its settings.*disk full"):
        sweep.run(n=4)
    sweep.fails = lambda settings, seed: None
    study = sweep.run(n=4)
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"}


def test_a_journal_that_is_none_is_refused(sweep):
    from vision_baselines.errors import StorageError
    from vision_baselines.search.storage import JOURNAL_FILE

    sweep.folder.mkdir()
    for content in (b'{"op_code": 99}\n{"x": 1}\n', b"\xff\xfe\n{}\n", b"[1]\n[2]\n"):
        (sweep.folder / JOURNAL_FILE).write_bytes(content)
        with pytest.raises(StorageError, match=r"search.journal cannot be"):
            sweep.run(n=2)
