"""Folders of runs that look as a run leaves them, made without training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from vision_baselines.runs.fingerprint import fingerprint
from vision_baselines.runs.record import Environment, Failure, RunRecord, Status

WRITTEN = {
    "checkpoints/best.ckpt": b"weights",
    "checkpoints/best.ckpt.sha256": hashlib.sha256(b"weights").hexdigest().encode(),
    "checkpoints/resume-step=00000300.ckpt": b"state" * 100,
    "checkpoints/resume-step=00000300.ckpt.sha256": b"x",
    "filters.npy": b"filters",
    "train.log": b"",
    "output.txt": b"",
    ".hydra/overrides.yaml": b"",
    ".lock": b"",
    "edges/overview.png": b"",
}


def left_run(
    folder: Path, status: Status, files: dict[str, bytes] | None = None, seed: int = 0, message: str = ""
) -> Path:
    config = {"seed": seed, "name": "demo", "model": {"features": 4}}
    for name, content in {**WRITTEN, **(files or {})}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    RunRecord(
        name=folder.name,
        sweep="demo",
        status=status,
        overrides=[f"seed={seed}"],
        config=config,
        fingerprint=fingerprint(config),
        seed=seed,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        environment=Environment(versions={}, python="", platform="", cpu_capability="", threads=1, device="cpu"),
        failure=Failure(kind="E", message=message) if message else None,
        metrics={"test/acc": 0.75} if status is Status.FINISHED else {},
        files=["config.yaml", "filters.npy", "edges/overview.png", *(n for n in WRITTEN if "checkpoints" in n)],
    ).write(folder)
    return folder


@pytest.fixture(name="run")
def run_fixture() -> Callable[..., Path]:
    """``run(folder, status, files, seed, message)``: a run's folder, with more files in it."""
    return left_run
