"""How long jobs take, from records of the same config but for the seed, else from the work of each."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from vision_baselines.config.compose import composed
from vision_baselines.config.references import plain_config
from vision_baselines.runs.record import Status, Timings
from vision_baselines.sweep.lengths import Length, lengths


def record(seconds, status=Status.FINISHED):
    return SimpleNamespace(status=status, timings=Timings(setup_s=0.5, fit_s=seconds, test_s=0.25))


@pytest.fixture(scope="module")
def plain():
    """``plain(*overrides)``: the plain config of a run on MNIST, composed once a text."""
    known = {}

    def config(*overrides):
        if overrides not in known:
            known[overrides] = plain_config(composed(["data=mnist", *overrides]))
        return known[overrides]

    return config


def like(config, seed):
    return {**config, "seed": seed, "data": {**config["data"], "seed": seed}}


def test_runs_that_differ_in_their_seed_are_of_one_kind_and_epochs_make_another(plain):
    fc, cnn = plain("model=fc"), plain("model=cnn")
    assert Length.of(fc, None) == Length.of(like(fc, 7), None)
    assert Length.of(fc, None).kind != Length.of(cnn, None).kind
    longer = {**fc, "trainer": {**fc["trainer"], "max_epochs": 2 * fc["trainer"]["max_epochs"]}}
    assert Length.of(longer, None).images == 2 * Length.of(fc, None).images
    cut = {**fc, "trainer": {**fc["trainer"], "limit_train_batches": 3, "max_epochs": 2}}
    assert Length.of(cut, None).images == 2 * 3 * fc["data"]["batch_size"]
    assert Length.of(fc, record(9.0)).seconds == 9.75
    assert Length.of(fc, record(9.0, Status.FAILED)).seconds is None


def test_seconds_are_taken_where_there_are_some_and_estimated_at_their_pace_else(plain):
    fc, cnn = plain("model=fc"), plain("model=cnn")
    asked = []

    def flops(places):
        asked.append(places)
        return [{0: 1e6, 1: 8e6}[place] for place in places]

    jobs = [Length.of(fc, None), Length.of(cnn, None)]
    done = [Length.of(like(fc, seed), record(seconds)) for seed, seconds in ((1, 9.25), (2, 11.25), (3, 10.25))]
    assert lengths(jobs, [*jobs, *done], flops) == [11.0, 88.0]
    assert asked == [[0, 1]]
    both = [*done, Length.of(like(cnn, 1), record(39.25))]
    assert lengths(jobs, both, flops) == [11.0, 40.0]
    assert len(asked) == 1  # nothing had to be asked
    assert lengths(jobs, jobs, flops)[1] == 8 * lengths(jobs, jobs, flops)[0]


def test_what_is_known_of_no_job_or_not_of_all_orders_nothing(plain):
    fc, cnn = plain("model=fc"), plain("model=cnn")
    alike = [Length.of(like(fc, seed), None) for seed in range(4)]
    assert lengths(alike, alike, pytest.fail) == [None] * 4  # nobody is asked where all nets and images are the same
    both = [Length.of(fc, None), Length.of(cnn, None)]
    assert lengths(both, both, lambda places: None) == [None, None]
    assert lengths(both, both, lambda places: [1.0, None]) == [None, None]
    unknown = {**fc, "data": {**fc["data"], "source": {"_target_": "my.Source"}}}
    some = [Length.of(cnn, None), Length.of(unknown, None)]
    assert lengths(some, some, pytest.fail) == [None, None]
    # of one data set of unknown size the epochs are enough
    longer = {**unknown, "trainer": {**fc["trainer"], "max_epochs": 3 * fc["trainer"]["max_epochs"]}}
    same = [Length.of(unknown, None), Length.of(longer, None)]
    one, three = lengths(same, same, lambda places: [2.0] * len(places))
    assert three == 3 * one
