"""Runs with something planted in them that makes two of them differ."""

from __future__ import annotations

import itertools

import pytest
import pytorch_lightning as pl

from vision_baselines.training import build


class Acts(pl.Callback):
    """Calls `act(trainer, module)` once in each run, at the start of the batch after `step` optimizer steps."""

    def __init__(self, step, act):
        self.step, self.act, self.done = step, act, False

    def on_fit_start(self, trainer, pl_module):
        self.done = False

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step and not self.done:
            self.done = True
            self.act(trainer, pl_module)


@pytest.fixture(scope="session")
def acts():
    """``acts(step, act)``: a callback."""
    return Acts


@pytest.fixture
def clock():
    """``clock()``: a number that no two calls have in common."""
    return itertools.count(1).__next__


@pytest.fixture(scope="module")
def recorded(train_tiny, tmp_path_factory):
    """``recorded(*overrides)``: the folder of a finished run, trained once for all."""
    made = {}

    def run(*overrides):
        if overrides not in made:
            made[overrides] = tmp_path_factory.mktemp("recorded") / "job"
            train_tiny(made[overrides], *overrides)
        return made[overrides]

    return run


@pytest.fixture
def plant(monkeypatch):
    """``plant(part, change)``: from now on `change` is called with each part that `build` makes, such as a net."""

    def change_part(part, change):
        original = getattr(build, part)

        def changed(cfg):
            made = original(cfg)
            change(made)
            return made

        monkeypatch.setattr(build, part, changed)

    return change_part


@pytest.fixture
def plant_in(plant):
    """``plant_in(module, step, change)``: from that training step on the module's output is changed."""

    def in_module(name, step, change):
        def hook(classifier):
            calls = itertools.count()

            def changed(module, args, output):
                return change(output) if module.training and next(calls) >= step else None

            classifier.net.get_submodule(name).register_forward_hook(changed)

        plant("classifier", hook)

    return in_module
