"""A sweep whose jobs are runs: what is finished is skipped, what waits for another waits, what ends is compared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from vision_baselines.config.ablation import ABLATE, MOST_IN_A_BATCH
from vision_baselines.config.alike import Alike
from vision_baselines.config.plan import Plan, planned
from vision_baselines.config.search_options import trial_of
from vision_baselines.errors import ConfigError, TrainingError
from vision_baselines.jobs.asking import answer_of
from vision_baselines.jobs.composing import Number, Renumbered
from vision_baselines.jobs.cores import usable_cores
from vision_baselines.jobs.hooks import Hooks, job_folder
from vision_baselines.jobs.job import Packed, packed
from vision_baselines.jobs.outcome import Outcome
from vision_baselines.jobs.pool import start_server
from vision_baselines.jobs.signals import Interrupted
from vision_baselines.jobs.summary import last_words
from vision_baselines.report.hparam_rows import Row
from vision_baselines.runs.fingerprint import chosen_options, is_irrelevant, key_of
from vision_baselines.runs.labels import relabel
from vision_baselines.runs.resumption import Action
from vision_baselines.storage.lock import RunLockedError, exclusive
from vision_baselines.sweep import in_job, run_outcomes
from vision_baselines.sweep.callback import SweepCallback
from vision_baselines.sweep.checks import (
    ONE_VALUE,
    comparison_keys,
    require_a_beginning,
    require_one_sweep,
    same_runs,
)
from vision_baselines.sweep.columns import write_planned_columns
from vision_baselines.sweep.devices import VARIABLE, Devices, visible_devices
from vision_baselines.sweep.job import Job
from vision_baselines.sweep.lengths import Length, flops_of, lengths
from vision_baselines.sweep.memory import job_bytes
from vision_baselines.sweep.passes import Passes
from vision_baselines.sweep.planned import noted
from vision_baselines.sweep.states import status_command

if TYPE_CHECKING:
    from vision_baselines.sweep.ablation import PartsThatMatter

_PREVIEW_PRELOAD = ("vision_baselines.jobs.worker_entry", "vision_baselines.sweep.ahead_of_sizes")


@dataclass(frozen=True)
class _First:
    """What jobs that are like an earlier one are made from."""

    alike: Alike
    packed_config: bytes | Packed
    choices: Mapping[str, str]


class RunHooks(Hooks[Job]):
    """What this project adds to a launcher; ``hydra.launcher.jobs`` in its configs."""

    preload = ("vision_baselines.sweep.ahead",)
    prepare = staticmethod(in_job.prepare)
    progress_logger = "vision_baselines.progress"
    writes_traceback = False  # a run's own log has it
    after_signal = staticmethod(run_outcomes.outcome_after_signal)
    has_begun = staticmethod(run_outcomes.has_begun)

    def __init__(self) -> None:
        self._compared: dict[str, str] = {}
        self._folder: Path | None = None
        self._not_compared: list[Job] = []  # jobs whose end no comparison has taken in yet
        self._accelerators: set[str] = set()
        self._library_nets: list[Plan] = []
        self._alike: dict[int, _First] = {}
        self._lengths: list[Length] = []
        self._keeps_plans = False  # for a preview
        self._plans: dict[int, Plan] = {}
        self._devices = Devices([])
        self._most_processes: int | None = None
        self._parts: PartsThatMatter | None = None
        self._passes = Passes(1)

    def begins(self, job_overrides: Sequence[Sequence[str]], config: DictConfig) -> None:
        """Refuse a sweep without jobs, or with several values of what it as a whole does."""
        if not job_overrides:
            raise ConfigError("the sweep has no job: one of its lists, ranges or globs is empty")
        require_one_sweep(job_overrides)
        self._compared = comparison_keys(config)
        self._devices = Devices([], config.get("gpus_per_job") or 1)
        self._passes = Passes.of(config)
        self._most_processes = None if config.get("n_jobs") else usable_cores()
        self._keeps_plans = bool(config.preview)
        if self._keeps_plans:
            start_server(_PREVIEW_PRELOAD)  # it imports torch while the jobs are looked at
        self.starts_early = not config.preview and not config.get("list")
        # where no run has left a record, none can be finished
        folder = OmegaConf.select(config, "hydra.sweep.dir")
        self.starts_at_once = self.starts_early and folder is not None and not any(Path(folder).glob("*/run.json"))
        if config.get(ABLATE) is not None:
            from vision_baselines.sweep.ablation import PartsThatMatter

            # of one batch it is not known which groups there are; the sweeper has looked at all
            self._parts = PartsThatMatter.of(config, knows_all=not OmegaConf.select(config, MOST_IN_A_BATCH))

    def is_number_only(self, key: str) -> bool:
        """Not of keys that Hydra's own part may hold: `config.hydra_part` looks at configs that Hydra composes."""
        return key.partition(".")[0] not in ONE_VALUE | {"paths", "name"}

    def job(self, index: int, overrides: list[str], composed: DictConfig, varied: Collection[str] = ()) -> Job:
        """Look at a job; the keys that the comparison is asked for are known once a job has them."""
        places = Alike.before(composed, sorted(varied)) if varied else None
        plan = planned(composed, job_folder(composed))
        typed = {key_of(text) for text in plan.overrides}
        for key in [key for key in self._compared if key in typed or OmegaConf.select(composed, key) is not None]:
            del self._compared[key]
        choices = chosen_options(composed.hydra.runtime.choices)
        job = self._planned(index, overrides, plan, packed(composed), choices)
        alike = Alike.of(plan, places) if places is not None else None
        if alike is not None:
            self._alike[index] = _First(alike, job.packed_config, choices)
        return job

    def job_like(self, first: Job, index: int, overrides: list[str], numbers: Mapping[str, Number]) -> Job | None:
        """Look at a job that differs from an earlier one in numbers alone."""
        found = self._alike.get(first.index)
        if found is None:
            return None
        renamed = {old: new for old, new in zip(first.overrides, overrides, strict=True) if old != new}
        plan = found.alike.planned(numbers, [renamed.get(text, text) for text in first.task])
        content = Renumbered(found.packed_config, index, numbers, renamed)
        need = None if found.alike.changes("data.source", "data.image_shape", "trainer") else first.need_bytes
        return self._planned(index, overrides, plan, content, found.choices, need)

    def _planned(
        self,
        index: int,
        overrides: list[str],
        plan: Plan,
        content: bytes | Packed,
        choices: Mapping[str, str],
        need_bytes: int | None = None,
    ) -> Job:
        if self._parts is not None:
            self._parts.add(plan)
        if self._keeps_plans:
            self._plans[index] = plan
        trainer = plan.resolved["trainer"]
        job = Job(
            index,
            overrides,
            content,
            plan.folder,
            _words(plan.overrides),
            job_bytes(plan.resolved) if need_bytes is None else need_bytes,
            fingerprint=plan.fingerprint,
            task=list(plan.overrides),
            starts_from=plan.starts_from,
            previous=plan.decision.previous,
            processes=int(trainer.get("devices") or 1),
            on_cuda=trainer.get("accelerator") in ("gpu", "cuda", "auto"),
            row=Row.planned(plan.config, plan.overrides, choices),
            length=Length.of(plan.resolved, plan.decision.previous),
        )
        if plan.decision.action is Action.SKIP and not plan.decision.files_changed and job.previous is not None:
            job.outcome = run_outcomes.outcome_of(job.previous)
            if self.starts_early:
                relabel(job.folder, job.previous, plan.config, is_held=False)
        else:
            self._accelerators.add(str(trainer.get("accelerator")))
            if self.starts_early and "arch" in plan.resolved["model"]:
                self._library_nets.append(plan)
        return job

    def same(self, jobs: list[Job]) -> list[Job]:
        """Each run once; what cannot begin is refused."""
        self._alike.clear()
        for key, option in self._compared.items():
            raise ConfigError(
                f"comparison.{option} names {key!r}, which no job has; expected a key of the config, or null"
            )
        if self._parts is not None:
            self._parts.require()
        if self.starts_early and self._accelerators & {"gpu", "cuda", "mps"}:
            from vision_baselines.training.accelerators import require_accelerator  # torch takes seconds

            for accelerator in sorted(self._accelerators):
                require_accelerator(accelerator)
        if self._library_nets:
            from vision_baselines.training.first_weights import require_net

            for plan in self._library_nets:
                require_net(plan)
        if self.starts_early and any(job.on_cuda and job.outcome is None for job in jobs):
            self._devices.names = visible_devices()
            for job in jobs:
                self._devices.require(job)
        self._lengths = [job.length for job in jobs if job.length is not None]
        found = same_runs(jobs)
        jobs = list(dict.fromkeys(found))
        require_a_beginning(jobs)
        if self.starts_early:
            self._passes.require([job for job in jobs if job.outcome is None], partial(answer_of, preload=self.preload))
        return found

    def only_shown(self, jobs: Sequence[Job], config: DictConfig) -> bool:
        """Show what would run, where a preview is asked for, or list commands."""
        if config.get("list"):
            from vision_baselines.sweep.listing import list_jobs, require_known_jobs

            require_known_jobs(config)
            list_jobs(jobs, config)
            return True
        if not config.preview:
            return False
        from vision_baselines.sweep.preview import show

        ask = partial(answer_of, preload=_PREVIEW_PRELOAD)
        to_run = [job for job in jobs if job.outcome is None]
        self._passes.require(to_run, ask)
        slots = OmegaConf.select(config, "hydra.launcher.n_jobs") or usable_cores()
        leading = self._passes.grouped(to_run, slots)
        words = self._passes.announced(to_run, min(slots, len(leading)))
        show(((self._plans.pop(job.index), job.packed_config) for job in jobs), ask, words)
        return True

    @contextmanager
    def running(self, jobs: Sequence[Job], config: DictConfig) -> Iterator[None]:
        """Note which jobs the sweep has, for `status`."""
        self._folder = Path(str(config.hydra.sweep.dir))
        self._not_compared = [job for job in jobs if job.outcome is None]
        goes_on = all(job.index > 0 for job in jobs)
        with noted(self._folder, [job.folder for job in jobs], [job.words for job in jobs], goes_on=goes_on):
            yield

    def announced(self, jobs: Sequence[Job], slots: int) -> str:
        """Nothing of the trials of a search, which says of each round itself what it has."""
        is_search = all(trial_of(job.task) is not None for job in jobs)
        return "" if is_search else self._passes.announced(jobs, slots) or super().announced(jobs, slots)

    def grouped(self, jobs: Sequence[Job], slots: int) -> list[Job]:
        """Jobs that are trained in one pass share a process."""
        return self._passes.grouped(jobs, slots)

    def starts(self, jobs: Sequence[Job], config: DictConfig) -> None:
        """Write the columns of HParams, which TensorBoard keeps as it finds them first."""
        write_planned_columns(Path(str(config.hydra.sweep.dir)), jobs)

    def lengths(self, jobs: Sequence[Job], ask: Callable[..., Any]) -> Sequence[float | None]:
        """From the records of earlier runs, or from the work of each."""
        own = [job.length for job in jobs if job.length is not None]
        if len(own) < len(jobs):
            return [None] * len(jobs)
        each = lengths(
            own, self._lengths, lambda places: ask(flops_of, [jobs[place].packed_config for place in places])
        )
        return [None if one is None else one * len(job.members) for job, one in zip(jobs, each, strict=True)]

    def may_start(self, job: Job, unfinished: Iterable[Job]) -> bool:
        """Whether no job that it starts from is still to end, no other sweep trains it, and there are devices for it.

        A checkpoint that it starts from lies inside the folder of the other job.
        """
        sources = {job.starts_from, *job.starts_from.parents} if job.starts_from else set()
        others = list(unfinished)
        running = [other for other in others if other.is_started]
        processes = job.processes + sum(other.processes for other in running)
        if running and self._most_processes is not None and processes > self._most_processes:
            return False
        devices = self._devices.free(job, running)
        if devices is None or any(other.folder in sources for other in others):
            return False
        if any(_is_busy(one.folder) for one in job.members):
            return False
        job.devices = devices
        return True

    def environment(self, job: Job, slot: int, slots: int) -> Mapping[str, str]:
        """The CUDA devices that are its own; a run sets its threads itself."""
        return {VARIABLE: ",".join(job.devices)} if job.devices else {}

    def without_a_word(self, job: Job, exit_code: int | str | None) -> Outcome:
        """As its record says, which is closed where it is open still."""
        return run_outcomes.outcome_of_dead(job, exit_code)

    def result(self, job: Job) -> str:
        """Its headline number, and what speaks against it."""
        return run_outcomes.record_result(job.folder)

    def meanwhile(self) -> None:
        """Compare what is there, where that was put off."""
        SweepCallback.catch_up()

    def some_ended(self) -> None:
        """Compare what is there: of the records, those of jobs that ran since the last time are new.

        Where no job waits, the core of the one that has ended is free for what the last comparison will need.
        """
        touched = [job.folder for job in self._not_compared if job.is_started]
        self._not_compared = [job for job in self._not_compared if job.outcome is None]
        SweepCallback.update(touched)
        if self._not_compared and all(job.is_started for job in self._not_compared):
            SweepCallback.get_ready()

    def all_ended(self, jobs: Sequence[Job]) -> None:
        """Leave the last words to the callback: shown here, the table would push them out of sight."""
        ended = [(job.label, job.outcome, job.is_started) for job in jobs]
        SweepCallback.last_words = last_words(ended, [job.folder for job in jobs], see=self.see())

    def see(self) -> str:
        """What shows how far each run is, and why one failed."""
        return "" if self._folder is None else status_command(self._folder)

    def failure(self, summary: str) -> Exception:
        """An error of the kind that training ends with."""
        return TrainingError(*summary.splitlines())

    def interrupted(self, error: Interrupted) -> BaseException:
        """The same: the command says how to go on."""
        return error


def _words(typed: Sequence[str]) -> list[str]:
    """What a job is called by: what was typed of it, and in a search its trial, whose settings are said once."""
    trial = trial_of(typed)
    named = [text for text in typed if not is_irrelevant(key_of(text))]
    return named if trial is None else [f"trial {trial}", *(text for text in named if key_of(text) == "seed")]


def _is_busy(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        with exclusive(folder):
            return False
    except RunLockedError:
        return True
