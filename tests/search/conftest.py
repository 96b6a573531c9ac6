"""A search whose jobs are made up: records appear as a run would leave them, and any write may be the last."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from optuna.storages.journal import JournalFileBackend

from vision_baselines.errors import PrunedError
from vision_baselines.runs.fingerprint import is_irrelevant, job_name, key_of
from vision_baselines.runs.record import Environment, EpochRow, Failure, RunRecord, Status, now, read_record
from vision_baselines.search import trials as trials_module
from vision_baselines.search.epochs import TellsEpochs
from vision_baselines.search.space import space_of
from vision_baselines.search.trials import Trials
from vision_baselines.sweep.callback import SweepCallback
from vision_baselines.training.history import History

SPACE = ("optimizer.lr=tag(log,interval(1e-4,1))", "model.channels=choice([16,32],[32,64])")
EPOCHS = 3


class KilledError(BaseException):
    """The process is gone: nothing after it runs."""


class Kill:
    """Kills at the `at`-th write to the journal or of a record: before it, after it, or in its midst."""

    def __init__(self) -> None:
        self.at, self.how, self.count = -1, "after", 0

    def set(self, at: int, how: str) -> None:
        self.at, self.how, self.count = at, how, 0

    def write(self, write, torn=None) -> None:
        self.count += 1
        is_last = self.count - 1 == self.at
        if is_last and self.how == "torn" and torn is not None:
            torn()
        if not is_last or self.how == "after":
            write()
        if is_last:
            raise KilledError


def overrides_of(texts):
    return OverridesParser.create().parse_overrides(list(texts))


def accuracy(settings: dict[str, str], seed: int, epoch: int = EPOCHS) -> float:
    """Best near lr=0.01, with a seed's luck; it grows by epoch."""
    lr = float(settings["optimizer.lr"])
    wide = 0.02 if settings["model.channels"] == "[32,64]" else 0.0
    luck = 0.01 * np.random.default_rng([seed, int(1e6 * lr)]).standard_normal()
    return round(0.9 - 0.05 * abs(math.log10(lr) + 2) ** 2 + wide + luck - 0.2 / (1 + epoch), 6)


