"""A record as a cache of many holds it: what it shares with others is one object, what few ask for is compressed.

What every comparison asks for of the latter (the selection metric by epoch, a small confusion matrix) lies at hand.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic_core import from_json

from vision_baselines.runs.record import MOST_BYTES, Curve, EpochRow, RunRecord, read_record

DEFERRED: Final = ("history", "curves", "confusion")
_PACKED, _FOLDER, _AT_HAND, _CONFUSION = "_packed", "_folder", "_at_hand", "_confusion"


class _Deferred(BaseModel):
    model_config = ConfigDict(extra="forbid")

    history: list[EpochRow]
    curves: dict[str, Curve]
    confusion: list[list[int]] | None


class KeptRecord(RunRecord):
    """A record whose `DEFERRED` fields are unpacked when they are asked for; it is read, never written."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """A deferred field; anything else as ever."""
            if name not in DEFERRED:
                return super().__getattr__(name)
            if name == "confusion" and (text := self.__dict__[_CONFUSION]) is not None:
                return field(name)(from_json(text))
            try:
                return getattr(_unpacked(self.__dict__[_PACKED]), name)
            except (ValueError, zlib.error):  # nothing that this project wrote
                return getattr(read_record(self.__dict__[_FOLDER]), name)

    @property
    def n_epochs(self) -> int:
        """Number of epochs that were noted."""
        return int(self.__dict__[_AT_HAND][0])

    def by_epoch(self, metric: str) -> list[tuple[int, float]]:
        """Epoch and value of a metric, where an epoch has it."""
        if metric != self.selection_metric or (found := self.__dict__[_AT_HAND][1]) is None:
            return super().by_epoch(metric)
        return list(zip(*found, strict=True))

    @property
    def class_sizes(self) -> tuple[int, ...]:
        """Number of test images of each class; empty where there is no confusion matrix."""
        return cast(tuple[int, ...], self.__dict__[_AT_HAND][2])

    @classmethod
    def of(
        cls,
        own: Mapping[str, Any],
        shared: Mapping[str, Any],
        packed: bytes,
        now: Mapping[str, Any],
        sizes: tuple[int, ...],
    ) -> KeptRecord:
        """A record of its parts.

        Args:
            own: Plain fields that are validated.
            shared: Fields as they are, the config and the environment among them.
            packed: The `DEFERRED` ones, compressed.
            now: Of these what lies at hand, as the cache writes it.
            sizes: The images of each class.

        Raises:
            ValueError: They are none of a record.
        """
        found = cls.model_validate({**own, "config": {}, "environment": shared["environment"]})
        values = found.__dict__
        values |= shared
        for name in DEFERRED:
            del values[name]
        values[_PACKED] = packed
        values[_CONFUSION] = now["confusion"]
        curve = None if now["curve"] is None else (array("q", now["curve"][0]), array("d", now["curve"][1]))
        values[_AT_HAND] = (now["n"], curve, sizes)
        return found

    def lies_in(self, folder: Path) -> None:
        """Note where the record itself can be read, where what is compressed cannot."""
        self.__dict__[_FOLDER] = folder


@cache
def field(name: str) -> Callable[[Any], Any]:
    """What validates a field of a record."""
    adapter: TypeAdapter[Any] = TypeAdapter(RunRecord.model_fields[name].rebuild_annotation())
    return adapter.validate_python


@lru_cache(maxsize=64)
def _unpacked(packed: bytes) -> _Deferred:
    unpacker = zlib.decompressobj()
    return _Deferred.model_validate_json(unpacker.decompress(packed, MOST_BYTES))
