"""Memory that a step frees is there for the next step, without a page fault for each 4 KiB of it."""

from __future__ import annotations

import platform
import resource

import pytest
import torch

from vision_baselines.runs.environment import keep_freed_memory


def faults_of_a_step():
    """Page faults while two dozen tensors of 1 MiB live at once and are freed, as activations are."""

    def step():
        return sum(float(tensor[0]) for tensor in [torch.ones(2**18) for _ in range(24)])

    for _ in range(3):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_a_step_finds_the_memory_that_the_last_one_freed():
    keep_freed_memory()
    assert faults_of_a_step() < 0.05 * 24 * 2**20 / 4096  # by default nearly every page is given back
