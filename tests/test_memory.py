"""Memory that a step frees is there for the next step, without a page fault for each 4 KiB of it."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

# In a process of its own: what else lies in a process decides what its allocator can give back.
_FAULTS = """
import ctypes, json, resource, statistics

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

def faults_of_a_step():  # two dozen blocks of 1 MiB live at once and are freed, as activations are
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [libc.malloc(2**20) for _ in range(24)]
    for block in blocks:
        libc.memset(block, 1, 2**20)
    for block in blocks:
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def usual_faults():
    return statistics.median([faults_of_a_step() for _ in range(14)][3:])

by_default = usual_faults()
from vision_baselines.runs.freed_memory import keep_freed_memory
keep_freed_memory()
print(json.dumps([by_default, usual_faults()]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_a_step_finds_the_memory_that_the_last_one_freed():
    ran = subprocess.run([sys.executable, "-c", _FAULTS], capture_output=True, text=True, check=True)
    by_default, kept = json.loads(ran.stdout)
    every_page = 24 * 2**20 / 4096
    assert by_default > 0.9 * every_page, "there is nothing to keep: the test would pass without it"
    assert kept < 0.05 * every_page
