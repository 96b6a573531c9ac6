"""Folders of made-up runs: records, predictions and small files as sweeps leave them, nothing trained."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from vision_baselines.config.compose import composed_run
from vision_baselines.config.plan import planned
from vision_baselines.runs import environment
from vision_baselines.runs.code import code_of
from vision_baselines.runs.fingerprint import fingerprint, job_name
from vision_baselines.runs.predictions import PREDICTIONS_FILE, Predictions, packed
from vision_baselines.runs.record import (
    DataFacts,
    EpochRow,
    Parameters,
    RunRecord,
    SplitFacts,
    Status,
    Timings,
)

N_TEST, CLASSES = 360, 10
_STARTED = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
_SIZES = {"cnn": (151_498, 2_771_456), "fc": (265_482, 530_432)}


def settings(n_groups: int) -> list[tuple[str, float, float]]:
    """Model, learning rate and weight decay of so many groups, no two of them the same."""
    side = math.ceil(math.sqrt(n_groups / 2))
    found = [
        (model, round(1e-4 * 1.05**row, 8), round(1e-5 * 1.07**column, 9))
        for row in range(side)
        for column in range(side)
        for model in ("cnn", "fc")
    ]
    return found[:n_groups]


def jobs(n: int, n_groups: int) -> Iterator[tuple[tuple[str, float, float], int]]:
    """The setting and the seed of so many runs, seed by seed."""
    groups = settings(n_groups)
    for place in range(n):
        yield groups[place % len(groups)], place // len(groups)


def make_runs(top: Path, wanted: Sequence[tuple[tuple[str, float, float], int]], *, epochs: int = 15) -> list[Path]:
    """Write finished runs below `top`, a folder each; nothing is flushed, since a power cut costs nothing here."""
    return [make_run(top, setting, seed, epochs=epochs) for setting, seed in wanted]


def make_run(top: Path, setting: tuple[str, float, float], seed: int, *, epochs: int = 15) -> Path:
    """Write one finished run: its record, its predictions, and the small files that a page links to."""
    model, lr, decay = setting
    overrides = [f"model={model}", f"optimizer.lr={lr}", f"optimizer.weight_decay={decay}", f"seed={seed}"]
    folder = top / job_name(overrides)
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, int(lr * 1e8), int(decay * 1e9), model == "cnn"])
    skill = 0.97 - 0.02 * (math.log10(lr) + 2.5) ** 2 - 0.015 * (model == "fc") + 0.004 * rng.normal()
    answers = _answers(rng, min(max(skill, 0.2), 0.995))
    predictions = packed({"test": answers})
    (folder / PREDICTIONS_FILE).write_bytes(predictions)
    record = _record(top.name, folder.name, overrides, setting, seed, epochs, rng, answers)
    record.predictions_sha256 = hashlib.sha256(predictions).hexdigest()
    for name in ("config.yaml", "train.log", "filters.png"):
        (folder / name).write_bytes(b"-\n")
    np.save(folder / "filters.npy", rng.normal(size=(8, 1, 3, 3)).astype(np.float32))
    (folder / "run.json").write_text(record.model_dump_json(indent=1), "utf-8")
    return folder


def _answers(rng: np.random.Generator, skill: float) -> Predictions:
    targets = (np.arange(N_TEST) % CLASSES).astype(np.int32)
    wrong = rng.random(N_TEST) > skill
    predicted = np.where(wrong, (targets + 1 + rng.integers(0, CLASSES - 1, N_TEST)) % CLASSES, targets)
    sure = rng.uniform(0.4, 1, N_TEST)
    shares = np.repeat(((1 - sure) / (CLASSES - 1))[:, None], CLASSES, axis=1)
    shares[np.arange(N_TEST), predicted] = sure
    return Predictions(predicted.astype(np.int32), targets, shares.astype(np.float16), np.arange(N_TEST))


def _record(
    sweep: str,
    name: str,
    overrides: list[str],
    setting: tuple[str, float, float],
    seed: int,
    epochs: int,
    rng: np.random.Generator,
    answers: Predictions,
) -> RunRecord:
    config, code = _config(setting[0])
    config["seed"], config["data"]["seed"], config["name"] = seed, seed, sweep
    config["optimizer"] |= {"lr": setting[1], "weight_decay": setting[2]}
    config["classifier"]["optimizer"] = dict(config["optimizer"])
    acc, fit_s = float(np.float32(answers.correct.mean())), float(rng.uniform(6, 9))
    total, flops = _SIZES[setting[0]]
    start = _STARTED + timedelta(seconds=10 * seed)
    return RunRecord(
        name=name,
        sweep=sweep,
        status=Status.FINISHED,
        overrides=[f"name={sweep}", *overrides],
        config=config,
        fingerprint=fingerprint(config),
        seed=seed,
        command=["train.py", "-m", f"name={sweep}", "model=cnn,fc", "optimizer.lr=…", "seed=…"],
        started_at=start,
        ended_at=start + timedelta(seconds=9),
        environment=_environment(),
        parameters=Parameters(total=total, trainable=total, flops_per_image=flops, receptive_field_px=8),
        metrics={
            "test/acc": acc,
            "test/loss": 2 * (1 - acc) + 0.01,
            "val/acc": acc + 0.004 * float(rng.normal()),
            "val/loss": 2 * (1 - acc),
        },
        choices={"model": setting[0]},
        precision="32-true",
        best_epoch=epochs - 2,
        history=[_epoch(epoch, epochs, acc, setting[1], rng) for epoch in range(epochs)],
        confusion=answers.confusion(CLASSES).tolist(),
        class_names=[str(digit) for digit in range(CLASSES)],
        timings=Timings(
            setup_s=1.5,
            fit_s=fit_s,
            test_s=0.1,
            images_per_s=1257 * epochs / fit_s,
            epoch_fit_s=[fit_s * (epoch + 1) / epochs for epoch in range(epochs)],
        ),
        peak_memory_bytes=507_224_064,
        data_sha256="b7" * 32,
        test_sha256="cf" * 32,
        data=DataFacts(
            num_classes=CLASSES,
            image_shape=[1, 16, 16],
            mean=[0.3046],
            std=[0.318],
            splits={
                "train": SplitFacts(size=1257),
                "val": SplitFacts(size=180, cut_from="train"),
                "test": SplitFacts(size=N_TEST),
            },
        ),
        weights_sha256=rng.bytes(32).hex(),
        final_weights_sha256=rng.bytes(32).hex(),
        files=["config.yaml", "filters.npy", "filters.png", PREDICTIONS_FILE, "run.json"],
        code=code,
    )


def _epoch(epoch: int, epochs: int, acc: float, lr: float, rng: np.random.Generator) -> EpochRow:
    left = math.exp(-4 * (epoch + 1) / epochs)
    values = {
        "train/loss": 0.1 + left + 0.01 * float(rng.normal()),
        "train/acc": 1 - 0.5 * left,
        "val/loss": 2 * (1 - acc) + left,
        "val/acc": acc - 0.3 * left + 0.003 * float(rng.normal()),
    }
    return EpochRow(epoch=epoch, step=(epoch + 1) * 20, lr=lr, metrics=values)


def _config(model: str) -> tuple[dict[str, Any], Mapping[str, str]]:
    plain, code = _composed(model)
    return deepcopy(plain), code


@cache
def _composed(model: str) -> tuple[dict[str, Any], dict[str, str]]:
    cfg = composed_run([f"model={model}"], Path("made-up"))
    config = dict(planned(cfg, Path("made-up")).config)
    return json.loads(json.dumps(config, default=str)), code_of(config)


@cache
def _environment() -> environment.Environment:
    return environment.observe("cpu").model_copy(update={"threads": 1, "git_dirty": False})
