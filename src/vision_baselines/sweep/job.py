"""One job of a sweep of runs, as the sweep's own process holds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vision_baselines.jobs import job
from vision_baselines.report.hparam_rows import Row
from vision_baselines.runs.record import RunRecord
from vision_baselines.sweep.lengths import Length


@dataclass(eq=False)
class Job(job.Job):
    """A job that is a run.

    Attributes:
        fingerprint: Two jobs with the same are the same run.
        task: What was typed of it, in full.
        starts_from: The run's folder or the checkpoint that its first weights come from.
        previous: The record that lay in its folder when it was looked at.
        row: Of TensorBoard's HParams.
        processes: That it trains in.
        on_cuda: Whether it trains on CUDA devices, where there are any.
        devices: The CUDA devices that it was given.
        length: What is known of how long it takes.
    """

    fingerprint: str = ""
    task: list[str] = field(default_factory=list)
    starts_from: Path | None = None
    previous: RunRecord | None = None
    row: Row | None = None
    processes: int = 1
    on_cuda: bool = False
    devices: tuple[str, ...] = ()
    length: Length | None = None
