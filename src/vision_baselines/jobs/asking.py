"""A question to the server that jobs are forked from: it has imported what this process does without."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from vision_baselines.jobs.pool import POLL_S, start_server
from vision_baselines.jobs.worker_entry import answer


def answer_of(
    function: Callable[..., Any], *arguments: Any, preload: Sequence[str], meanwhile: Callable[[], None] = lambda: None
) -> Any:
    """What a function of a module returns when it is called in a process of its own; None where it gives no answer.

    Args:
        function: What is called, and what it is given and returns can be sent.
        arguments: For it.
        preload: As for `start_server`.
        meanwhile: Called several times a second; what it raises ends the process and is raised.
    """
    context = start_server(preload)
    ours, theirs = context.Pipe(duplex=False)
    with ours:
        process = context.Process(target=answer, args=(theirs, function, *arguments), daemon=True)
        try:
            with theirs:
                process.start()
        except (EOFError, OSError):  # the server was killed
            return None
        try:
            while not ours.poll(POLL_S):
                meanwhile()
            with contextlib.suppress(EOFError, OSError):  # it died
                return ours.recv()
            return None
        finally:
            with contextlib.suppress(ProcessLookupError, AttributeError):
                process.kill()
            process.join()
            process.close()
