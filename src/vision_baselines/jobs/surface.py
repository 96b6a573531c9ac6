"""What belongs to a process and is each job's own where several share one: output, logs, Hydra's config, folder."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig

_DESCRIPTORS = (1, 2)


class JobSurface:
    """One job's output, log handlers, Hydra config and current folder; see `together.Surface`.

    Args:
        loggers: Names of the loggers, beside the root, whose handlers are a job's own.
    """

    def __init__(self, *loggers: str) -> None:
        self._loggers = [logging.getLogger(), *map(logging.getLogger, loggers)]
        self._handlers = [list(logger.handlers) for logger in self._loggers]
        self._levels = [logger.level for logger in self._loggers]
        self._hydra = HydraConfig.instance().cfg
        self._folder = Path.cwd()
        self._descriptors = [os.dup(descriptor) for descriptor in _DESCRIPTORS]

    def take(self) -> None:
        """Put the job's own in place."""
        for kept, descriptor in zip(self._descriptors, _DESCRIPTORS, strict=True):
            os.dup2(kept, descriptor)
        for logger, handlers, level in zip(self._loggers, self._handlers, self._levels, strict=True):
            logger.handlers = handlers
            if logger.level != level:
                logger.setLevel(level)
        HydraConfig.instance().cfg = self._hydra
        os.chdir(self._folder)

    def leave(self) -> None:
        """Keep what is in place."""
        sys.stdout.flush()
        sys.stderr.flush()
        for kept, descriptor in zip(self._descriptors, _DESCRIPTORS, strict=True):
            os.dup2(descriptor, kept)
        self._handlers = [logger.handlers for logger in self._loggers]
        self._levels = [logger.level for logger in self._loggers]
        self._hydra = HydraConfig.instance().cfg
        self._folder = Path.cwd()
