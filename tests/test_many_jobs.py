"""Two hundred runs in one process take no more memory and time each at the end than at the beginning."""

from __future__ import annotations

import gc
import statistics
import time
from pathlib import Path

import pytest


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.slow
def test_memory_and_time_of_a_run_stay_flat_over_200(train_tiny, tmp_path):
    seconds, memory = [], []
    for seed in range(200):
        started = time.process_time()
        train_tiny(tmp_path / f"run{seed}", f"seed={seed}", "logger=tensorboard", pictures=True)
        seconds.append(time.process_time() - started)
        gc.collect()
        memory.append(resident_bytes())
    first, last = statistics.median(seconds[20:70]), statistics.median(seconds[150:])
    growth = (memory[-1] - memory[49]) / 150
    found = f"CPU seconds a run {first:.3f} then {last:.3f}; {growth / 1e3:.1f} kB more a run"
    assert last < 1.25 * first, found
    assert growth < 200e3, found
