"""What makes several processes one run, looked at in one process."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from vision_baselines.errors import ConfigError
from vision_baselines.runs.fingerprint import fingerprint
from vision_baselines.runs.record import Environment, RunRecord, Status
from vision_baselines.runs.resumption import Action, decide
from vision_baselines.tasks.classification import Classification
from vision_baselines.training.accelerators import require_accelerator
from vision_baselines.training.metric_states import joined_states, metric_states, restore_states
from vision_baselines.training.process_group import StartedHere
from vision_baselines.training.processes import check_parts, per_process
from vision_baselines.training.task_module import TaskModule


@pytest.fixture(scope="module")
def module():
    task = Classification(3, label_smoothing=0.1)
    return TaskModule(nn.Linear(4, 3, bias=False), optimizer=torch.optim.SGD, task=task, channels_last=False)


@pytest.mark.parametrize("class_weights", [None, [0.5, 2.0, 0.0]])
@settings(max_examples=12)
@given(count=st.integers(2, 23), processes=st.integers(1, 5), seed=st.integers(0, 50))
def test_the_weighted_losses_of_the_parts_have_the_mean_of_the_whole_batch(
    module, class_weights, count, processes, seed
):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 4, generator=generator)
    target = torch.randint(0, 2, (count,), generator=generator)
    task, net = module.task, module.net
    task.weight = None if class_weights is None else torch.tensor(class_weights)
    whole = torch.autograd.grad(task.step(net, (images, target)).loss, net.weight)[0]
    sums = torch.zeros_like(net.weight)
    for rank in range(processes):
        module._trainer = SimpleNamespace(world_size=processes, global_rank=rank)
        own, weight = module._own_part((images, target))
        assert len(own[1]) >= min(2, count)
        sums += weight * torch.autograd.grad(task.step(net, own).loss, net.weight)[0] / processes
    assert torch.allclose(sums, whole, atol=1e-6)


@settings(max_examples=25)
@given(st.lists(st.lists(st.integers(0, 2), max_size=4), min_size=1, max_size=4))
def test_what_several_processes_gathered_is_one_metric(parts):
    def metrics():
        return {"loss": MeanMetric(nan_strategy="disable"), "acc": MulticlassAccuracy(num_classes=3)}

    every, whole = [], metrics()
    for part in parts:
        own = metrics()
        if part:
            target = torch.tensor(part)
            for each in (own, whole):
                each["loss"].update(target.float())
                each["acc"].update(torch.zeros_like(target), target)
        every.append({"train_metrics": metric_states(own), "train_pending": [["p"]] * len(part)})
    joined, found = joined_states(metrics(), every), metrics()
    restore_states(found, joined["train_metrics"])
    assert len(joined["train_pending"]) == sum(map(len, parts))
    if any(parts):
        for name, metric in found.items():
            assert metric.update_count == whole[name].update_count
            assert torch.allclose(metric.compute(), whole[name].compute())


def test_each_process_draws_dropout_of_its_own(module, monkeypatch):
    def draws(rank):
        module._trainer = SimpleNamespace(world_size=2, global_rank=rank, current_epoch=0)
        monkeypatch.setattr(module.task, "step", lambda net, batch: (torch.rand(()), torch.zeros(2, 3), batch[1]))
        return float(module.training_step((torch.zeros(4, 4), torch.zeros(4, dtype=torch.int64)), 0))

    assert draws(0) == draws(0)
    assert draws(0) != draws(1)


def test_what_is_per_process_is_said_of_nets_that_have_it():
    assert per_process(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.0))) == ""
    net = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout2d(0.1))
    assert per_process(net) == "dropout and batch statistics"
    assert per_process(net, synchronised=True) == "dropout"


def test_more_devices_than_there_are_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    require_accelerator("gpu", 2)
    with pytest.raises(ConfigError, match=r"trainer\.devices is 3; expected at most 2"):
        require_accelerator("gpu", 3)


def test_lightning_has_no_launcher_of_its_own():
    trainer = pl.Trainer(accelerator="cpu", devices=2, strategy=StartedHere(1, 2), logger=False, barebones=True)
    assert trainer.strategy.launcher is None
    assert (trainer.world_size, trainer.global_rank) == (2, 1)
    StartedHere(0, 1).set_world_ranks()  # Lightning keeps the last one for its messages


def splits(train: int, val: int):
    def sized(count):
        return SimpleNamespace(target=torch.zeros(count))

    return SimpleNamespace(batch_size=8, splits=SimpleNamespace(train=sized(train), val=sized(val)))


@pytest.mark.parametrize(
    ("options", "train", "val", "says"),
    [
        ({"devices": 4}, 64, 3, "validation split has 3 images"),
        ({"devices": 4, "sync_batchnorm": True}, 66, 9, "last batch of an epoch has 2 images for 4 processes"),
        ({"devices": 4}, 66, 9, None),
        ({"devices": 4}, 64, 0, None),
        ({"devices": 1}, 64, 1, None),
    ],
)
def test_a_split_that_cannot_be_shared_is_refused(options, train, val, says):
    cfg = OmegaConf.create({"trainer": options})
    if says is None:
        check_parts(cfg, splits(train, val))
        return
    with pytest.raises(ConfigError, match=says):
        check_parts(cfg, splits(train, val))


@pytest.mark.parametrize(
    ("status", "action"), [(Status.RUNNING, Action.RESUME), (Status.FAILED, Action.RETRY), (Status.FINISHED, None)]
)
def test_an_unfinished_run_goes_on_with_another_number_of_processes(tmp_path, status, action):
    config = {"seed": 0, "trainer": {"devices": 1, "max_epochs": 3}}
    other = {"seed": 0, "trainer": {"devices": 2, "max_epochs": 3, "strategy": "ddp"}}
    RunRecord(
        name="x",
        sweep="x",
        status=status,
        overrides=[],
        config=config,
        fingerprint=fingerprint(config),
        seed=0,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        environment=Environment(versions={}, python="", platform="", cpu_capability="", threads=1, device="cpu"),
    ).write(tmp_path)
    assert fingerprint(other) != fingerprint(config)
    if action is None:
        with pytest.raises(ConfigError, match=r"trainer\.devices: 1 → 2"):
            decide(tmp_path, other)
    else:
        assert decide(tmp_path, other).action is action
        longer = {**other, "trainer": {**other["trainer"], "max_epochs": 4}}
        if status is not Status.FAILED:
            with pytest.raises(ConfigError, match="max_epochs"):
                decide(tmp_path, longer)
