"""A run reads its data with its own number of threads, and what data draw leaves the net's first weights alone."""

from __future__ import annotations

import pytest
import torch

from vision_baselines.api import evaluate
from vision_baselines.data.datamodule import ImageDataModule


@pytest.fixture
def read_with(monkeypatch):
    """Numbers of threads that data were read with; torch has two before, as on a machine of two cores."""
    before, found, read = torch.get_num_threads(), [], ImageDataModule.setup

    def setup(self, stage=None):
        if self.splits is None:
            found.append(torch.get_num_threads())
            torch.rand(7)  # from the generator of the process
        read(self, stage)

    monkeypatch.setattr(ImageDataModule, "setup", setup)
    torch.set_num_threads(2)
    yield found
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 3])
def test_data_are_read_with_the_threads_of_the_run(run_tiny, tmp_path, read_with, threads):
    run_tiny("run", f"threads={threads}")
    torch.set_num_threads(2)
    evaluate(tmp_path / "outputs" / "run")
    assert read_with == [threads, threads]


def test_what_is_drawn_while_data_are_read_changes_no_weight(run_tiny, monkeypatch):
    plain = run_tiny("plain")
    read = ImageDataModule.setup
    monkeypatch.setattr(ImageDataModule, "setup", lambda self, stage=None: (torch.rand(5), read(self, stage))[1])
    assert run_tiny("drawn").weights_sha256 == plain.weights_sha256
