"""Hydra's side of a sweep: after every job an up-to-date comparison, at the end the table.

Hydra's basic launcher raises for a failed job before it calls `on_multirun_end`, so the end is reported by `finish`,
which the command line's frame calls however the sweep ended.
"""

from __future__ import annotations

import importlib
import logging
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from vision_baselines.comparison.errors import UnknownNameError
from vision_baselines.errors import ConfigError, DataError, VisionBaselinesError
from vision_baselines.importing import without_collector
from vision_baselines.sweep.untouched import Before
from vision_baselines.terminal import print_prose

if TYPE_CHECKING:
    from vision_baselines.comparison.collection import Records
    from vision_baselines.report.result import Comparison

log = logging.getLogger(__name__)

_LOOK_AROUND_S = 60  # after it, records are also looked for that other commands may have left in the folder
_DRAWS = (
    "vision_baselines.report.pictures",
    "vision_baselines.report.tensorboard",
    "vision_baselines.plots.mistakes",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
)
_REST = 9  # between two comparisons, in the time that the first took


class SweepCallback(Callback):
    """Keeps ``comparison/`` in the sweep's folder up to date.

    Args:
        group_by: Keys that make a group; none is every override but the seed.
        metric: What is compared; none is the headline metric of the runs' task.
        select: What ranks the groups; none is the headline metric of the runs' task on the validation split.
        baseline: The group that others are compared with.
        over: A numeric key that the metric is drawn over.
        chance_level: What a control tests at; see `report.write.compare`.
        equivalence: Difference within which two groups are equal.
    """

    current: ClassVar[SweepCallback | None] = None
    before: ClassVar[Before | None] = None
    last_words: ClassVar[Sequence[str]] = ()

    def __init__(
        self,
        group_by: Sequence[str] | str | None = None,
        metric: str | None = None,
        select: str | None = None,
        baseline: str | None = None,
        over: str | None = None,
        chance_level: float | str | None = None,
        equivalence: float | None = None,
    ) -> None:
        self.options = {
            "group_by": group_by, "metric": metric, "select": select, "baseline": baseline, "over": over,
            "chance_level": chance_level, "equivalence": equivalence,
        }  # fmt: skip
        self.folder: Path | None = None
        self.warned = False
        self.has_run = False
        self.records: Records | None = None  # what has been read stays read
        self.touched: dict[Path, None] = {}  # folders whose records may have changed since
        self.looked_around: float | None = None
        self.is_due = False
        self.not_before = 0.0

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Look at a single run's folder before Hydra makes it."""
        SweepCallback.before = Before.of(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Look at the sweep's folder before Hydra makes it, and remember where the sweep's jobs lie."""
        SweepCallback.before = Before.of(Path(config.hydra.sweep.dir))
        if not config.preview and not config.get("list"):
            self.folder = Path(config.hydra.sweep.dir)
            SweepCallback.current = self

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Compare what is there, after every job of a launcher that runs them in this process.

        Of a job that was refused nothing is left.
        """
        try:
            _ = job_return.return_value
        except (ConfigError, DataError):
            Before.of_new(Path(config.hydra.runtime.output_dir)).restore()
        except BaseException:  # of a job that ran; whoever asks for its value gets it
            pass
        if self is SweepCallback.current:
            self.update([Path(config.hydra.runtime.output_dir)])

    def __getstate__(self) -> dict[str, Any]:
        """In a job's own process there is nothing to compare: the sweep's process does that."""
        return {"folder": None, "warned": True, "options": self.options}

    @classmethod
    def restore(cls, error: Exception | None) -> None:
        """Leave nothing of a command that was refused, by this `error`, where there was nothing before."""
        before, cls.before = cls.before, None
        if before is not None and isinstance(error, ConfigError | DataError):
            before.restore()

    @classmethod
    def update(cls, touched: Sequence[Path] = ()) -> None:
        """Compare what is there, now or as soon as the one before has been paid for: see `catch_up`.

        Args:
            touched: Folders of runs that have ended or begun, or may have, since the last time.
        """
        if cls.current is not None:
            cls.current.touched |= dict.fromkeys(touched)
            cls.current.has_run = cls.current.is_due = True
            cls.catch_up()

    @classmethod
    def catch_up(cls) -> None:
        """Compare what is there if a job has ended since, without the pictures, which take longer.

        Where jobs end faster than comparisons are written, these take a tenth of the time, and the others are left out.
        A comparison that cannot be made ends no job that runs: it is said now, and raised by `finish`.
        """
        if cls.current is None or not cls.current.is_due or time.monotonic() < cls.current.not_before:
            return
        began = time.monotonic()
        cls.current._update()
        now = time.monotonic()
        cls.current.is_due, cls.current.not_before = False, now + _REST * (now - began)

    @classmethod
    def get_ready(cls) -> None:
        """Import what the last comparison draws with, so that nobody waits for it in the end."""
        if cls.current is not None:
            with without_collector():
                for name in _DRAWS:
                    importlib.import_module(name)

    def _update(self) -> None:
        try:
            try:
                self._compare(pictures=False)
            except UnknownNameError as error:
                if error.option in ("metric", "select"):
                    raise
                # the jobs that it speaks of may still be to come
                self._compare(pictures=False, baseline=None, group_by=None, over=None)
        except Exception as error:  # even one of our own mistakes ends no job
            if not self.warned:
                kind = "" if isinstance(error, VisionBaselinesError) else f"no comparison yet: {type(error).__name__}: "
                log.warning("%s%s", kind, error)
            self.warned = True

    @classmethod
    def finish(cls, error: Exception | None = None) -> None:
        """Compare once more, with pictures, and show the table, how to look at it, and what is left to say.

        Of a sweep that was refused before any of its jobs ran, by this `error`, there is nothing to show.
        """
        if isinstance(error, ConfigError) and cls.current is not None and not cls.current.has_run:
            cls.current = None
        try:
            cls._show()
        finally:
            for line in cls.last_words:
                if line not in str(error or ""):  # which ends the command, and is said last
                    print_prose(line)
            cls.last_words = ()

    @classmethod
    def _show(cls) -> None:
        sweep, cls.current = cls.current, None
        unknown: UnknownNameError | None = None
        try:
            comparison = sweep._compare(pictures=True) if sweep is not None else None
        except UnknownNameError as error:  # its jobs are trained all the same
            unknown = error
            comparison = sweep._compare(pictures=True, **dict.fromkeys(sweep.options)) if sweep is not None else None
        if sweep is None or comparison is None:
            return
        comparison.show()
        # an environment that is not activated is not on the path
        beside = Path(sys.executable).with_name("tensorboard")
        command = "tensorboard" if shutil.which("tensorboard") or not beside.exists() else str(beside)
        print(f"  {shlex.join([command, '--host', '127.0.0.1', '--logdir', str(sweep.folder)])}")
        if unknown is not None:
            raise unknown

    def _compare(self, *, pictures: bool, **otherwise: None) -> Comparison | None:
        is_known = self.records is not None and not pictures
        if self.folder is None or not (is_known or any(self.folder.glob("*/run.json"))):
            return None
        from vision_baselines.comparison.collection import Records
        from vision_baselines.report.write import compare

        self.records = self.records or Records([self.folder])
        options: dict[str, Any] = {**self.options, **otherwise}
        touched: list[Path] | None = list(self.touched)
        now = time.monotonic()
        if pictures or self.looked_around is None or now - self.looked_around > _LOOK_AROUND_S:
            touched, self.looked_around = None, now
        found = compare(
            [self.folder], pictures=pictures, as_given=True, records=self.records, changed=touched, **options
        )
        self.touched = {}
        return found
