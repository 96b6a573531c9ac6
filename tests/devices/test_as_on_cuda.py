"""What CUDA does and a CPU does not, done on the CPU: the next call overwrites outputs, and CUDA is initialised."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vision_baselines import api
from vision_baselines.evaluation.evaluate import evaluate
from vision_baselines.training import build

Run = Callable[..., Any]


def reusing_memory(module: nn.Module, **options: Any) -> None:
    """In place of `torch.nn.Module.compile`: as a CUDA graph, each call takes the memory of the last one's outputs."""
    call = module._call_impl
    held: list[Tensor] = []

    def called(*arguments: Any, **more: Any) -> Any:
        for outputs in held:
            outputs.data.fill_(torch.nan)
        made = call(*arguments, **more)
        held[:] = [made]
        return made

    module._compiled_call_impl = called


@pytest.mark.few(1)
@pytest.mark.ci(every=2)
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["model=fc", "model.hidden_features=[6]", "mix=mixup"],
        ["callbacks=ema", "data.eval_batch_size=5"],
        ["task.label_smoothing=0.1", "data.eval_batch_size=5", "probe=calibration"],
        pytest.param(["checkpoint_every_n_steps=1", "probe=shift"], marks=pytest.mark.slow),
    ],
)
def test_outputs_are_not_looked_at_after_the_net_s_next_call(
    options: list[str],
    compose: Run,
    tiny_beside: Callable[..., list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = []
    monkeypatch.setattr(nn.Module, "compile", reusing_memory)
    for name, more in (("plain", []), ("graphs", ["classifier.compile={mode:reduce-overhead}"])):
        record = api.train(
            compose(*tiny_beside(*options), "logger=none", *options, *more, run_dir=tmp_path / name)
        ).record
        found.append((record.weights_sha256, record.metrics, [row.model_dump() for row in record.history]))
    assert found[0] == found[1]


@pytest.mark.filterwarnings("ignore:GPU available but not used")
@pytest.mark.parametrize(
    "options",
    [
        [],
        pytest.param(["callbacks=lr_finder", "callbacks.lr_finder.steps=10", "probe=all"], marks=pytest.mark.slow),
        pytest.param(["data.num_workers=1", "trace=true", "logger=tensorboard"], marks=pytest.mark.slow),
    ],
)
def test_a_run_on_the_cpu_initialises_no_cuda(
    options: list[str], compose: Run, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def initialise() -> None:
        raise AssertionError("CUDA is initialised")

    for module in [module for name, module in sys.modules.items() if name.startswith("torch.cuda")]:
        if hasattr(module, "_lazy_init"):
            monkeypatch.setattr(module, "_lazy_init", initialise)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(AssertionError, match="initialised"):
        torch.cuda.get_rng_state()
    run = api.train(compose(*tiny, *options, run_dir=tmp_path / "run"))
    assert run.record.environment.device == "cpu"
    assert evaluate(tmp_path / "run").same is True


@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("cuda:0", True)])
def test_memory_is_pinned_where_batches_go_to_cuda(
    device: str, pinned: bool, compose: Run, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    data = build.datamodule(compose(*tiny, run_dir=tmp_path))
    data.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))
    data.setup("fit")
    assert data.val_dataloader().pin_memory is pinned
