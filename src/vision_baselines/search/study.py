"""The study: its trials in the journal, how the next one is chosen, and how the end of one is kept.

A trial is chosen in a study in memory that holds the same trials, and then added to the journal whole, in one line. So
a kill leaves it there with all its values or not at all. The sampler is made anew for each trial, seeded by
``search.sampler_seed`` and the trial's number: what it chooses follows from the trials before it and from nothing that
a kill could lose.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_baselines.errors import ConfigError, StorageError
from vision_baselines.search.space import Space, Value
from vision_baselines.search.storage import JOURNAL_FILE, STUDY, open_storage, why_unusable

if TYPE_CHECKING:
    from typing import Literal

    import optuna
    from optuna.trial import FrozenTrial

PLAN = "plan"
SEED_VALUES = "values"
REASON = "reason"


@dataclass(frozen=True)
class Plan:
    """What a study is: a different one does not go on in the same folder.

    Attributes:
        space: What is searched.
        objectives: Names of what is looked for.
        directions: ``max`` or ``min`` for each.
        seeds: Of each trial, in the order that they are run in.
        sampler: One of `config.search_options.SAMPLERS`.
        sampler_seed: Of the sampler.
        pruner: One of `config.search_options.PRUNERS`.
    """

    space: Space
    objectives: tuple[str, ...]
    directions: tuple[str, ...]
    seeds: tuple[int, ...]
    sampler: str = "tpe"
    sampler_seed: int = 0
    pruner: str = "median"

    def facts(self) -> dict[str, Any]:
        """The plan as it is kept in the study."""
        return {
            **self.space.identity(),
            "objectives": dict(zip(self.objectives, self.directions, strict=True)),
            "seeds": list(self.seeds),
            "sampler": self.sampler,
            "sampler_seed": self.sampler_seed,
            "pruner": self.pruner,
        }

    def grid_size(self) -> int:
        """Number of settings of the whole grid.

        Raises:
            ConfigError: A parameter has no end of values.
        """
        return math.prod(len(one.grid()) for one in self.space.parameters)


@dataclass
class Study:
    """A study in a sweep's folder.

    Attributes:
        plan: What it is.
        storage: The journal.
        optuna: Optuna's view of it.
    """

    plan: Plan
    storage: optuna.storages.JournalStorage
    optuna: optuna.Study = field(repr=False)

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, by number."""
        return self.optuna.get_trials(deepcopy=False)

    def running(self) -> list[int]:
        """Numbers of the trials that have not ended."""
        return [trial.number for trial in self.trials if not trial.state.is_finished()]

    def values_of(self, number: int) -> dict[str, Value]:
        """What a trial sets."""
        return dict(self.trials[number].params)

    def add_next(self) -> int:
        """Choose the next trial and add it; its number."""
        from optuna.trial import TrialState, create_trial

        number = len(self.trials)
        values = next_values(self.plan, self.trials)
        distributions = {one.key: one.distribution() for one in self.plan.space.parameters}
        self.optuna.add_trial(create_trial(state=TrialState.RUNNING, params=values, distributions=distributions))
        return number

    def note_seeds(self, number: int, values: Sequence[Sequence[float]]) -> None:
        """Keep a trial's values of each objective for each seed so far, if they are not kept already."""
        trial, found = self.trials[number], [list(of_seed) for of_seed in values]
        if not trial.state.is_finished() and trial.user_attrs.get(SEED_VALUES, []) != found:
            self.storage.set_trial_user_attr(self._id(number), SEED_VALUES, found)

    def note_steps(self, number: int, values: Mapping[int, float]) -> None:
        """Keep what a trial's finished runs measured, where a journal that was lost does not say it."""
        trial = self.trials[number]
        for step, value in values.items():
            if not trial.state.is_finished() and step not in trial.intermediate_values and math.isfinite(value):
                self.storage.set_trial_intermediate_value(self._id(number), step, value)

    def tell_complete(self, number: int, values: Sequence[float]) -> None:
        """A trial came to its end."""
        self.optuna.tell(number, list(values))

    def tell_pruned(self, number: int, reason: str) -> None:
        """A trial was stopped."""
        from optuna.trial import TrialState

        self._note_reason(number, reason)
        self.optuna.tell(number, state=TrialState.PRUNED)

    def tell_failed(self, number: int, reason: str) -> None:
        """A trial failed or diverged."""
        from optuna.trial import TrialState

        self._note_reason(number, reason)
        self.optuna.tell(number, state=TrialState.FAIL)

    def _note_reason(self, number: int, reason: str) -> None:
        self.storage.set_trial_user_attr(self._id(number), REASON, reason)

    def _id(self, number: int) -> int:
        return trial_id(self.storage, number)