class FakeSweep:
    """A sweep's folder, and a launcher that skips what is finished and goes on with what is not."""

    def __init__(self, folder: Path, kill: Kill) -> None:
        self.folder, self.kill = folder, kill
        self.launched: list[list[str]] = []
        self.rounds: list[int] = []
        self.trained: list[str] = []  # a name for each epoch of each run that was trained
        self.finished: list[str] = []
        self.diverges = lambda settings: float(settings["optimizer.lr"]) > 0.3
        self.fails = lambda settings, seed: None

    def launch(self, jobs, index):
        assert index == len(self.launched)
        self.launched += jobs
        self.rounds.append(len(jobs))
        return [self._job(job) for job in jobs]

    def _job(self, job):
        settings = dict(text.split("=", 1) for text in job)
        seed, number, folder = int(settings["seed"]), int(settings["search.trial"]), self.folder / job_name(job)
        try:
            if read_record(folder).finished:
                return JobReturn(status=JobStatus.COMPLETED)
        except FileNotFoundError:
            pass
        self._record(job, Status.RUNNING)
        try:
            if self.diverges(settings):
                raise ArithmeticError("the loss became nan")
            if (error := self.fails(settings, seed)) is not None:
                raise error
            self._epochs(settings, seed, number, folder)
        except PrunedError as error:
            self._record(job, Status.PRUNED, Failure(kind="PrunedError", message=str(error)))
            return JobReturn(status=JobStatus.COMPLETED)
        except Exception as error:
            status = Status.DIVERGED if isinstance(error, ArithmeticError) else Status.FAILED
            self._record(job, status, Failure(kind=type(error).__name__, message=str(error)))
            return JobReturn(status=JobStatus.FAILED)
        history = [
            EpochRow(epoch=epoch, step=epoch, lr=0.1, metrics={"val/acc": accuracy(settings, seed, epoch)})
            for epoch in range(EPOCHS)
        ]
        metrics = {"val/acc": accuracy(settings, seed), "test/acc": 0.5}
        self._record(job, Status.FINISHED, metrics=metrics, history=history)
        return JobReturn(status=JobStatus.COMPLETED)

    def _epochs(self, settings, seed, number, folder):
        """Train from the epoch that is saved; an epoch is saved before it is told, as a kill may have it."""
        seeds = self.seeds
        tells, history = TellsEpochs(self.folder, number, seeds.index(seed), len(seeds)), History()
        saved = folder / "epochs.json"
        if saved.exists():
            history.rows = json.loads(saved.read_text())
        trainer = SimpleNamespace(
            state=SimpleNamespace(fn="fit"),
            sanity_checking=False,
            max_epochs=EPOCHS,
            world_size=1,
            is_global_zero=True,
            callbacks=[history, tells],
        )
        tells.on_train_start(trainer, None)
        for epoch in range(len(history.rows), EPOCHS):
            self.trained.append(f"{folder.name}:{epoch}")
            metrics = {"val/acc": accuracy(settings, seed, epoch)}
            history.rows.append({"epoch": epoch, "metrics": metrics})
            self.kill.write(lambda: saved.write_text(json.dumps(history.rows)))
            trainer.current_epoch, trainer.callback_metrics = epoch, metrics
            tells.on_validation_end(trainer, None)

    def _record(self, job, status, failure=None, metrics=None, history=()):
        name = job_name(job)
        record = RunRecord(
            name=name, sweep="demo", status=status, overrides=list(job), config={"seed": 0}, fingerprint=name, seed=0,
            started_at=now(), failure=failure, metrics=metrics or {}, history=list(history),
            environment=Environment(versions={}, python="", platform="", cpu_capability="", threads=1, device="cpu"),
        )  # fmt: skip

        def write():
            record.write(self.folder / name)
            if record.finished:
                self.finished.append(name)

        self.kill.write(write)

    def search(self, *, space=SPACE, slots=1, n=8, seeds=2, **options) -> Trials:
        self.seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
        self.launched, self.rounds = [], []
        given = {"trials": n, "seeds": seeds, "objectives": None, "sampler": "tpe", "sampler_seed": 0, "pruner": None}
        config = OmegaConf.create(
            {
                "search": {**given, "parallel": None, "trial": None, **options},
                "comparison": {"select": None, "fresh_seeds": None},
                "task": {"headline": "acc", "mode": "max"},
                "data": {"val_size": 100},
                "hydra": {"sweep": {"dir": str(self.folder)}, "overrides": {"task": []}},
                "preview": False,
            }
        )
        return Trials(space_of(overrides_of(space)), self.launch, config=config, hydra_context=None, slots=slots)

    def run(self, **options):
        """The trials as they are written at the end."""
        search = self.search(**options)
        search.run()
        return search.study

    def told(self, study):
        """What is known of each trial, whatever its history was."""
        return [
            (trial.number, trial.state.name, trial.params, trial.values, trial.user_attrs, trial.intermediate_values)
            for trial in study.trials
        ]


@pytest.fixture
def kill(monkeypatch):
    found = Kill()
    append = JournalFileBackend.append_logs

    def append_logs(self, logs):
        def torn():
            line = json.dumps(logs[0], separators=(",", ":"))
            with Path(self._file_path).open("a") as file:
                file.write(line[: len(line) // 2])

        found.write(lambda: append(self, logs), torn)

    monkeypatch.setattr(JournalFileBackend, "append_logs", append_logs)
    return found


@pytest.fixture
def sweep(tmp_path, monkeypatch, kill):
    def planned_job(index, job, config, context):
        resolved = OmegaConf.to_container(config, resolve=True)
        kept = [text for text in job if not is_irrelevant(key_of(text))]
        return None, SimpleNamespace(resolved=resolved, folder=tmp_path / "demo" / job_name(kept), cfg=None)

    monkeypatch.setattr(trials_module, "planned_job", planned_job)
    monkeypatch.setattr(SweepCallback, "current", None)
    return FakeSweep(tmp_path / "demo", kill)
