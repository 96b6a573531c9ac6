"""What can be wrong with a request for a comparison, as errors that name what exists instead."""

from __future__ import annotations

from collections.abc import Iterable

from vision_baselines.errors import ConfigError, DataError


class UnknownNameError(ConfigError, ValueError):
    """A group key, a metric or a baseline that no record has; `option` says which of them."""

    option: str = ""

    @classmethod
    def of(cls, option: str, wanted: str, known: Iterable[str]) -> UnknownNameError:
        """The error for ``option=wanted`` where only `known` exist."""
        names = sorted(set(known))
        shown = ", ".join(names[:30]) + (f", … ({len(names)} in all)" if len(names) > 30 else "")
        error = cls(f"{option}={wanted!r} names nothing in these records; there is: {shown or 'nothing'}")
        error.option = option
        return error


class NoRecordsError(DataError, FileNotFoundError):
    """There is nothing to compare."""