def trial_id(storage: optuna.storages.JournalStorage, number: int) -> int:
    """The storage's own id of a trial.

    Raises:
        KeyError: There is no such trial.
    """
    return storage.get_trial_id_from_study_id_trial_number(storage.get_study_id_from_name(STUDY), number)


def open_study(folder: Path, plan: Plan) -> Study:
    """The study in a sweep's folder, begun if there is none.

    Raises:
        ConfigError: There is one of another plan.
        StorageError: The journal cannot be read or written.
    """
    import optuna

    storage = open_storage(folder)
    try:
        found = optuna.create_study(
            storage=storage, study_name=STUDY, load_if_exists=True, directions=_directions(plan.directions)
        )
        known = found.user_attrs.get(PLAN)
        if known is None and not found.get_trials(deepcopy=False):
            found.set_user_attr(PLAN, json.dumps(plan.facts(), sort_keys=True))
            known = found.user_attrs[PLAN]
        recorded = json.loads(known) if known else {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        path = folder / JOURNAL_FILE
        raise StorageError(f"{path} cannot be used: {why_unusable(path, error)}; move it away to begin anew") from error
    _require_same_plan(recorded, plan.facts(), folder)
    return Study(plan, storage, found)


def next_values(plan: Plan, trials: Sequence[FrozenTrial]) -> dict[str, Value]:
    """What the next trial sets, which follows from the plan and from the trials so far alone."""
    parameters = plan.space.parameters
    if plan.sampler == "grid":
        [found] = islice(product(*(one.grid() for one in parameters)), len(trials), len(trials) + 1)
        return {one.key: value for one, value in zip(parameters, found, strict=True)}
    import optuna

    shadow = optuna.create_study(directions=_directions(plan.directions), sampler=_sampler(plan, len(trials)))
    shadow.add_trials(seen for trial in trials if (seen := _as_seen(trial, trials, plan.directions)) is not None)
    asked = shadow.ask({one.key: one.distribution() for one in parameters})
    return {one.key: one.rounded(asked.params[one.key]) for one in parameters}


def _as_seen(trial: FrozenTrial, trials: Sequence[FrozenTrial], directions: Sequence[str]) -> FrozenTrial | None:
    """A trial as the sampler sees it: Optuna's leave failed ones out, and would try the same again and again.

    With one objective a failed trial is one that was pruned before its first value, which is the worst there is. With
    several, where pruned ones are left out too, it has the worst values that were found.
    """
    from optuna.trial import TrialState, create_trial

    if trial.state is not TrialState.FAIL:
        return trial
    parts: dict[str, Any] = {"params": trial.params, "distributions": trial.distributions}
    if len(directions) == 1:
        return create_trial(state=TrialState.PRUNED, **parts)
    complete = [other.values for other in trials if other.state is TrialState.COMPLETE]
    if not complete:
        return None
    columns = zip(*complete, strict=True)
    worst = [min(found) if mode == "max" else max(found) for found, mode in zip(columns, directions, strict=True)]
    return create_trial(state=TrialState.COMPLETE, values=worst, **parts)


def _sampler(plan: Plan, number: int) -> optuna.samplers.BaseSampler:
    import numpy as np
    from optuna import samplers

    seed = int(np.random.SeedSequence([plan.sampler_seed, number]).generate_state(1)[0])
    if plan.sampler == "random":
        return samplers.RandomSampler(seed=seed)
    if plan.sampler == "gp":
        with warnings.catch_warnings():  # earlier versions of Optuna call it experimental
            warnings.simplefilter("ignore")
            return samplers.GPSampler(seed=seed)
    return samplers.TPESampler(seed=seed, constant_liar=True)


def _directions(modes: Sequence[str]) -> list[Literal["minimize", "maximize"]]:
    return ["maximize" if mode == "max" else "minimize" for mode in modes]


def _require_same_plan(before: Mapping[str, Any], plan: Mapping[str, Any], folder: Path) -> None:
    changed = [
        f"{key} was {_written(before.get(key))} and is {_written(plan.get(key))}"
        for key in plan
        if before.get(key) != plan.get(key)
    ]
    if changed:
        raise ConfigError(
            f"{folder} holds another search ({'; '.join(changed)}); choose another name=…, or type the same as before "
            "(search.trials alone may grow)"
        )


def _written(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {one}" for key, one in value.items()) or "nothing"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return str(value)
