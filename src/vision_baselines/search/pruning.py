"""Which trials cannot win: Optuna's pruners, asked by epoch within a seed and by seed within a trial.

Optuna's pruners look at one series of values for each trial. A trial here has one for each of its seeds, and one over
its seeds. So a pruner is asked in a study in memory that holds the series in question alone, and values of one seed are
compared with those of the same seed. In the journal, where a dashboard draws them, the value of epoch `e` and seed `s`
of `n` is at step ``e × n + s``, which tells both whatever the number of epochs is.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from vision_baselines.search.study import SEED_VALUES

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

Series = Mapping[int, float]


def step_of(epoch: int, place: int, n_seeds: int) -> int:
    """Where the journal keeps the value of an epoch of the seed at `place`."""
    return epoch * n_seeds + place


def by_epoch(trial: FrozenTrial, place: int, n_seeds: int) -> dict[int, float]:
    """A trial's values of one seed, by epoch."""
    return {
        step // n_seeds: value for step, value in sorted(trial.intermediate_values.items()) if step % n_seeds == place
    }


def prunes_epoch(pruner: str, trials: Sequence[FrozenTrial], number: int, place: int, n_seeds: int, mode: str) -> bool:
    """Whether a trial is stopped at the latest epoch of its seed at `place`: it is behind most trials there."""
    return pruner == "median" and _asked(pruner, trials, number, mode, lambda trial: by_epoch(trial, place, n_seeds))


def prunes_seeds(pruner: str, trials: Sequence[FrozenTrial], number: int, mode: str) -> bool:
    """Whether a trial is stopped after the seeds that it has: by its mean so far, or by seeds in pairs."""
    means = pruner == "median"
    return pruner != "none" and _asked(pruner, trials, number, mode, lambda trial: _by_seed(trial, means=means))


def _by_seed(trial: FrozenTrial, *, means: bool) -> dict[int, float]:
    values = [found[0] for found in trial.user_attrs.get(SEED_VALUES, [])]
    if means:
        values = [total / (place + 1) for place, total in enumerate(accumulate(values))]
    return dict(enumerate(values))


def _asked(
    pruner: str, trials: Sequence[FrozenTrial], number: int, mode: str, series_of: Callable[[FrozenTrial], Series]
) -> bool:
    import optuna
    from optuna.trial import TrialState, create_trial

    study = optuna.create_study(direction="maximize" if mode == "max" else "minimize")
    for trial in trials:
        series = series_of(trial)
        if trial.state is TrialState.COMPLETE and series and all(map(math.isfinite, series.values())):
            study.add_trial(create_trial(value=trial.value, intermediate_values=dict(series)))
    asked = create_trial(state=TrialState.RUNNING, intermediate_values=dict(series_of(trials[number])))
    return bool(_pruner(pruner).prune(study, asked))


def _pruner(name: str) -> optuna.pruners.BasePruner:
    from optuna import pruners

    if name == "wilcoxon":
        with warnings.catch_warnings():  # Optuna calls it experimental
            warnings.simplefilter("ignore")
            return pruners.WilcoxonPruner(p_threshold=0.1)
    return pruners.MedianPruner(n_startup_trials=5)
