"""How a run ends that does not finish: noted, or refused without a trace; and what its errors are of: disk, lock."""

from __future__ import annotations

import errno
import logging
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vision_baselines.errors import (
    ConfigError,
    DivergedError,
    OutOfTimeError,
    PrunedError,
    StorageError,
    VisionBaselinesError,
)
from vision_baselines.jobs.signals import Interrupted
from vision_baselines.report.hparams import write_row
from vision_baselines.runs.files import CONFIG_FILE, clear, written_files
from vision_baselines.runs.record import RECORD_FILE, Failure, RunRecord, Status, now
from vision_baselines.runs.replaced import put_back
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.storage.holder import STALE_S
from vision_baselines.storage.lock import RunLockedError, exclusive

log = logging.getLogger(__name__)

FINISHED = "the run is finished, and its result is kept"
"""What is printed where a signal comes once a result is written."""
_LOOK_AGAIN_S = 2.0


@dataclass(frozen=True)
class Before:
    """What stood in a run's folder before an attempt, so that one which is refused while it is built changes nothing.

    Attributes:
        folder: Of the run, held by this process.
        files: The content of the files that an attempt writes first; None where there was none.
        was_finished: Whether a run had come to its result there.
    """

    folder: Path
    files: Mapping[str, bytes | None]
    was_finished: bool

    @classmethod
    def of(cls, folder: Path, previous: RunRecord | None) -> Before:
        """Look, before anything is removed or written."""
        found = {name: folder / name for name in (CONFIG_FILE, RECORD_FILE)}
        files = {name: path.read_bytes() if path.is_file() else None for name, path in found.items()}
        return cls(folder, files, previous is not None and previous.finished)

    @property
    def was_cleared(self) -> bool:
        """Whether a run anew has removed what an earlier one had left; a result was set aside instead."""
        return self.files[RECORD_FILE] is not None and not self.was_finished

    def restore(self, checkpoints: Path, *, is_set_aside: bool) -> None:
        """Put back what stood there; where no run had left a record, a later sweep of this name should not list it.

        Args:
            checkpoints: A folder that has been made, and is removed where nothing lies in it.
            is_set_aside: Whether this attempt has set an earlier result aside, if there was one.
        """
        if self.files[RECORD_FILE] is None:
            clear(self.folder, None)
        elif is_set_aside:
            put_back(self.folder)
        for name, content in self.files.items():
            if content is not None:
                write_atomically(self.folder / name, content)
            else:
                (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            checkpoints.rmdir()


def note_failure(record: RunRecord, error: BaseException, folder: Path) -> None:
    """Write into the record of the run in `folder` how it ended."""
    record.ended_at = now()
    message = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Interrupted | KeyboardInterrupt | OutOfTimeError):
        record.status = Status.INTERRUPTED
    elif isinstance(error, PrunedError):
        record.status = Status.PRUNED
    else:
        record.status = Status.DIVERGED if isinstance(error, DivergedError) else Status.FAILED
    if isinstance(error, SystemExit):
        message = f"the run called sys.exit({error.code!r})"
    known = isinstance(error, VisionBaselinesError | Interrupted)
    trace = "" if known else traceback.format_exc()
    record.failure = Failure(kind=type(error).__name__, message=message, traceback=trace)
    try:
        write_row(record, folder)
        record.files = written_files(folder)
        record.write(folder)
    except OSError as problem:  # the failure itself matters more than that it could not be noted
        log.error("could not note the failure in %s: %s", folder, problem.strerror)


@contextmanager
def sole_trainer(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold the run's folder. In a sweep wait for it: when another sweep has finished the job, it is skipped.

    A holder on another host may be gone, as the attempt of a job before a node failed: it is waited for until it gives
    a sign of life.
    """
    with ExitStack() as held:
        quiet_s = 0.0
        while True:
            try:
                held.enter_context(exclusive(folder, wait=wait))
                break
            except RunLockedError as error:
                if not error.host or error.quiet_s < quiet_s:
                    raise ConfigError(f"{error}; wait for it, or choose another name=…") from error
                if not quiet_s:
                    log.info("%s; waiting for a sign of life, at most %.0f s in all", error, STALE_S)
                quiet_s = max(error.quiet_s, 0.001)
            time.sleep(_LOOK_AGAIN_S)
        yield


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Say of an error of the disk what can be done about it."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG):
            reason = "disk full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else error.strerror
            raise StorageError(
                f"{reason} at {error.filename or folder}; make room, or set paths.output_dir to where there is some"
            ) from error
        raise
