"""What is of a sweep alone is refused of a single run where it was typed, and said where a file set it."""

from __future__ import annotations

import pytest

from vision_baselines.config.compose import composed_run
from vision_baselines.config.of_sweeps import require_of_run
from vision_baselines.errors import ConfigError


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "word",
    [
        "seeds_per_pass=2",
        "n_jobs=2",
        "fail_fast=true",
        "gpus_per_job=0.5",
        "comparison.baseline=x",
        "comparison.fresh_seeds=2",
        "search.trials=3",
        "hydra/launcher=slurm_local",
        "hydra/sweeper=search",
        "hydra.launcher.n_jobs=2",
    ],
)
def test_a_typed_key_of_a_sweep_is_refused_in_one_line_that_names_it(word):
    cfg = composed_run([word])
    with pytest.raises(ConfigError) as refused:
        require_of_run(cfg)
    assert str(refused.value) == f"{word} has no effect in a single run; add -m for a sweep, or leave it out"


@pytest.mark.few(2)
@pytest.mark.parametrize("word", ["seeds_per_pass=auto", "n_jobs=null", "fail_fast=false", "rerun=true", "seed=3"])
def test_what_asks_for_nothing_or_has_an_effect_is_not(word):
    assert require_of_run(composed_run([word])) == ""


def test_what_an_experiment_sets_is_said_and_trained_all_the_same():
    said = require_of_run(composed_run(["experiment=kernel_size"]))
    assert said == "no effect in a single run; -m makes a sweep of it: comparison.baseline, hydra.sweeper.params"


def test_what_a_debug_option_brings_for_its_sweeps_is_not_said():
    assert require_of_run(composed_run(["debug=quick"])) == ""
