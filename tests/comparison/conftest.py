"""Made-up runs: records as a sweep leaves them, with numbers from a seeded generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vision_baselines.runs.record import (
    Environment,
    EpochRow,
    Failure,
    Parameters,
    RunRecord,
    Status,
    Timings,
)

DIGITS = [str(digit) for digit in range(10)]
CLOTHES = [
    "T-shirt",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]
STARTED = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
# accuracy, its spread over seeds, parameters, FLOPs, seconds, filter shape
MODELS: dict[str, tuple[float, float, int, int, float, tuple[int, ...]]] = {
    "cnn": (0.9062, 0.0021, 421_642, 23_400_000, 96.0, (32, 1, 3, 3)),
    "fc": (0.8834, 0.0026, 535_818, 1_070_000, 24.0, (512, 1, 28, 28)),
    "gated_mlp": (0.8871, 0.0030, 1_060_362, 2_110_000, 41.0, (256, 1, 28, 28)),
    "residual_mlp": (0.8845, 0.0024, 669_706, 1_330_000, 33.0, (256, 1, 28, 28)),
}


def environment(**changes: Any) -> Environment:
    facts = {
        "versions": {
            "torch": "2.13.0",
            "pytorch-lightning": "2.6.6",
            "numpy": "2.4.6",
            "vision_baselines": "0.1.0",
        },
        "python": "3.11.7",
        "platform": "Linux-6.1-x86_64",
        "cpu_capability": "AVX2",
        "threads": 1,
        "device": "cpu",
        "git_commit": "4f2a9c1d8e7b6a5f4e3d2c1b0a9f8e7d6c5b4a39",
        "git_dirty": False,
    }
    return Environment(**(facts | changes))


def record(overrides: str | list[str] = "model=cnn,seed=0", acc: float | None = 0.9, **changes: Any) -> RunRecord:
    """A small record; `overrides` as a list or separated by commas, anything else by its field's name."""
    parts = [part for part in overrides.split(",") if part] if isinstance(overrides, str) else overrides
    settings = {part.partition("=")[0]: part.partition("=")[2] for part in parts}
    seed = int(settings.get("seed", 0))
    facts: dict[str, Any] = {
        "name": ",".join(parts),
        "sweep": "demo",
        "status": Status.FINISHED,
        "overrides": parts,
        "config": {
            "seed": seed,
            "model": {"_target_": settings.get("model", "cnn")},
            "optimizer": {"lr": 0.01},
        },
        "fingerprint": ",".join(parts),
        "seed": seed,
        "command": ["scripts/train.py", "-m", "name=demo", "model=cnn,fc", "seed=0,1"],
        "started_at": STARTED,
        "ended_at": STARTED + timedelta(minutes=2),
        "environment": environment(),
        "metrics": {} if acc is None else {"test/acc": acc, "test/loss": 1 - acc, "val/acc": acc},
    }
    return RunRecord(**(facts | changes))


def failed(overrides: str | list[str], **changes: Any) -> RunRecord:
    """A job that raised."""
    failure = Failure(kind="RuntimeError", message="kernel size 31 exceeds the padded input (28)", traceback="Trace\n")
    return record(overrides, acc=None, **({"status": Status.FAILED, "failure": failure} | changes))


def write(folder: Path, *records: RunRecord) -> Path:
    """Each record in a folder of its name below `folder`."""
    for position, found in enumerate(records):
        safe = "".join(c if c.isalnum() or c in "=,._-" else "_" for c in found.name)[:60] or f"job{position}"
        target = folder / safe
        found.write(target if not target.exists() else folder / f"{safe}~{position}")
    return folder


