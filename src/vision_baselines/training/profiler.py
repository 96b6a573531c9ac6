"""Lightning's profiler that measures nothing, without the price of measuring nothing.

Lightning wraps every hook of every callback in ``profiler.profile(…)``. Its own default makes a generator and a context
manager for each, some sixty a step; this one hands out the same empty context each time.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from pytorch_lightning.profilers import PassThroughProfiler

_NOTHING: AbstractContextManager[None] = nullcontext()


class QuietProfiler(PassThroughProfiler):
    """Measures nothing; ``trainer.profiler=simple`` measures."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """An empty context, always the same."""
        return _NOTHING
