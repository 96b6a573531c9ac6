"""A logger that keeps nothing: for the processes of a run beside its first, where callbacks look for one."""

from __future__ import annotations

from typing import Any

from pytorch_lightning.loggers import Logger


class SilentLogger(Logger):
    """Takes what is logged and forgets it."""

    @property
    def name(self) -> str:
        """None to speak of."""
        return ""

    @property
    def version(self) -> str:
        """None either."""
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Forget them."""

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Forget them."""
