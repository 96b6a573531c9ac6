"""A study as its sweep's folder keeps it for comparisons: the schema is `comparison.search`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vision_baselines.comparison.search import Search, SearchParameter, SearchTrial, State
from vision_baselines.search.study import REASON, SEED_VALUES, Study

if TYPE_CHECKING:
    import optuna

_FEWEST = 4  # complete trials of which importances are worth a look


def written(study: Study, *, wanted: int, folders: Mapping[int, Sequence[str]], importances: bool) -> Search:
    """The whole study.

    Args:
        study: What is kept.
        wanted: Number of trials asked for.
        folders: Of each trial's jobs, below the sweep's folder.
        importances: Whether to compute which parameters mattered, which takes a second or two.
    """
    plan = study.plan
    return Search(
        objectives=dict(zip(plan.objectives, plan.directions, strict=True)),  # type: ignore[arg-type]
        seeds=list(plan.seeds),
        sampler=plan.sampler,
        sampler_seed=plan.sampler_seed,
        pruner=plan.pruner,
        wanted=wanted,
        parameters=[
            SearchParameter(key=one.key, choices=list(one.choices), low=one.low, high=one.high, is_log=one.is_log)
            for one in plan.space.parameters
        ],
        trials=[_trial(trial, folders.get(trial.number, ())) for trial in study.trials],
        importances=_importances(study) if importances else {},
    )


def _trial(trial: optuna.trial.FrozenTrial, folders: Sequence[str]) -> SearchTrial:
    states: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    seeds = trial.user_attrs.get(SEED_VALUES, [])
    return SearchTrial(
        number=trial.number,
        state=states.get(trial.state.name, "running"),
        settings=dict(trial.params),
        values=list(trial.values or []),
        seeds=seeds,
        folders=list(folders),
        reason=trial.user_attrs.get(REASON, ""),
    )


def _importances(study: Study) -> dict[str, float]:
    """Share of the first objective's variance that each parameter explains, the largest first."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    complete = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    if len(complete) < _FEWEST or len({trial.values[0] for trial in complete}) < 2:
        return {}
    # several objectives: of the first
    found = get_param_importances(
        study.optuna, evaluator=FanovaImportanceEvaluator(seed=0), target=lambda trial: float(trial.values[0])
    )
    return {key: float(value) for key, value in found.items()}