def full_record(model: str, seed: int, extra: Mapping[str, str], epochs: int, shift: float, sweep: str) -> RunRecord:
    """A record with all that a real run has, drawn from a generator that its overrides seed."""
    acc, spread, parameters, flops, seconds, _ = MODELS[model]
    luck = np.random.default_rng(seed)
    rng = np.random.default_rng([seed, *f"{model}{extra}".encode()])
    acc = acc + shift + spread * (0.6 * luck.normal() + 0.6 * rng.normal())
    history = []
    for epoch in range(epochs):
        left = np.exp(-3.2 * (epoch + 1) / epochs)
        history.append(
            EpochRow(
                epoch=epoch,
                step=(epoch + 1) * 430,
                lr=0.01,
                metrics={
                    "train/loss": float(0.16 + 0.75 * left + 0.01 * rng.normal()),
                    "val/acc": float(acc - 0.16 * left + 0.002 * rng.normal()),
                },
            )
        )
    confusion = rng.multinomial(1000, (np.eye(10) * acc + (1 - np.eye(10)) * (1 - acc) * rng.dirichlet(np.ones(10))))
    overrides = [f"model={model}", *(f"{key}={value}" for key, value in extra.items()), f"seed={seed}"]
    fit_s = seconds * float(rng.uniform(0.94, 1.06))
    return RunRecord(
        name=",".join(overrides),
        sweep=sweep,
        status=Status.FINISHED,
        overrides=[*overrides, f"name={sweep}"],
        config={
            "seed": seed,
            "name": sweep,
            "model": {
                "_target_": f"vision_baselines.models.{model}",
                "dropout": 0.25 if model == "cnn" else 0.5,
            },
            "classifier": {"net": {"dropout": 0.25 if model == "cnn" else 0.5}},
            "optimizer": {"lr": 0.01, "weight_decay": 0.0 if model == "cnn" else 1e-4},
            "trainer": {"max_epochs": epochs},
        },
        fingerprint=",".join(overrides),
        seed=seed,
        command=["scripts/train.py", "-m", f"name={sweep}", "model=cnn,fc,gated_mlp", "seed=0,1,2,3,4"],
        started_at=STARTED + timedelta(minutes=seed),
        ended_at=STARTED + timedelta(minutes=seed + 2),
        environment=environment(),
        parameters=Parameters(total=parameters, trainable=parameters, flops_per_image=flops),
        metrics={
            "test/acc": float(np.trace(confusion) / confusion.sum()),
            "test/loss": float(2.6 * (1 - acc) + 0.004 * rng.normal()),
            "val/acc": history[-1].metrics["val/acc"] if history else acc,
        },
        best_epoch=max(epochs - 2, 0),
        history=history,
        confusion=confusion.tolist(),
        class_names=CLOTHES,
        timings=Timings(setup_s=1.1, fit_s=fit_s, test_s=0.8, images_per_s=55_000 * epochs / fit_s),
        peak_memory_bytes=int(rng.integers(700, 900)) * 2**20,
        data_sha256="9b1c" * 16,
    )


def full_sweep(
    folder: Path,
    models: list[str],
    seeds: int,
    *,
    extras: list[dict[str, str]] | None = None,
    epochs: int = 20,
    filters: bool = True,
) -> Path:
    """A finished sweep in `folder`, one job per model, extra override and seed."""
    for model in models:
        for place, extra in enumerate(extras or [{}]):
            for seed in range(seeds):
                job = full_record(model, seed, extra, epochs, -0.004 * place, folder.name)
                job.write(folder / job.name)
                if filters:
                    np.save(folder / job.name / "filters.npy", _filters(model, seed))
    return folder


def _filters(model: str, seed: int) -> np.ndarray:
    n, channels, height, width = MODELS[model][5]
    rng = np.random.default_rng([seed, height])
    if model == "cnn":
        return rng.normal(0, 0.25, (n, channels, height, width)).astype(np.float32)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    blob = np.exp(-2 * (x**2 + y**2))
    noise = rng.normal(0, 0.05, (n, channels, height, width))
    waves = np.sin(6 * (rng.normal(size=(n, 1, 1, 1)) * x + rng.normal(size=(n, 1, 1, 1)) * y))
    return (noise + 0.1 * blob * waves).astype(np.float32)


@pytest.fixture(name="record", scope="session")
def record_fixture() -> Callable[..., RunRecord]:
    return record


@pytest.fixture(name="failed", scope="session")
def failed_fixture() -> Callable[..., RunRecord]:
    return failed


@pytest.fixture(name="environment", scope="session")
def environment_fixture() -> Callable[..., Environment]:
    return environment


@pytest.fixture(name="write", scope="session")
def write_fixture() -> Callable[..., Path]:
    return write


@pytest.fixture(name="full_sweep", scope="session")
def full_sweep_fixture() -> Callable[..., Path]:
    return full_sweep
