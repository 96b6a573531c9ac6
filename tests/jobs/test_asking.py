"""A question to the server that jobs are forked from: its answer, or none where it fails or dies."""

from __future__ import annotations

import os
import time

import pytest

from vision_baselines.jobs.asking import answer_of


@pytest.mark.slow
@pytest.mark.ci
def test_a_function_that_raises_or_dies_or_is_waited_for_no_longer_gives_no_answer():
    ask = {"preload": ["vision_baselines.jobs.worker_entry"]}
    assert answer_of(divmod, 7, 2, **ask) == (3, 1)
    assert answer_of(divmod, 7, 0, **ask) is None
    assert answer_of(os._exit, 3, **ask) is None

    def stop():
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        answer_of(time.sleep, 600, meanwhile=stop, **ask)
    assert time.monotonic() - began < 300
