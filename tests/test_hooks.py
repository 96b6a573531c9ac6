"""Hooks that a callback does not define are passed over in the training step; those it defines run."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.callbacks import LearningRateMonitor

from vision_baselines.training import build
from vision_baselines.training.hooks import drop_unused_hooks


class Counting(pl.Callback):
    def __init__(self):
        self.steps = 0

    def on_train_batch_end(self, *arguments):
        self.steps += 1


def test_a_callback_keeps_what_it_defines_and_loses_what_it_does_not():
    callback = drop_unused_hooks(Counting())
    assert callback.on_before_zero_grad is None
    assert callable(callback.on_train_batch_end)
    assert callable(callback.on_train_start)
    assert callable(pl.Callback().on_before_zero_grad)


def test_what_the_config_names_loses_its_unused_hooks_and_lightnings_monitor_still_logs(compose, run_tiny):
    made = build.callbacks(compose())
    monitor = next(callback for callback in made if isinstance(callback, LearningRateMonitor))
    assert monitor.on_train_batch_end is None
    assert callable(monitor.on_train_batch_start)


def test_a_callback_without_its_unused_hooks_is_called_in_each_step(run_tiny, with_callback):
    callback = drop_unused_hooks(Counting())
    with_callback(callback)
    run_tiny("run")
    assert callback.steps == 12
