"""Metrics as ``metrics.csv``, whole also after a resume.

Lightning's `CSVLogger` deletes the file of an earlier attempt when it starts. This one reads it, drops what a resumed
run will log again, and continues from there. The file is always replaced as a whole.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.loggers.logger import Logger

from vision_baselines.errors import StorageError
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.training.run_logger import RunLogger

METRICS_FILE = "metrics.csv"


class RunCSVLogger(RunLogger, Logger):
    """Writes one row a step, one column a metric, to ``metrics.csv``.

    Args:
        save_dir: Folder of the file.
    """

    pictures = False

    def __init__(self, save_dir: str) -> None:
        super().__init__()
        self.file = Path(save_dir) / METRICS_FILE
        self.rows: dict[int, dict[str, str]] = {}
        self._changed = False

    @property
    def name(self) -> str:
        """Nothing is added to `save_dir`."""
        return ""

    @property
    def version(self) -> str:
        """Nothing is added to `save_dir`."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The record has them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add metrics to the row of `step`."""
        row = self.rows.setdefault(0 if step is None else step, {})
        row.update({name: repr(float(value)) for name, value in metrics.items()})
        self._changed = True

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Take up the rows of an earlier attempt from before `step`; the others will be logged again.

        Raises:
            StorageError: The file is damaged.
        """
        if step <= 0:  # it begins anew
            self._changed = self.file.exists()
            return
        number = 1
        try:
            with self.file.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file, strict=True)
                for row in reader:
                    number = reader.line_num
                    if None in row:
                        raise ValueError("more values than names")
                    if int(row["step"]) < step:
                        self.rows[int(row["step"])] = {
                            key: value for key, value in row.items() if value and key != "step"
                        }
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            raise StorageError(
                f"{self.file} is cut off or damaged after line {number}; move it away to go on without the rows of "
                "earlier attempts, or add rerun=true to train anew"
            ) from error
        self._changed = True

    @rank_zero_only
    def save(self) -> None:
        """Write the file."""
        if not self._changed:
            return
        names = sorted({name for row in self.rows.values() for name in row})
        text = io.StringIO()
        writer = csv.DictWriter(text, ["step", *names], lineterminator="\n")
        writer.writeheader()
        writer.writerows({"step": step, **row} for step, row in sorted(self.rows.items()))
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.file, text.getvalue().encode())
        self._changed = False

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is left."""
        self.save()

    def close(self) -> None:
        """Write what is left."""
        self.save()
