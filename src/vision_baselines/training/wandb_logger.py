"""Weights & Biases, offline by default: one run on disk, whole and without repetition also after a resume.

What is logged is noted in ``wandb/`` of the run's folder too: a resumed run begins a new offline folder of the same id
with what was logged before its state, and removes the old one, so that ``wandb sync`` finds each step once.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_only
from PIL import Image
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import WandbLogger

from vision_baselines.errors import ConfigError
from vision_baselines.runs.record import RunRecord
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.training.csv_logger import RunCSVLogger
from vision_baselines.training.result_pictures import FeatureMaps
from vision_baselines.training.run_logger import RunLogger, hyperparameters

_ID_FILE = "run_id.txt"
_MODES = ("offline", "online", "disabled")


class RunWandbLogger(RunLogger, WandbLogger):
    """Logs metrics, hyper-parameters, parameter counts, tags, notes and pictures to W&B.

    Args:
        save_dir: The run's folder; W&B writes below ``wandb/`` in it.
        project: The project, such as the name of the sweep.
        mode: ``offline`` writes to disk and sends nothing; ``online`` uploads while it trains; ``disabled``
            does nothing.
        pictures: Whether pictures are logged.
    """

    def __init__(self, save_dir: str, project: str, mode: str = "offline", pictures: bool = True) -> None:
        if mode not in _MODES:
            raise ConfigError(f"logger.wandb.mode is {mode!r}; expected {', '.join(_MODES)}")
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        super().__init__(save_dir=save_dir, project=project)
        import wandb

        self.pictures, self.mode = pictures, mode
        self.folder = Path(save_dir) / "wandb"
        self.journal = RunCSVLogger(str(self.folder))
        self._last_step = 0
        settings = wandb.Settings(
            console="off", silent=True, symlink=False, disable_git=True, save_code=False,
            x_disable_stats=True, x_disable_machine_info=True,
        )  # fmt: skip
        self.options: dict[str, Any] = {
            "dir": save_dir, "project": project, "mode": mode, "resume": "allow", "settings": settings,
        }  # fmt: skip

    @property
    def experiment(self) -> Any:
        """The run of W&B, which is begun when it is first asked for."""
        if self._experiment is None:
            import wandb

            self._experiment = wandb.init(**self.options)
            self._experiment.define_metric("trainer/global_step")
            self._experiment.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return self._experiment

    def callbacks(self) -> list[Callback]:
        """Feature maps, once the net is tested."""
        return [FeatureMaps(self)] if self.pictures else []

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """See `RunLogger`; a run that begins anew has an id of its own."""
        known = self.folder / _ID_FILE
        if step > 0 and known.is_file():
            self._id = known.read_text(encoding="utf-8").strip()
        else:
            self._id = secrets.token_hex(4)
            write_into(known, self._id.encode())
        self.options["id"] = self._id
        for old in self.folder.glob("offline-run-*"):
            shutil.rmtree(old, ignore_errors=True)
        self.journal.rewind(step)
        for path in self._kept_pictures():
            if step == 0 or _step_of(path) >= step:
                path.unlink()

    @rank_zero_only
    def begin(self, record: RunRecord) -> None:
        """See `RunLogger`; what an earlier attempt logged up to here is logged again, in its order."""
        self.options.update(
            name=record.name, config=hyperparameters(record), tags=record.tags or None, notes=record.notes or None
        )
        pictures = sorted(self._kept_pictures(), key=_step_of)
        for step, row in sorted(self.journal.rows.items()):
            while pictures and _step_of(pictures[0]) <= step:
                self._show(pictures.pop(0))
            self._log({name: float(value) for name, value in row.items()}, step)
        for path in pictures:
            self._show(path)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers, and note them."""
        self.journal.log_metrics(dict(metrics), step)
        self._log(dict(metrics), step or 0)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """`begin` has logged them, from the record."""

    @rank_zero_only
    def log_picture(self, tag: str, picture: Image.Image, *, step: int) -> None:
        """Log a picture, and keep it for a resumed run."""
        name = re.sub(r"[^\w.=,+-]", "_", tag.replace("/", "--"))
        path = self.folder / "pictures" / f"{step}@{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
        self._show(path)

    @rank_zero_only
    def log_run_text(self, tag: str, text: str) -> None:
        """Log a text of a fixed width."""
        import html

        import wandb

        self.experiment.log({tag: wandb.Html(f"<pre>{html.escape(text)}</pre>", inject=False)}, step=self._last_step)

    @rank_zero_only
    def log_end(self, record: RunRecord) -> None:
        """Log the record's metrics as the run's summary."""
        self.experiment.summary.update({**record.metrics, "best_epoch": record.best_epoch})

    @rank_zero_only
    def save(self) -> None:
        """Write what is noted."""
        self.journal.save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Stay open for what comes after."""
        self.journal.save()

    @rank_zero_only
    def close(self) -> None:
        """Write what is left, and end the run of W&B."""
        self.journal.save()
        if self._experiment is not None:
            self._experiment.finish()
            self._experiment = None

    def _log(self, metrics: dict[str, float], step: int) -> None:
        # W&B drops what comes for an earlier step, so that is logged at its present one
        self._last_step = max(step, self._last_step)
        self.experiment.log({**metrics, "trainer/global_step": step}, step=self._last_step)

    def _show(self, path: Path) -> None:
        import wandb

        step, _, name = path.stem.partition("@")
        self._last_step = max(int(step), self._last_step)
        self.experiment.log({name.replace("--", "/"): wandb.Image(str(path))}, step=self._last_step)

    def _kept_pictures(self) -> list[Path]:
        return [path for path in (self.folder / "pictures").glob("*@*.png") if path.stem.partition("@")[0].isdigit()]


def write_into(path: Path, content: bytes) -> None:
    """Write a file whose folder may not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)


def _step_of(path: Path) -> int:
    return int(path.stem.partition("@")[0])
