"""A question to the server that jobs are forked from: its answer, or none where it fails or dies."""

from __future__ import annotations

import multiprocessing
import os

import pytest

from vision_baselines.jobs.asking import answer_of
from vision_baselines.jobs.worker_entry import answer


@pytest.mark.slow
@pytest.mark.ci
def test_a_function_that_raises_or_dies_or_is_waited_for_no_longer_gives_no_answer(tmp_path):
    ask = {"preload": ["vision_baselines.jobs.worker_entry"]}
    assert answer_of(divmod, 7, 2, **ask) == (3, 1)
    assert answer_of(divmod, 7, 0, **ask) is None
    assert answer_of(os._exit, 3, **ask) is None

    pids = []
    late = tmp_path / "late"

    def stop():
        pids.extend(process.pid for process in multiprocessing.active_children())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer_of(exec, f"import time; time.sleep(300); open({str(late)!r}, 'w')", meanwhile=stop, **ask)
    [pid] = pids
    with pytest.raises(ProcessLookupError):  # it has been ended
        os.kill(pid, 0)
    assert not late.exists()  # and was not waited for


@pytest.mark.parametrize("function", [divmod, lambda *_: lambda: None])
def test_an_answer_that_nobody_waits_for_or_that_cannot_be_sent_is_no_error(function):
    ours, theirs = multiprocessing.Pipe(duplex=False)
    if function is divmod:
        ours.close()
        answer(theirs, function, 7, 2)
    else:
        answer(theirs, function, 7, 2)
        assert ours.recv() is None
        ours.close()
    assert theirs.closed
