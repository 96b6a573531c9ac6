"""The errors a person can cause, each with the exit code its kind ends in.

The message is one or two lines: what was received, what was expected, what to change. Anything else that is
raised is a mistake of ours and keeps its traceback.
"""

from __future__ import annotations


class VisionBaselinesError(Exception):
    """Something the person at the keyboard can put right."""

    exit_code = 1


class ConfigError(VisionBaselinesError):
    """The configuration asks for something that does not exist or cannot be."""

    exit_code = 2


class DataError(VisionBaselinesError):
    """The data is missing, damaged or not what the configuration says."""

    exit_code = 3


class TrainingError(VisionBaselinesError):
    """A run, or at least one job of a sweep, did not come to its result."""

    exit_code = 4


class DivergedError(TrainingError):
    """The loss is no longer a finite number."""


class StorageError(VisionBaselinesError):
    """Something cannot be written or what was written cannot be trusted."""

    exit_code = 5
