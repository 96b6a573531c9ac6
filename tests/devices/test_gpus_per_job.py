"""Jobs of a sweep get CUDA devices of their own, tried with a list of devices that are not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vision_baselines.errors import ConfigError
from vision_baselines.sweep import hooks
from vision_baselines.sweep.devices import Devices, visible_devices
from vision_baselines.sweep.hooks import RunHooks
from vision_baselines.sweep.job import Job


def job(index: int = 0, *, processes: int = 1, on_cuda: bool = True) -> Job:
    return Job(index, [], b"", Path(f"job-{index}"), [], processes=processes, on_cuda=on_cuda)


def started(jobs: list[Job], devices: Devices) -> list[Job]:
    """The jobs that run after each was asked to start, in their order."""
    running: list[Job] = []
    for each in jobs:
        given = devices.free(each, running)
        if given is not None:
            each.devices = given
            running.append(each)
    return running


def test_each_job_has_its_own_device_and_those_beyond_wait():
    devices = Devices(["3", "GPU-aa"])
    running = started([job(index) for index in range(4)], devices)
    assert [one.devices for one in running] == [("3",), ("GPU-aa",)]
    running.pop(0)  # it has ended
    assert devices.free(job(2), running) == ("3",)


def test_jobs_of_several_devices_and_of_a_part_of_one():
    running = started([job(index) for index in range(3)], Devices(["0", "1", "2", "3"], 2))
    assert [one.devices for one in running] == [("0", "1"), ("2", "3")]
    halves = started([job(index) for index in range(5)], Devices(["0", "1"], 0.5))
    assert [one.devices for one in halves] == [("0",), ("1",), ("0",), ("1",)]
    thirds = started([job(index) for index in range(4)], Devices(["0"], 1 / 3))
    assert len(thirds) == 3


def test_a_run_on_several_devices_gets_as_many():
    devices = Devices(["0", "1", "2"])
    running = started([job(0), job(1, processes=2), job(2)], devices)
    assert [one.devices for one in running] == [("0",), ("1", "2")]


def test_jobs_on_the_cpu_and_machines_without_cuda_need_none():
    assert Devices(["0"]).free(job(on_cuda=False), [job(1)]) == ()
    assert Devices([]).free(job(processes=4), [job(1)]) == ()


@pytest.mark.parametrize(
    ("per_job", "processes", "says"), [(4, 1, "gpus_per_job is 4"), (1, 3, "trainer.devices is 3")]
)
def test_a_job_that_could_never_start_is_refused(per_job, processes, says):
    with pytest.raises(ConfigError, match=says):
        Devices(["0", "1"], per_job).require(job(processes=processes))


def test_one_and_a_half_devices_are_refused():
    with pytest.raises(ConfigError, match=r"gpus_per_job is 1\.5"):
        Devices(["0", "1"], 1.5)


@pytest.mark.parametrize(
    ("variable", "count", "expected"),
    [("", 2, ["0", "1"]), ("2,5", 2, ["2", "5"]), ("GPU-1, GPU-2,GPU-3", 2, ["GPU-1", "GPU-2"]), ("", 0, [])],
)
def test_the_devices_are_those_that_the_process_may_use(variable, count, expected, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert visible_devices({"CUDA_VISIBLE_DEVICES": variable}) == expected


def test_the_sweep_tells_each_process_its_own(compose, monkeypatch):
    monkeypatch.setattr(hooks, "visible_devices", lambda: ["0", "1"])
    monkeypatch.setattr(hooks, "same_runs", lambda jobs: jobs)
    monkeypatch.setattr(hooks, "require_a_beginning", lambda jobs: None)
    sweep = RunHooks()
    sweep.begins([["seed=0"], ["seed=1"], ["seed=2"]], compose("n_jobs=3"))
    jobs = [job(index) for index in range(3)]
    sweep.same(jobs)
    told = []
    for one in jobs:
        if sweep.may_start(one, [other for other in jobs if other is not one]):
            told.append(dict(sweep.environment(one, one.index, 3)))
            one.is_started = True
    assert told == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    assert sweep.may_start(jobs[2], [jobs[1]])  # the first has ended
    assert sweep.environment(jobs[2], 0, 3) == {"CUDA_VISIBLE_DEVICES": "0"}


def test_processes_of_jobs_do_not_outnumber_the_cores_where_nothing_was_asked(compose, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)), raising=False)
    sweep = RunHooks()
    sweep.begins([["seed=0"]], compose())
    running = job(0, processes=3, on_cuda=False)
    running.is_started = True
    assert not sweep.may_start(job(1, processes=2, on_cuda=False), [running])
    assert sweep.may_start(job(1, on_cuda=False), [running])
    assert sweep.may_start(job(1, processes=8, on_cuda=False), [])
