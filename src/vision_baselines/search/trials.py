"""A search from its first trial to its last: trials are chosen, run seed by seed, and ended in the study.

Everything follows from the journal and the records. A trial that a kill left open goes on with the same values and the
same number; a job that is finished is not run again. Trials are run in rounds as wide as the launcher runs jobs at a
time; each round has the next seed of every open trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from vision_baselines.comparison.search import settings_text
from vision_baselines.config.plan import RunPlan
from vision_baselines.config.search_options import DEFAULT_TRIALS, TRIAL, check_can_search, seeds_of
from vision_baselines.config.selection import SPLIT
from vision_baselines.errors import ConfigError, StorageError, TrainingError
from vision_baselines.jobs.console import say
from vision_baselines.runs.dotted import select
from vision_baselines.runs.fingerprint import job_name, key_of
from vision_baselines.runs.record import RECORD_FILE
from vision_baselines.search.pruning import by_epoch, prunes_seeds, step_of
from vision_baselines.search.results import Result, objectives_and_directions, result_of
from vision_baselines.search.space import Space, Value
from vision_baselines.search.storage import remove_torn_line, require_optuna
from vision_baselines.search.study import Plan, Study, next_values, open_study
from vision_baselines.search.written import written
from vision_baselines.storage.lock import RunLockedError, exclusive
from vision_baselines.sweep.launcher import Launch, planned_job

_LOCK = ".search.lock"


class Trials:
    """Runs the trials of a search.

    Args:
        space: What is searched.
        launch: Runs jobs; its second argument is the number of jobs before them.
        config: The sweep's.
        hydra_context: Composes the jobs.
        slots: Trials at a time.

    Raises:
        ConfigError: It cannot be searched this way; nothing was started or written.
    """

    def __init__(
        self, space: Space, launch: Launch, *, config: DictConfig, hydra_context: HydraContext, slots: int
    ) -> None:
        require_optuna()
        self.space, self.launch, self.config, self.hydra_context = space, launch, config, hydra_context
        self.folder = Path(str(config.hydra.sweep.dir)).absolute()
        self.options = _plain(config.search)
        self.slots = self.options.get("parallel") or slots
        self.seeds = seeds_of(self.options)
        self.study: Study | None = None
        self._selected: str | None = None
        self._folders: dict[int, list[str]] = {}
        self._places: dict[tuple[int, int], Path] = {}
        self._lost: dict[int, str] = {}
        self._n_launched = 0
        self._just_added: set[int] = set()
        first = {one.key: one.choices[0] if one.choices else one.low for one in space.parameters}
        base = self._planned(first, self.seeds[0], 0)
        check_can_search(base.resolved)
        objectives, directions = objectives_and_directions(base)
        pruner = self.options.get("pruner") or ("median" if len(objectives) == 1 else "none")
        self.plan = Plan(
            space,
            objectives,
            directions,
            tuple(self.seeds),
            self.options["sampler"],
            self.options["sampler_seed"],
            pruner,
        )
        self.wanted = self._wanted()
        if objectives != (f"{SPLIT}{select(base.resolved, 'task.headline')}",) and len(objectives) == 1:
            self._choose_by(objectives[0])

    def run(self) -> list[Sequence[JobReturn]]:
        """Run what is open and what is still to come; what each round returned.

        Raises:
            ConfigError: The folder holds another search, or a run of another config.
            TrainingError: Jobs failed of something that is no matter of their settings.
            Interrupted: SIGINT or SIGTERM; the same command goes on.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with exclusive(self.folder, name=_LOCK):
                return self._run()
        except RunLockedError as error:
            who = f"{self.folder} is being searched by process {error.pid}" if error.pid else str(error)
            raise ConfigError(f"{who}; wait for it") from error

    def preview(self) -> Sequence[JobReturn]:
        """Show the first trial, and say what would follow; nothing is written."""
        self._try_corners()
        returned = self.launch([self._job(next_values(self.plan, []), seed, 0) for seed in self.seeds], 0)
        n = len(self.seeds)
        say(
            f"The first of {self.wanted} trials of {n} seed{'s' * (n > 1)} each, chosen by {self.plan.sampler}; "
            f"{', '.join(self.plan.objectives)} decides, and pruning is by {self.plan.pruner}."
        )
        return returned

    def _run(self) -> list[Sequence[JobReturn]]:
        remove_torn_line(self.folder)
        study = self.study = open_study(self.folder, self.plan)
        if not study.trials:
            self._try_corners()
        returned: list[Sequence[JobReturn]] = []
        for trial in study.trials:
            self._note_folders(trial.number, trial.params)
        if study.trials:
            if self.wanted < len(study.trials):
                raise ConfigError(
                    f"search.trials is {self.wanted}, and {self.folder} holds {len(study.trials)} trials; expected as "
                    "many or more"
                )
            say(f"{len(study.trials) - len(study.running())} of {self.wanted} trials are done already")
        while jobs := self._round(study):
            self._write(study)
            self._say_what_goes_on(jobs)
            found = self.launch(list(jobs.values()), self._n_launched)
            self._n_launched += len(jobs)
            returned.append(found)
            for number, job in zip(jobs, found, strict=True):
                self._look_for_lost(study, number, job)
        self._write(study, importances=True)
        return returned

    def _round(self, study: Study) -> dict[int, list[str]]:
        """The next job of each open trial, by the trial's number; trials are ended and chosen on the way."""
        jobs: dict[int, list[str]] = {}
        folders: set[Path] = set()
        numbers = study.running()
        n_waiting = 0
        while len(jobs) + n_waiting < self.slots:
            if numbers:
                number = numbers.pop(0)
            elif len(study.trials) < self.wanted:
                number = self._add(study)
            else:
                break
            found = self._next_job(study, number)
            if found is not None and found[0] in folders:  # of the same settings as another: after that
                n_waiting += 1
            elif found is not None:
                folders.add(found[0])
                jobs[number] = found[1]
        return jobs

    def _add(self, study: Study) -> int:
        number = study.add_next()
        say(f"trial {number} of {self.wanted}: {settings_text(study.values_of(number))}")
        self._just_added.add(number)
        return number

    def _say_what_goes_on(self, jobs: Mapping[int, Sequence[str]]) -> None:
        """The trials of a round that were added before it, and the seed that each is at."""
        for number in [number for number in jobs if number not in self._just_added]:
            seed = next(text for text in jobs[number] if key_of(text) == "seed")
            say(f"trial {number} of {self.wanted} goes on: {seed}")
        self._just_added.clear()

    def _next_job(self, study: Study, number: int) -> tuple[Path, list[str]] | None:
        """The job that a trial waits for, and its folder; None where the trial is over, which the study learns."""
        values = study.values_of(number)
        found: list[tuple[float, ...]] = []
        for place, seed in enumerate(self.seeds):
            try:
                folder = self._place(values, seed, number)
            except ConfigError as error:
                if (self.folder / job_name(self._job(values, seed, number)) / RECORD_FILE).is_file():
                    raise
                self._fail(study, number, str(error))  # settings that exclude each other
                return None
            self._note_folder(number, folder)
            result = Result("open") if number not in self._lost else Result("failed", reason=self._lost[number])
            if result.state == "open":
                result = result_of(folder, number, self.plan.objectives)
            if result.state == "finished":
                found.append(result.values)
                study.note_steps(number, {step_of(epoch, place, len(self.seeds)): v for epoch, v in result.curve})
                continue
            study.note_seeds(number, found)
            if result.state in ("open", "machine"):
                if found and self._cannot_win(study, number):
                    reason = f"pruned after {len(found)} of {len(self.seeds)} seeds"
                    say(f"trial {number} is {reason}: {self._means(found)}")
                    study.tell_pruned(number, reason)
                    return None
                return folder, self._job(values, seed, number)
            if result.state == "pruned":
                if len(self.plan.objectives) == 1 and not by_epoch(study.trials[number], place, len(self.seeds)):
                    say(f"trial {number} is pruned as its run was, whose values stood in a journal that is gone")
                study.tell_pruned(number, result.reason)
            else:
                self._fail(study, number, result.reason)
            return None
        study.note_seeds(number, found)
        say(f"trial {number} is complete: {self._means(found)}")
        study.tell_complete(number, [fmean(column) for column in zip(*found, strict=True)])
        return None

    def _cannot_win(self, study: Study, number: int) -> bool:
        if len(self.plan.objectives) > 1:
            return False
        return prunes_seeds(self.plan.pruner, study.trials, number, self.plan.directions[0])

    def _fail(self, study: Study, number: int, reason: str) -> None:
        said = " ".join(reason.split())
        say(f"trial {number} failed: {said}")
        study.tell_failed(number, said)

    def _look_for_lost(self, study: Study, number: int, job: JobReturn) -> None:
        """Judge a job that came back without a result.

        Raises:
            TrainingError: What it failed of is no matter of its settings.
        """
        folder = self.folder / self._folders[number][-1]
        result = result_of(folder, number, self.plan.objectives)
        if result.state == "machine":
            self._write(study)
            raise TrainingError(
                f"trial {number} failed of what is no matter of its settings, so the search ends: {result.reason}; "
                "the same command goes on once that is put right"
            )
        if result.state == "open":  # its process left no word, or none that is known
            self._lost[number] = (
                "its job failed without a record" if job.status is JobStatus.FAILED else "its job has no result"
            )

    def _means(self, found: Sequence[Sequence[float]]) -> str:
        means = [fmean(column) for column in zip(*found, strict=True)]
        return ", ".join(f"{name} {value:.5g}" for name, value in zip(self.plan.objectives, means, strict=True))

    def _wanted(self) -> int:
        asked = self.options.get("trials")
        if self.plan.sampler != "grid":
            return int(asked or DEFAULT_TRIALS)
        size = self.plan.grid_size()
        if asked is not None and asked > size:
            raise ConfigError(f"search.trials is {asked} and the grid has {size} settings; expected {size} at most")
        return int(asked or size)

    def _try_corners(self) -> None:
        """Compose a job for each choice and each end of a range, so that what cannot be is refused before the first.

        Raises:
            ConfigError: A value cannot be, or a key is not there beside another value.
        """
        first: dict[str, Value] = {one.key: one.choices[0] if one.choices else one.low for one in self.space.parameters}
        for one in self.space.parameters:
            for value in one.choices or (one.low, one.high):
                values = first | {one.key: value}
                try:
                    plan = self._planned(values, self.seeds[0], 0)
                    if "arch" in plan.resolved.get("model", {}):
                        from vision_baselines.training.first_weights import require_net  # torch takes seconds

                        require_net(plan)
                except (ConfigError, StorageError) as error:
                    raise type(error)(f"{self.space.settings(values)} cannot be: {error}") from error

    def _planned(self, values: Mapping[str, Value], seed: int, number: int) -> RunPlan:
        return planned_job(self._n_launched, self._job(values, seed, number), self.config, self.hydra_context)[1]

    def _place(self, values: Mapping[str, Value], seed: int, number: int) -> Path:
        """The folder of a trial's job, which composing tells once: a round asks for all that came before."""
        if (number, seed) not in self._places:
            self._places[number, seed] = self._planned(values, seed, number).folder
        return self._places[number, seed]

    def _job(self, values: Mapping[str, Value], seed: int, number: int) -> list[str]:
        chosen = [] if self._selected is None else [f"comparison.select={self._selected}"]
        return [*self.space.overrides(values), f"seed={seed}", *chosen, f"{TRIAL}={number}"]

    def _choose_by(self, objective: str) -> None:
        """Let the sweep's comparison choose by what is searched for."""
        from vision_baselines.sweep.callback import SweepCallback

        if OmegaConf.select(self.config, "comparison.select") is not None:
            return
        self._selected = objective
        with open_dict(self.config):
            self.config.comparison.select = objective
            self.config.hydra.overrides.task.append(f"comparison.select={objective}")
        if SweepCallback.current is not None:
            SweepCallback.current.options["select"] = objective

    def _note_folders(self, number: int, values: Mapping[str, Any]) -> None:
        for seed in self.seeds:
            try:
                self._note_folder(number, self._place(values, seed, number))
            except ConfigError:
                return

    def _note_folder(self, number: int, folder: Path) -> None:
        known = self._folders.setdefault(number, [])
        name = folder.relative_to(self.folder).as_posix()
        if name in known:
            known.remove(name)
        known.append(name)

    def _write(self, study: Study, *, importances: bool = False) -> None:
        folders = {
            trial.number: self._begun(trial.number) if trial.state.is_finished() else self._folders[trial.number]
            for trial in study.trials
            if trial.number in self._folders
        }
        written(study, wanted=self.wanted, folders=folders, importances=importances).write(self.folder)

    def _begun(self, number: int) -> list[str]:
        """The folders of a trial's jobs up to the last that was begun: one that was pruned begins no other."""
        names = self._folders[number]
        begun = [place for place, name in enumerate(names, 1) if (self.folder / name).is_dir()]
        return names[: max(begun, default=len(names))]


def _plain(node: DictConfig) -> dict[str, Any]:
    found = OmegaConf.to_container(node, resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}
