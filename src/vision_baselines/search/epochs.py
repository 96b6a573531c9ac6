"""A callback of a search's job: it tells the study what validation measured, and ends a run that cannot win.

What a job has to know stands in its config (`search.trial` and its seed) and in the journal in its sweep's folder, so
that any launcher can run it. A run that is resumed tells first what its history holds and the journal lacks, and is
ended where it stood if that was to be: so it ends at the same epoch however often it was killed.
"""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from vision_baselines.config.search_options import TRIAL, seeds_of
from vision_baselines.errors import PrunedError, StorageError
from vision_baselines.search.pruning import by_epoch, prunes_epoch, step_of
from vision_baselines.search.storage import JOURNAL_FILE, STUDY, open_storage
from vision_baselines.search.study import PLAN, trial_id
from vision_baselines.training.build import find_callback
from vision_baselines.training.history import History

if TYPE_CHECKING:
    from optuna.storages import JournalStorage
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)


def search_callbacks(cfg: DictConfig, folder: Path) -> list[pl.Callback]:
    """The callback of a run that belongs to a trial; none for any other.

    Args:
        cfg: The run's.
        folder: The sweep's, in which the journal lies.
    """
    number = OmegaConf.select(cfg, TRIAL)
    if number is None or not (folder / JOURNAL_FILE).is_file():
        return []
    options = OmegaConf.to_container(cfg.search, resolve=True)
    assert isinstance(options, dict)
    seeds = seeds_of({str(key): value for key, value in options.items()})
    if cfg.seed not in seeds:
        return []
    return [TellsEpochs(folder, int(number), seeds.index(cfg.seed), len(seeds))]


class TellsEpochs(pl.Callback):
    """Tells the study of each validation, and ends the run where its trial cannot win.

    Args:
        folder: The sweep's.
        number: Of the trial.
        place: Of the run's seed among those of the trial.
        n_seeds: Of a trial.
    """

    def __init__(self, folder: Path, number: int, place: int, n_seeds: int) -> None:
        self.folder, self.number, self.place, self.n_seeds = folder, number, place, n_seeds
        self._storage: JournalStorage | None = None
        self._known: dict[int, float] = {}
        self._objective, self._mode, self._pruner = "", "max", "none"
        self._writes = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read what is known of the trial, and take up where the run stands.

        Raises:
            PrunedError: It was to end before it was killed.
        """
        self._writes = trainer.is_global_zero
        self._open()
        history = find_callback(trainer.callbacks, History)  # type: ignore[attr-defined]
        rows = [row["metrics"] for row in history.rows]
        if history.validated:
            rows.append(history.validated)
        for epoch, metrics in enumerate(rows):
            self._tell(epoch, metrics.get(self._objective, math.nan))
        if rows:
            self._end_if_it_cannot_win(trainer, len(rows) - 1)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell what was measured.

        Raises:
            PrunedError: The trial cannot win.
        """
        if trainer.state.fn != "fit" or trainer.sanity_checking or self._objective not in trainer.callback_metrics:
            return
        self._tell(trainer.current_epoch, float(trainer.callback_metrics[self._objective]))
        self._end_if_it_cannot_win(trainer, trainer.current_epoch)

    def _is_behind(self, epoch: int) -> bool:
        if self._pruner != "median" or epoch not in self._known:
            return False
        trials = self._trials()
        is_over = trials[self.number].state.is_finished()
        return not is_over and prunes_epoch(self._pruner, trials, self.number, self.place, self.n_seeds, self._mode)

    def _open(self) -> None:
        self._storage = open_storage(self.folder)
        attributes = self._storage.get_study_user_attrs(self._storage.get_study_id_from_name(STUDY))
        plan = json.loads(attributes[PLAN])
        objectives = plan["objectives"]
        if len(objectives) == 1:  # of several there is no series that a study could keep
            [(self._objective, self._mode)] = objectives.items()
        self._pruner = plan["pruner"]
        self._known = by_epoch(self._trials()[self.number], self.place, self.n_seeds)

    def _trials(self) -> list[FrozenTrial]:
        assert self._storage is not None
        return self._storage.get_all_trials(self._storage.get_study_id_from_name(STUDY), deepcopy=False)

    def _tell(self, epoch: int, value: float) -> None:
        if not math.isfinite(value) or self._known.get(epoch) == value or self._storage is None:
            return
        self._known[epoch] = value
        if not self._writes:
            return
        from optuna.exceptions import UpdateFinishedTrialError

        try:
            step = step_of(epoch, self.place, self.n_seeds)
            self._storage.set_trial_intermediate_value(trial_id(self._storage, self.number), step, value)
        except UpdateFinishedTrialError:
            log.debug("trial %d has ended", self.number)
        except OSError as error:
            raise StorageError(f"cannot write {self.folder / JOURNAL_FILE}: {error.strerror or error}") from error

    def _end_if_it_cannot_win(self, trainer: pl.Trainer, epoch: int) -> None:
        is_last = trainer.max_epochs is not None and 0 <= trainer.max_epochs <= epoch + 1
        is_behind = trainer.is_global_zero and not is_last and self._is_behind(epoch)
        if trainer.world_size > 1:  # all processes of a run end, or none
            is_behind = trainer.strategy.broadcast(is_behind)
        if is_behind:
            best = (
                max(self._known.values(), default=math.nan)
                if self._mode == "max"
                else min(self._known.values(), default=math.nan)
            )
            raise PrunedError(
                f"pruned after epoch {epoch}: its best {self._objective}, {best:.4g}, is "
                "behind the median of the trials before it"
            )
