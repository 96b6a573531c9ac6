"""A terminal that may be closed while a command writes to it, as by a connection that breaks."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any


class _Closable(io.FileIO):
    """A terminal's file; what is written to it once it is closed goes nowhere."""

    def write(self, data: Any, /) -> int:
        """See `io.FileIO`."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        return len(data)


def outlive_terminal() -> None:
    """Let standard output and errors, where they are a terminal, be written to after it was closed."""
    if os.name != "posix":
        return
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and not stream.closed and stream.isatty():
            stream.flush()
            file = io.BufferedWriter(_Closable(stream.fileno(), "w", closefd=False))
            setattr(sys, name, io.TextIOWrapper(file, stream.encoding, stream.errors, line_buffering=True))
