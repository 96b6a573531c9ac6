"""MLflow in one SQLite file beside the runs of a sweep; a resumed run goes on in its own, without repetition."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_only
from PIL import Image
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import MLFlowLogger

from vision_baselines.runs.record import RunRecord
from vision_baselines.storage.lock import exclusive
from vision_baselines.training.result_pictures import FeatureMaps
from vision_baselines.training.run_logger import RunLogger, hyperparameters

MLFLOW_FILE = "mlflow.db"
_LOCK = ".mlflow.lock"
_RUN_TAG = "vision_baselines.run"
_LONGEST, _MOST = 500, 100  # characters of a parameter's value, and entries of one call, that MLflow takes


class RunMLflowLogger(RunLogger, MLFlowLogger):
    """Logs metrics, hyper-parameters, parameter counts, tags, notes and pictures to MLflow.

    The database and the pictures lie in the folder above the run's, that of its sweep, so that MLflow shows its runs
    side by side.

    Args:
        save_dir: The run's folder.
        experiment_name: The experiment, such as the name of the sweep.
        pictures: Whether pictures are logged.
    """

    def __init__(self, save_dir: str, experiment_name: str, pictures: bool = True) -> None:
        for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
            os.environ.setdefault(name, "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else it tells each step of making the database
        self.run_folder = Path(save_dir).absolute()
        uri = f"sqlite:///{(self.run_folder.parent / MLFLOW_FILE).as_posix()}?timeout=60"
        from mlflow import MlflowClient

        self.run_folder.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(self.run_folder.parent, wait=True, name=_LOCK):  # a client makes the tables: one job at a time
            super().__init__(experiment_name=experiment_name, tracking_uri=uri)
            self.client, self.group = MlflowClient(uri), experiment_name
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)  # each step of making the database
        self.pictures = pictures
        self._known: set[tuple[str, int]] = set()
        self._status = "KILLED"

    @property
    def experiment(self) -> Any:
        """The client; `rewind` has found or made the run."""
        return self.client

    def callbacks(self) -> list[Callback]:
        """Feature maps, once the net is tested."""
        return [FeatureMaps(self)] if self.pictures else []

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """See `RunLogger`; what the database has already is not logged again, for it would be the same."""
        above = self.run_folder.parent
        with exclusive(above, wait=True, name=_LOCK):  # of several jobs one makes the experiment
            client = self.client
            found = client.get_experiment_by_name(self.group)
            experiment_id = (
                client.create_experiment(self.group, artifact_location=(above / "mlflow").as_uri())
                if found is None
                else found.experiment_id
            )
            wanted = f"tags.`{_RUN_TAG}` = '{self.run_folder.name.replace(chr(39), chr(34))}'"
            runs = client.search_runs([experiment_id], wanted)
            if step > 0 and runs:
                run = runs[0]
                for name in run.data.metrics:
                    self._known |= {(name, one.step) for one in client.get_metric_history(run.info.run_id, name)}
                client.update_run(run.info.run_id, status="RUNNING")
            else:
                for old in runs:
                    client.delete_run(old.info.run_id)
                tags = {_RUN_TAG: self.run_folder.name.replace("'", '"'), "mlflow.source.name": "vision-baselines"}
                run = client.create_run(experiment_id, tags=tags, run_name=self.run_folder.name)
        self._run_id, self._experiment_id, self._initialized = run.info.run_id, experiment_id, True

    @rank_zero_only
    def begin(self, record: RunRecord) -> None:
        """See `RunLogger`."""
        from mlflow.entities import Param, RunTag

        known = self.client.get_run(self._run_id).data.params
        values = {_name(key): str(value)[:_LONGEST] for key, value in hyperparameters(record).items()}
        params = [Param(key, value) for key, value in values.items() if key not in known]
        for start in range(0, len(params), _MOST):
            self.client.log_batch(self._run_id, params=params[start : start + _MOST])
        labels = [RunTag("tags", ", ".join(record.tags))] if record.tags else []
        labels += [RunTag("mlflow.note.content", record.notes)] if record.notes else []
        self.client.log_batch(self._run_id, tags=labels)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log the numbers that the database does not have at this step."""
        from mlflow.entities import Metric

        at, now = step or 0, int(time.time() * 1000)
        new = {_name(name): float(value) for name, value in metrics.items() if (_name(name), at) not in self._known}
        self._known |= {(name, at) for name in new}
        if new:
            found = [Metric(name, value, now, at) for name, value in new.items()]
            self.experiment.log_batch(self._run_id, metrics=found)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """`begin` has logged them, from the record."""

    @rank_zero_only
    def log_picture(self, tag: str, picture: Image.Image, *, step: int) -> None:
        """Keep a picture among the run's artifacts, one file a step."""
        name = re.sub(r"[^\w./=,+-]", "_", tag)
        self.experiment.log_image(self._run_id, picture, f"pictures/{name}/step-{step:07d}.png")

    @rank_zero_only
    def log_run_text(self, tag: str, text: str) -> None:
        """Keep a text among the run's artifacts."""
        self.experiment.log_text(self._run_id, text, f"{tag}.txt")

    @rank_zero_only
    def log_end(self, record: RunRecord) -> None:
        """Note that the run is finished."""
        self._status = "FINISHED"

    @rank_zero_only
    def finalize(self, status: str = "success") -> None:
        """Stay open for what comes after."""
        if status == "failed":
            self._status = "FAILED"

    @rank_zero_only
    def close(self) -> None:
        """Say how the run ended."""
        if self._initialized:
            self.client.set_terminated(self._run_id, self._status)


def _name(text: str) -> str:
    """A name that MLflow takes."""
    return re.sub(r"[^\w/. -]", "_", text)
