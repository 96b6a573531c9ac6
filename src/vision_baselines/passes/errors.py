"""Why copies of a run cannot be trained in one pass."""

from __future__ import annotations


class NotInOnePassError(Exception):
    """Something of the run has no batched form here; the message says what, as the end of a sentence."""
