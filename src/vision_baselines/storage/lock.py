"""One process at a time in a folder: a lock that dies with the process that holds it.

An advisory lock on an open file is let go by the operating system however the process ends, SIGKILL included. On a
shared file system it may hold on one host only, or not at all, so a lease goes with it, which has to be judged where
its holder ended without giving it back; see `lease`.
"""

from __future__ import annotations

import errno
import importlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from vision_baselines.errors import StorageError
from vision_baselines.storage import lease
from vision_baselines.storage.holder import STALE_S


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


# Unix locks a file, Windows a byte of it; where there is neither, the lease alone decides.
fcntl, msvcrt = _module("fcntl"), _module("msvcrt")

LOCK_FILE = ".lock"
LEASE_FILE = f"{LOCK_FILE}.lease"
LOCK_FILES = frozenset({LOCK_FILE, LEASE_FILE})
"""What a lock leaves in its folder."""
LOCK_PATTERN = "|".join(map(re.escape, sorted(LOCK_FILES)))
"""A regular expression that matches these names."""
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# What a file system without locks answers.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EREMOTEIO}
_LONGEST_NAP_S = 2.0
# Who only looks whether a lock is held (`holder`) holds it for a moment.
_LOOK_S = 0.02
_LOCKED_BYTE = 2**30  # far behind the process id, which others may read while it is locked
# Open locks of this process. A child that is forked while one is held, such as a data loader's worker, lets go of its
# copy at once: it may outlive a killed parent by seconds, and with the copy the lock would outlive it too.
_held: set[TextIO] = set()


class RunLockedError(Exception):
    """Another process holds the folder.

    Args:
        folder: The folder.
        pid: That process's id, 0 if it is not known.
        host: Where it runs, if that is another host.
        quiet_s: Seconds since the last sign of life of a process on another host.
        unreadable: A lease that names no process.
    """

    def __init__(
        self, folder: Path, pid: int, host: str = "", quiet_s: float = 0.0, unreadable: Path | None = None
    ) -> None:
        where = f" on {host}, last heard of {max(0.0, quiet_s):.0f} s ago" if host else ""
        said = f"{folder} is being trained by process {pid or '(unknown)'}{where}"
        if unreadable is not None:
            said = f"{unreadable} names no process; it holds the folder until it is {STALE_S:.0f} s old or removed"
        super().__init__(said)
        self.pid, self.host, self.quiet_s = pid, host, quiet_s


@contextmanager
def exclusive(
    folder: Path, *, wait: bool = False, name: str = LOCK_FILE, on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Hold `folder` for as long as the block runs.

    Args:
        folder: The folder; made if it is not there.
        wait: Wait until it is free instead of raising.
        name: Of the lock file, which stays behind and means nothing by itself.
        on_wait: Called once if there is a wait.

    Raises:
        RunLockedError: Another process holds it.
        StorageError: The lock file is a link or something else that is not a file.
        OSError: The folder cannot be written.
    """
    with _acquired(folder, name, wait=wait, on_wait=on_wait) as file:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        _held.add(file)
        try:
            yield
        finally:
            _held.discard(file)
            lease.release(_lease(folder, name))
            if not file.closed:
                file.truncate(0)
                _unlock(file)


def holder(folder: Path, *, name: str = LOCK_FILE) -> int | None:
    """The id of the process that holds `folder`, 0 where that is not known; None where none does.

    Nothing is written. A process that has only just taken the lock may be overlooked.
    """
    if (found := lease.peek(_lease(folder, name), time.time())) is not None:
        return found.pid
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(folder / name, flags if fcntl is not None else os.O_RDWR)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)  # Python opens no file object on a folder's
        return None
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        if not (pid := _holder(file)):
            return None
        if fcntl is None:
            if not _locked(file, wait=False):
                return pid
            _unlock(file)
            return None
        try:  # shared, so that no two who look disturb each other
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return pid
        except OSError:
            return None
        return None


def _acquired(folder: Path, name: str, *, wait: bool, on_wait: Callable[[], None] | None) -> TextIO:
    """The lock file, locked, and not one that was removed with its run while this process waited."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        file = _opened(folder / name)
        try:
            if not _locked_soon(file):
                if not wait:
                    raise RunLockedError(folder, _holder(file))
                if on_wait is not None:
                    on_wait()
                    on_wait = None
                while not _locked(file, wait=True):
                    pass
            if os.path.samestat(os.fstat(file.fileno()), os.lstat(folder / name)) and _leased(
                folder, name, wait=wait, on_wait=on_wait
            ):
                return file
        except FileNotFoundError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()


def _lease(folder: Path, name: str) -> Path:
    return folder / f"{name}.lease"


def _leased(folder: Path, name: str, *, wait: bool, on_wait: Callable[[], None] | None) -> bool:
    """Take the lease; whether that was done without a wait, after which the lock file may be another one."""
    path, nap_s, waited = _lease(folder, name), _LOOK_S, False
    while (other := lease.acquire(path)) is not None:
        if not wait and waited:
            elsewhere = not other.is_here and bool(other.host)
            found = lease.read(path) if elsewhere else None
            quiet_s = found[1] if found is not None else 0.0
            nameless = path if not other.token else None
            raise RunLockedError(folder, other.pid, other.host if elsewhere else "", quiet_s, nameless)
        if wait and waited and on_wait is not None:
            on_wait()
            on_wait = None
        time.sleep(nap_s)
        nap_s, waited = min(2 * nap_s, _LONGEST_NAP_S), True
    return True


def _locked_soon(file: TextIO) -> bool:
    if _locked(file, wait=False):
        return True
    time.sleep(_LOOK_S)
    return _locked(file, wait=False)


def _opened(path: Path) -> TextIO:
    try:
        descriptor = os.open(path, _FLAGS, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise StorageError(f"{path} is not a regular file; expected a lock that this project made") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StorageError(f"{path} is not a regular file; expected a lock that this project made")
    return os.fdopen(descriptor, "r+", encoding="ascii", errors="replace")


def _holder(file: TextIO) -> int:
    file.seek(0)
    text = file.read(20).strip()
    return int(text) if text.isdigit() else 0


def _locked(file: TextIO, *, wait: bool) -> bool:
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
    elif msvcrt is not None:
        os.lseek(file.fileno(), _LOCKED_BYTE, os.SEEK_SET)
        try:  # LK_LOCK itself gives up after ten seconds
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(file.fileno(), 0, os.SEEK_SET)
    return True


def _unlock(file: TextIO) -> None:
    if fcntl is None and msvcrt is not None:  # flock is let go when the file is closed
        os.lseek(file.fileno(), _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)


def _let_go() -> None:
    for file in _held:
        file.close()
    _held.clear()
    lease.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
