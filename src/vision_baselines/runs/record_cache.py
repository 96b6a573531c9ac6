"""What a comparison has read of many records, kept beside it so that only new ones are read again.

A line holds a record's own text, compacted; it is found by the SHA-256 of ``run.json``, so it is right for good. Which
content a folder has is known by the file's size, times and inode (as git's index does); a file that was written within
the last seconds before it was read may change again without a new time, so its signature is not believed yet and
its content is hashed once more. A copy of the folder has other inodes: every record is then hashed once, and none is
parsed.

The file is appended to, a checksum before each line. A torn line ends what is believed; the next writer cuts it off.
Another schema, or other code that reads records, has another first line, and the file is written anew. Nothing in it
can do harm: lines are validated like records. It may be deleted at any time.

Parts that many records share (the code's digests, sections of the config) are one object for all, and what only
figures ask for (`kept_record.DEFERRED`) stays compressed until it is asked for: 10,000 records take 100 MB instead of a
gigabyte. The text of lines stays in the file alone.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from pydantic_core import PydanticSerializationError, from_json
from pydantic_core import __version__ as core_version

from vision_baselines.importing import collector_waits
from vision_baselines.runs import fingerprint, kept_record, migrations
from vision_baselines.runs import record as record_module
from vision_baselines.runs.kept_record import DEFERRED, KeptRecord, field
from vision_baselines.runs.record import RECORD_FILE, RunRecord, parsed_record, record_content
from vision_baselines.storage.atomic import staged
from vision_baselines.storage.reading import read_regular

CACHE_FILE: Final = ".records.cache"
_VERSION = 2
_MOST_CACHE_BYTES = 2**32
_MOST_AT_HAND = 1_000  # epochs, and characters of a confusion matrix: longer ones are unpacked when they are asked for
_SLACK_BYTES = 2**20  # below it a file is not written anew for what is outdated in it
_SHARED = ("environment", "code", "data", "class_names", "task", "parameters", "files", "command", "choices")
# Longer than a file system's clock ticks (2 s on FAT) and than clocks of a file server are usually apart.
_SETTLED_NS = 10 * 10**9

Signature = tuple[int, int, int, int]


class RecordCache:
    """The records at or below one folder, as far as they are known.

    Attributes:
        path: Of the cache.
        files_opened: Number of records whose content was read.
        bytes_read: Of their content.
        records_parsed: Number of those that the cache did not have.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files_opened = self.bytes_read = self.records_parsed = 0
        self._records: dict[str, KeptRecord] = {}
        self._parts: dict[str, Any] = {}
        self._places: dict[str, tuple[Signature, bool, str]] = {}
        self._lengths: dict[str, int] = {}  # of the line of each key that the file has or will have
        self._new: list[bytes] = []
        self._size: int | None = None  # of what is believed in the file; None: it is to be written anew
        self._most_bytes = 0  # that the file may have before it is looked at how much of it is outdated
        self._is_loaded = False

    def load(self) -> None:
        """Take over what the file has, once; one that is damaged or of another version is passed over."""
        if self._is_loaded:
            return
        self._is_loaded = True
        with collector_waits():  # what is read stays
            for line in self._written():
                if not self._take(line):
                    break
                self._size = (self._size or 0) + len(line)

    def _written(self) -> Iterator[bytes]:
        """The lines of the file after the first, if that is of this version; the last may be torn."""
        try:
            content = read_regular(self.path, most_bytes=_MOST_CACHE_BYTES)
        except (OSError, ValueError):
            return
        lines = io.BytesIO(content)
        if lines.readline() == _header():
            self._size = self._size or len(_header())
            yield from lines

    def record(self, folder: Path, place: str) -> RunRecord:
        """The record in `folder`, which is called `place` here.

        Raises:
            FileNotFoundError: There is none.
            ValueError: It is not a record, or of a schema newer than this version knows.
        """
        self.load()
        try:
            found = os.stat(f"{folder}{os.sep}{RECORD_FILE}")  # noqa: PTH116  (of thousands: a path costs more)
        except OSError:
            record_content(folder / RECORD_FILE)  # says why
            raise
        signature = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        known = self._places.get(place)
        if known is not None and known[:2] == (signature, True) and (kept := self._records.get(known[2])) is not None:
            kept.lies_in(folder)
            return kept
        is_settled = time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED_NS
        path = folder / RECORD_FILE
        content = record_content(path)
        self.files_opened, self.bytes_read = self.files_opened + 1, self.bytes_read + len(content)
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 not in self._records:
            self.records_parsed += 1
            record = parsed_record(content, path)
            try:
                self._add(sha256, record)
            except (PydanticSerializationError, ValueError):  # text that is not UTF-8: it is read each time
                return record
        entry = (signature, is_settled, sha256)
        if known != entry:
            self._write(f"f{place}", {"f": place, "s": signature, "ok": is_settled, "r": sha256})
            self._places[place] = entry
        self._records[sha256].lies_in(folder)
        return self._records[sha256]

    def save(self, places: Iterable[str]) -> None:
        """Write what is new; for the only writer of the folder.

        Args:
            places: Of all records that are there; what is known of others is dropped when the file is written anew.

        Raises:
            OSError: It cannot be written.
        """
        if self._size is not None and not self._new:
            return
        if self._size is None or not self._append():
            lines = [_header(), *self._still_there(set(places))]
            with staged(self.path) as file:
                file.writelines(lines)
            self._size = sum(map(len, lines))
        self._new = []

    def _append(self) -> bool:
        """Append the new lines; whether the file was what was left there, and small enough to go on with."""
        new = b"".join(self._new)
        if self._size is None:
            return False
        if self._size + len(new) > self._most_bytes:
            live = sum([self._lengths[f"r{sha256}"] for sha256 in set(map(itemgetter(2), self._places.values()))])
            self._most_bytes = 2 * live + _SLACK_BYTES
            if self._size + len(new) > self._most_bytes:
                return False
        flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            with os.fdopen(os.open(self.path, flags), "r+b") as file:
                if file.seek(0, os.SEEK_END) < self._size:
                    return False
                file.truncate(self._size)  # what was torn
                file.seek(self._size)
                file.write(new)
        except OSError:
            return False
        self._size += len(new)
        return True

    def _still_there(self, places: set[str]) -> Iterable[bytes]:
        """The lines of what is there; folders that are gone are dropped, and records and parts that no folder has.

        Lines that were read lie in the file alone. One that it lost since is of a record that will be read again.
        """
        lines: dict[str, bytes] = {}
        for line in chain(self._written() if self._size is not None else (), self._new):
            entry = _entry(line)
            if (key := _key(entry)) in self._lengths and all(f"p{part}" in lines for part in _parts_of(entry)):
                lines[key] = line
        self._places = {
            place: found
            for place, found in self._places.items()
            if place in places and {f"f{place}", f"r{found[2]}"} <= lines.keys()
        }
        kept = {sha256 for *_, sha256 in self._places.values()}
        self._records = {sha256: record for sha256, record in self._records.items() if sha256 in kept}
        used = {part for sha256 in kept for part in _parts_of(_entry(lines[f"r{sha256}"]))}
        self._parts = {name: part for name, part in self._parts.items() if name.rpartition(" ")[2] in used}
        keys = (
            {f"p{part}" for part in used} | {f"r{sha256}" for sha256 in kept} | {f"f{place}" for place in self._places}
        )
        lines = {key: line for key, line in lines.items() if key in keys}
        self._lengths = {key: len(line) for key, line in lines.items()}
        return [lines[key] for key in sorted(lines, key=lambda key: "prf".index(key[0]))]

    def _add(self, sha256: str, record: RunRecord) -> None:
        plain = from_json(record.model_dump_json())
        deferred = json.dumps({name: plain.pop(name) for name in DEFERRED}, separators=(",", ":"), allow_nan=True)
        packed = base64.b64encode(zlib.compress(deferred.encode(), 1)).decode()
        confusion = json.dumps(matrix, separators=(",", ":")) if (matrix := record.confusion) else ""
        curve = record.by_epoch(record.selection_metric)
        at_hand = {
            "n": len(record.history),
            "curve": list(zip(*curve, strict=True)) if 0 < len(curve) <= _MOST_AT_HAND else None,
            "sizes": self._part(record.class_sizes),
            "confusion": confusion if 0 < len(confusion) <= _MOST_AT_HAND else None,
        }
        shared = {name: self._part(plain.pop(name)) for name in _SHARED}
        config = {key: self._part(value) for key, value in plain.pop("config").items()}
        line = {"r": sha256, "own": plain, "shared": shared, "config": config, "now": at_hand, "later": packed}
        self._records[sha256] = self._made(from_json(self._write(f"r{sha256}", line)))

    def _part(self, value: Any) -> str:
        text = json.dumps(value, separators=(",", ":"), allow_nan=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:24]
        if digest not in self._parts:
            self._parts[digest] = value
            self._write(f"p{digest}", {"p": digest, "v": value})
        return digest

    def _write(self, key: str, entry: dict[str, Any]) -> bytes:
        text = json.dumps(entry, separators=(",", ":"), allow_nan=True).encode()
        line = b"%08x %s\n" % (zlib.crc32(text), text)
        self._lengths[key] = len(line)
        self._new.append(line)
        return text

    def _take(self, line: bytes) -> bool:
        """Whether a line is whole, and is one of this version."""
        entry = _entry(line)
        try:
            key = _key(entry)
            if key[0] == "p":
                self._parts[entry["p"]] = entry["v"]
            elif key[0] == "f":
                size, mtime, ctime, inode = entry["s"]
                self._places[entry["f"]] = ((size, mtime, ctime, inode), entry["ok"] is True, entry["r"])
            else:
                self._records[entry["r"]] = self._made(entry)
            self._lengths[key] = len(line)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return False
        return True

    def _made(self, entry: dict[str, Any]) -> KeptRecord:
        """The record of a line.

        Raises:
            ValueError: It is not one, or a part is missing.
        """
        shared = {name: self._parts_as(name, entry["shared"][name]) for name in _SHARED}
        shared["config"] = {key: self._parts[digest] for key, digest in entry["config"].items()}
        packed, now = base64.b64decode(entry["later"]), entry["now"]
        return KeptRecord.of(entry["own"], shared, packed, now, self._sizes(now["sizes"]))

    def _sizes(self, digest: str) -> tuple[int, ...]:
        """The images of each class: one object for all that were tested on the same."""
        key = f"sizes {digest}"
        if key not in self._parts:
            self._parts[key] = tuple(map(int, self._parts[digest]))
        sizes: tuple[int, ...] = self._parts[key]
        return sizes

    def _parts_as(self, name: str, digest: str) -> Any:
        """A part as a field of a record: one object for all that share it."""
        key = f"{name} {digest}"
        if key not in self._parts:
            self._parts[key] = field(name)(self._parts[digest])
        return self._parts[key]


def _entry(line: bytes) -> dict[str, Any]:
    """What a line holds; nothing where it is torn."""
    try:
        found = from_json(line[9:-1]) if line[-1:] == b"\n" and line[:9] == b"%08x " % zlib.crc32(line[9:-1]) else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _key(entry: dict[str, Any]) -> str:
    """What a line is found by: its kind, which is that of a part, a folder or a record, and its name."""
    return next((f"{kind}{entry[kind]}" for kind in "pfr" if kind in entry), "-")


def _parts_of(entry: dict[str, Any]) -> Iterable[str]:
    """Digests of the parts that a record's line is made of; none of another one."""
    return (*entry["shared"].values(), *entry["config"].values(), entry["now"]["sizes"]) if "own" in entry else ()


@cache
def _header() -> bytes:
    """The first line: a digest of what decides how a record is read."""
    digest = hashlib.sha256(f"{_VERSION} {core_version} {migrations.SCHEMA_VERSION}".encode())
    for module in (__file__, kept_record.__file__, record_module.__file__, migrations.__file__, fingerprint.__file__):
        digest.update(Path(str(module)).read_bytes())
    return b"records %s\n" % digest.hexdigest().encode()
