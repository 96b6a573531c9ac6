"""A lease on a folder for file systems where the system's own lock does nothing: a file that one process at a time has.

The file is made by a hard link, or by an exclusive creation where there are none; both hold on NFS and Lustre without a
lock daemon. It says who holds the folder: host, boot, process and when that began, and its time of change is the
holder's sign of life, renewed every `BEAT_S` seconds. Ages are measured with the file system's own clock, so that the
clocks of hosts may differ. Of a holder on this machine the system knows whether it lives, and a dead one's lease is
taken at once; that of another host is taken when there was no sign of life for `STALE_S` seconds, or when this process
is a later attempt of the same job of Slurm, which starts one only when the attempt before has ended.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import stat
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from vision_baselines.errors import StorageError
from vision_baselines.storage.holder import STALE_S, Holder, is_alive, own_holder, parsed

BEAT_S = 20.0
"""Seconds between two signs of life of a holder."""
_MOST_BYTES = 4096
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV, errno.EACCES, errno.EINVAL}
_LOST = 5


def acquire(path: Path) -> Holder | None:
    """Make the lease this process's.

    Returns:
        None where that is done; else who has it.

    Raises:
        StorageError: It is a link, a folder or something else that is not a file.
        OSError: The folder cannot be written.
    """
    own, path = own_holder(), path.absolute()
    _claimed.add(own.token)
    try:
        while True:
            if _made(path, own):
                _watch(path, own.token)
                return None
            found = read(path)
            if found is not None and (is_alive(*found, _claimed) or not _removed(path, found[0])):
                return found[0]
    finally:
        if own.token not in _held.values():
            _claimed.discard(own.token)


def release(path: Path) -> None:
    """Give the lease back, if it is this process's still."""
    path = path.absolute()
    with _lock:
        token = _held.pop(path, None)
    try:
        found = _read(path) if token else None
        if found is not None and found[0].token == token:
            _unlink(path)
    finally:
        _claimed.discard(token or "")


def forget() -> None:
    """Called in a child that was forked: what its parent holds is not the child's to renew or give back."""
    global _lock, _beating
    _lock, _beating = threading.Lock(), None
    _held.clear()
    _claimed.clear()


def read(path: Path) -> tuple[Holder, float] | None:
    """Who has a lease, and the seconds since the last sign of life by the file system's clock; None where nobody has.

    A file is made beside it for a moment, to read that clock.
    """
    found = _read(path)
    if found is None:
        return None
    return found[0], _file_system_time(path) - found[1]


def peek(path: Path, now: float) -> Holder | None:
    """Who has a lease and is alive, as far as that can be told at `now` without writing anything; None where nobody."""
    try:
        found = _read(path)
    except (OSError, StorageError):
        return None
    return found[0] if found is not None and is_alive(found[0], now - found[1], _claimed) else None


def _made(path: Path, own: Holder) -> bool:
    content = json.dumps(asdict(own)).encode()
    beside = path.with_name(f"{path.name}.{secrets.randbits(48)}")
    try:
        with os.fdopen(os.open(beside, _MAKE, 0o666), "wb") as file:
            file.write(content)
        try:
            os.link(beside, path)
        except FileExistsError:
            return False
        except OSError as error:
            # an answer that was lost on the way is an error although the link was made
            if beside.stat().st_nlink == 2:
                return True
            if error.errno not in _NO_LINKS:
                raise
        else:
            return True
    finally:
        _unlink(beside)
    try:
        with os.fdopen(os.open(path, _MAKE, 0o666), "wb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def _read(path: Path) -> tuple[Holder, float] | None:
    """Who has a lease, and its time of change."""
    try:
        descriptor = os.open(path, _READ)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _not_a_file(path) from error
        raise
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise _not_a_file(path)
        return parsed(os.read(descriptor, _MOST_BYTES)), facts.st_mtime
    finally:
        os.close(descriptor)


def _not_a_file(path: Path) -> StorageError:
    return StorageError(f"{path} is not a regular file; expected a lock that this project made")


def _file_system_time(path: Path) -> float:
    """The present time as the file system would write it, in seconds."""
    probe = path.with_name(f"{path.name}.{secrets.randbits(48)}")
    try:
        descriptor = os.open(probe, _MAKE, 0o666)
        try:
            return os.fstat(descriptor).st_mtime
        finally:
            os.close(descriptor)
    finally:
        _unlink(probe)


def _removed(path: Path, dead: Holder) -> bool:
    """Remove the lease of a dead holder, unless somebody else is doing so.

    Who may is decided by another file that one process alone can make; under it the lease is looked at once more, for
    it may be somebody's new one by now.
    """
    mark = path.with_name(f"{path.name}.{int(dead.token or '0', 16) if _is_hex(dead.token) else 0}")
    try:
        os.close(os.open(mark, _MAKE, 0o666))
    except FileExistsError:
        with contextlib.suppress(OSError):  # of a process that died in the midst of this
            if _file_system_time(path) - mark.stat().st_mtime > STALE_S:
                _unlink(mark)
        return False
    try:
        found = read(path)
        if found is not None and found[0] == dead and not is_alive(*found, _claimed):
            _unlink(path)
        return True
    finally:
        _unlink(mark)


def _unlink(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)  # noqa: PTH107  # tests that count what is removed of a run do not count a lease


def _is_hex(text: str) -> bool:
    return bool(text) and all(character in "0123456789abcdef" for character in text)


# The leases of this process, by path, and the thread that renews them.
_held: dict[Path, str] = {}
_claimed: set[str] = set()  # those, and what this process tries to make its own
_lock = threading.Lock()
_beating: threading.Thread | None = None
_wake = threading.Event()


def _watch(path: Path, token: str) -> None:
    global _beating
    with _lock:
        _held[path] = token
        if _beating is None or not _beating.is_alive():
            _beating = threading.Thread(target=_beat, name="lock-heartbeat", daemon=True)
            _beating.start()


def _beat() -> None:
    while not _wake.wait(BEAT_S):
        with _lock:
            leases = dict(_held)
        for path, token in leases.items():
            _renew(path, token)


def _renew(path: Path, token: str) -> None:
    """A sign of life; a process that finds its lease another's was asleep for minutes and must not write any more."""
    try:
        found = _read(path)
        if found is None or found[0].token == token:  # removed with the folder, or still its own
            os.utime(path)
            return
    except (OSError, StorageError):
        return  # the file system does not answer now
    with _lock:
        if _held.get(path) != token:
            return  # given back meanwhile
    sys.stderr.write(f"error: {path.parent} was taken by another process while this one was suspended\n")
    sys.stderr.flush()
    os._exit(_LOST)
