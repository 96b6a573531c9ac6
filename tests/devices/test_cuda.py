"""What is promised of a run on the CPU holds on a CUDA device: ``make test PYTEST_ARGS="-m gpu"``.

TEST_ACCELERATOR=gpu lets the runs of all other tests train there too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from vision_baselines.config.plan import planned
from vision_baselines.errors import is_out_of_memory
from vision_baselines.evaluation.evaluate import evaluate
from vision_baselines.evaluation.predict import predict
from vision_baselines.evaluation.reproduce import reproduce
from vision_baselines.evaluation.trained import load_trained
from vision_baselines.jobs.together import Together
from vision_baselines.runs.record import Status, read_record
from vision_baselines.training.run import run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
    pytest.mark.filterwarnings("ignore:.*Online softmax is disabled.*"),  # of torch's compiler, on our nets' last layer
]

GPU = "trainer.accelerator=gpu"
SHORT = ["trainer.max_epochs=3", "checkpoint_every_n_steps=1"]
EXACT = [
    "trainer.precision=64-true",
    "model.dropout=0",
]  # a device draws dropout by itself; rounding is all that is left
VARIANTS = {
    "cnn": [],
    "fc": ["model=fc", "model.hidden_features=[6]"],
    "batch_norm": ["model.norm=batch"],
    "on_device": ["data.on_device=true"],
    "workers": ["data.num_workers=2"],
    "bf16": ["trainer.precision=bf16-mixed"],
    "16": ["trainer.precision=16-mixed"],
    "64": ["trainer.precision=64-true"],
    "clipped": ["+trainer.gradient_clip_val=0.1", "+trainer.accumulate_grad_batches=2"],
    "muon": ["optimizer=muon"],
    "sgd": ["optimizer=sgd", "scheduler=one_cycle"],
    "ema": ["callbacks=ema", "model.norm=batch"],
    "swa": ["callbacks=swa", "callbacks.swa.swa_epoch_start=1"],
    "shifted": ["augment=shift"],  # by a generator of the device
    "augmented": ["augment=crop_flip", "mix=mixup"],
    "augmented_on_device": ["augment=rotate", "mix=cutmix", "data.on_device=true"],
    "smooth": ["task.label_smoothing=0.1", "callbacks=early_stopping", "scheduler=plateau"],
}
Run = Callable[..., Any]


def outcome(record: Any) -> dict[str, Any]:
    history = [row.model_dump() for row in record.history]
    return {"weights": record.weights_sha256, "metrics": record.metrics, "history": history, "best": record.best_epoch}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_seed_has_the_same_bits(variant: str, run_tiny: Run) -> None:
    one, other = (run_tiny(name, GPU, *SHORT, *VARIANTS[variant]) for name in ("one", "other"))
    assert one.environment.device == torch.cuda.get_device_name()
    assert outcome(one) == outcome(other)


@pytest.mark.parametrize("after", [4, 6, 11])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_run_that_was_cut_and_resumed_is_the_uninterrupted_one(
    variant: str, after: int, run_tiny: Run, resumed_after: Callable[..., Any]
) -> None:
    # with accumulation a step is two batches, and the last one of an epoch counts
    step = after // 2 if variant == "clipped" else after
    whole = run_tiny("whole", GPU, *SHORT, *VARIANTS[variant])
    assert outcome(resumed_after(step, run_tiny, GPU, *SHORT, *VARIANTS[variant])) == outcome(whole)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name not in ("bf16", "16", "64", "shifted")])
def test_in_64_bits_a_gpu_and_a_cpu_differ_by_rounding(variant: str, run_tiny: Run) -> None:
    on_cpu = [text for text in VARIANTS[variant] if text != "data.on_device=true"]
    gpu = run_tiny("gpu", GPU, *SHORT, *EXACT, *VARIANTS[variant])
    cpu = run_tiny("cpu", "trainer.accelerator=cpu", *SHORT, *EXACT, *on_cpu)
    assert gpu.init_weights_sha256 == cpu.init_weights_sha256
    assert len(gpu.history) == len(cpu.history) >= 3  # averaging adds an epoch
    for mine, its in zip(gpu.history, cpu.history, strict=True):
        assert mine.metrics == pytest.approx(its.metrics, rel=1e-6, abs=1e-6)
    assert gpu.metrics == pytest.approx(cpu.metrics, rel=1e-6, abs=1e-6)
    assert gpu.confusion == cpu.confusion


def test_a_compiled_net_learns_the_same(run_tiny: Run) -> None:
    options = [GPU, *SHORT, "model.dropout=0"]
    plain, compiled = run_tiny("plain", *options), run_tiny("compiled", *options, "classifier.compile={}")
    assert compiled.metrics["val/loss"] == pytest.approx(plain.metrics["val/loss"], rel=0.05)


def test_cuda_graphs_give_the_losses_of_no_graphs(run_tiny: Run) -> None:
    options = [GPU, *SHORT, "model.dropout=0", "data.on_device=true"]
    plain = run_tiny("plain", *options)
    for name in ("graphs", "again"):  # the second finds what the first has compiled in this process
        graphs = run_tiny(name, *options, "classifier.compile={mode:reduce-overhead}")
        assert graphs.metrics["val/loss"] == pytest.approx(plain.metrics["val/loss"], rel=0.05)


@pytest.mark.parametrize("probe", ["all", "edges", "calibration", "shift", "saliency", "units", "features"])
def test_probes_are_computed_there(probe: str, run_tiny: Run) -> None:
    record = run_tiny("probed", GPU, f"probe={probe}", pictures=True)
    assert record.finished
    again = run_tiny("again", GPU, f"probe={probe}", pictures=True)
    assert record.metrics == again.metrics


def test_what_was_trained_there_is_tested_and_asked_on_both(run_tiny: Run, tmp_path: Path) -> None:
    record = run_tiny("trained", GPU, *SHORT)
    folder = tmp_path / "outputs" / "trained"
    assert evaluate(folder).same is True
    on_cpu = evaluate(folder, overrides=["trainer.accelerator=cpu"])
    assert on_cpu.metrics["test/loss"] == pytest.approx(record.metrics["test/loss"], rel=1e-3)
    assert any("device" in text for text in on_cpu.manifest)
    pictures = np.random.default_rng(0).integers(0, 256, (7, 8, 8), dtype=np.uint8)
    answers = [
        predict(load_trained([folder], device=device), pictures).probabilities for device in ("cpu", "cuda", "cuda:0")
    ]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-3)
    np.testing.assert_array_equal(answers[1], answers[2])


def test_a_run_is_reproduced_bit_for_bit(run_tiny: Run, tmp_path: Path) -> None:
    run_tiny("trained", GPU, *SHORT)
    assert reproduce(tmp_path / "outputs" / "trained").passed


@pytest.mark.parametrize("options", [["model=fc", "model.hidden_features=[6]"], ["optimizer=sgd", "model.norm=batch"]])
def test_seeds_in_one_pass_are_those_of_single_runs(
    options: list[str], compose: Callable[..., Any], tiny_beside: Callable[..., list[str]], tmp_path: Path
) -> None:
    records = {}
    for name, at_once in (("together", True), ("alone", False)):
        jobs = []
        for seed in range(3):
            words = [
                *tiny_beside(*options),
                "logger=none",
                GPU,
                "trainer.precision=64-true",
                *options,
                f"seed={seed}",
            ]
            plan = planned(compose(*words, run_dir=tmp_path / name / str(seed)))
            jobs.append(functools.partial(run, plan))
        records[name] = Together().run(jobs, [None] * 3) if at_once else [job() for job in jobs]
    for mine, its in zip(records["together"], records["alone"], strict=True):
        assert (mine.environment.seeds_per_pass, its.environment.seeds_per_pass) == (3, 1)
        assert mine.metrics == pytest.approx(its.metrics, rel=1e-6, abs=1e-6)


class Starved(pl.Callback):
    """Takes the device's memory away."""

    def on_train_batch_start(self, trainer: Any, *rest: Any) -> None:
        self.taken = []
        while True:
            self.taken.append(torch.empty(2**33, dtype=torch.uint8, device="cuda"))


