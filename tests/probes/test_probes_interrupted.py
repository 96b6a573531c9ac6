"""Ctrl-C while a probe is at work: the run ends at once, and the same command asks the probe again, with one result."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from vision_baselines.jobs.signals import Interrupted
from vision_baselines.probes import calibration, corruptions, saliency
from vision_baselines.runs.record import Status, read_record

WORDS = ["probe=[saliency,corruptions,calibration]", "probe.saliency.max_classes=3"]
AT_WORK = [(saliency, "integrated_gradients", 2), (corruptions, "corrupted", 7), (calibration, "fitted_temperature", 1)]


@pytest.fixture(scope="module")
def whole(train_tiny, tmp_path_factory):
    return train_tiny(tmp_path_factory.mktemp("whole") / "run", *WORDS)


@pytest.mark.slow
@pytest.mark.parametrize(("module", "name", "nth"), AT_WORK, ids=[name for _, name, _ in AT_WORK])
def test_a_probe_that_was_interrupted_is_asked_again(whole, train_tiny, tmp_path, monkeypatch, module, name, nth):
    original, calls = getattr(module, name), []

    def interrupted(*arguments, **options):
        calls.append(name)
        if len(calls) == nth:
            os.kill(os.getpid(), signal.SIGINT)
        return original(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(module, name, interrupted)
        with pytest.raises(Interrupted):
            train_tiny(tmp_path / "run", *WORDS)
    assert len(calls) == nth
    assert read_record(tmp_path / "run").status is Status.INTERRUPTED
    assert torch.is_inference_mode_enabled() is False

    again = train_tiny(tmp_path / "run", *WORDS)
    assert again.status is Status.FINISHED
    assert (again.metrics, again.curves) == (whole.metrics, whole.curves)
    assert {file for file in again.files if file.endswith(".png")} == {f for f in whole.files if f.endswith(".png")}