def test_a_run_without_memory_says_so(run_tiny: Run, with_callback: Callable[..., None], tmp_path: Path) -> None:
    with_callback(Starved())
    torch.cuda.set_per_process_memory_fraction(0.2)
    try:
        with pytest.raises(torch.OutOfMemoryError) as raised:
            run_tiny("starved", GPU)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        with_callback()
    assert is_out_of_memory(raised.value)
    assert read_record(tmp_path / "outputs" / "starved").status is Status.FAILED
    torch.cuda.empty_cache()
    assert run_tiny("starved", GPU).finished


@pytest.mark.parametrize("more", [[], ["seeds_per_pass=3"]], ids=["one_by_one", "one_pass"])
def test_jobs_of_a_sweep_train_there(more: list[str], cli: Callable[..., Any], tiny: list[str], tmp_path: Path) -> None:
    words = ["-m", "name=swept", *tiny, "trainer=gpu", "seed=0,1,2", "n_jobs=3", "gpus_per_job=0.5", *more]
    done = cli(*words, fresh=True)  # no process that CUDA could have been started in
    assert done.returncode == 0, done.stderr + done.stdout
    records = [read_record(path.parent) for path in sorted((tmp_path / "outputs" / "swept").glob("*/run.json"))]
    assert [record.environment.device for record in records] == [torch.cuda.get_device_name()] * 3
    assert len({record.weights_sha256 for record in records}) == 3
    again = cli(*words, fresh=True)
    assert again.returncode == 0, again.stderr


def test_auto_takes_the_gpu_and_more_devices_than_there_are_are_refused(
    cli: Callable[..., Any], tiny: list[str], tmp_path: Path
) -> None:
    done = cli("name=auto", *tiny, "trainer=auto", fresh=True)
    assert done.returncode == 0, done.stderr
    [record] = [read_record(path.parent) for path in (tmp_path / "outputs" / "auto").rglob("run.json")]
    assert record.environment.device == torch.cuda.get_device_name()
    count = torch.cuda.device_count() + 1
    for words in ([], ["-m", "seed=0,1"]):
        refused = cli(*words, "name=many", *tiny, "trainer=ddp", f"trainer.devices={count}", fresh=True)
        assert refused.returncode == 2
        assert f"trainer.devices is {count}; expected at most {count - 1}" in refused.stderr + refused.stdout
        assert not (tmp_path / "outputs" / "many").exists()
