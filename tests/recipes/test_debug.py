"""debug=…: runs apart from real ones, marked, and compared with none; and trainer=… where there is no device."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from torch import nn

from vision_baselines.config.compose import group_options
from vision_baselines.errors import ConfigError, DivergedError
from vision_baselines.training.accelerators import require_accelerator
from vision_baselines.training.nan_watch import NanWatch, not_finite


@pytest.mark.parametrize("chosen", group_options("debug"))
def test_a_debug_run_lies_apart(chosen, root):
    own = OmegaConf.load(root / "conf" / "debug" / f"{chosen}.yaml")
    assert OmegaConf.to_container(own)["paths"] == {"output_dir": "${paths.root_dir}/outputs/debug"}


@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "mps"])
def test_a_device_that_is_not_there_is_said_in_a_line(accelerator, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"trainer=cpu, or trainer=auto") as caught:
        require_accelerator(accelerator)
    assert len(str(caught.value).splitlines()) == 1
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    require_accelerator(accelerator)


@pytest.mark.parametrize("accelerator", ["cpu", "auto", None])
def test_what_every_machine_has_is_not_refused(accelerator):
    require_accelerator(accelerator)


@pytest.mark.slow
def test_a_device_that_is_not_there_costs_nothing(run_tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="accelerator"):
        run_tiny("gpu", "trainer=gpu")
    assert not (tmp_path / "outputs" / "gpu" / "run.json").exists()


class Broken(nn.Module):
    """Passes on what it is given, and spoils one step of it, forwards or in the gradient."""

    def __init__(self, forwards: bool) -> None:
        super().__init__()
        self.forwards, self.calls = forwards, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        if self.calls < 3 or not self.training:
            return images
        if self.forwards:
            return images * float("nan")
        # the square root has no finite gradient at 0, which the factor 0 makes a NaN of
        return images + (images - images).pow(2).sqrt() * 0


class Wrapped(pl.LightningModule):
    """A net of three layers, the one in the middle broken in its third step."""

    def __init__(self, forwards: bool) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 4), Broken(forwards), nn.Linear(4, 1))

    def training_step(self, batch, _):
        return self.net(batch[0]).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("forwards", "says"),
    [
        (True, r"output of 1 \(Broken\) became nan at step 2 \(epoch 0\); its inputs were finite"),
        (False, r"gradient at the output of 0 \(Linear\) became nan at step 2 \(epoch 0\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*")
def test_the_layer_that_makes_a_nan_is_named(forwards, says, tmp_path):
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(8, 4)), batch_size=2)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[NanWatch()], default_root_dir=tmp_path,
    )  # fmt: skip
    with pytest.raises(DivergedError, match=says):
        trainer.fit(Wrapped(forwards), batches)


def test_integers_and_odd_parts_of_a_batch_are_finite():
    assert not_finite([torch.arange(3), ["text", None]]) is None
    assert not_finite({"not": "looked at"}) is None


@pytest.mark.slow
@pytest.mark.ci
def test_overfitting_sees_the_same_batch_in_every_epoch(run_tiny, with_callback):
    seen = []

    class Look(pl.Callback):
        def on_train_batch_start(self, trainer, module, batch, index):
            seen.append(batch[0].clone())

    with_callback(Look())
    record = run_tiny("overfit", "debug=overfit", "trainer.max_epochs=3")
    assert len(seen) == 3
    assert all(torch.equal(seen[0], images) for images in seen)
    assert record.partial == ["trainer.overfit_batches=1", *[one for one in record.partial if one.startswith("debug=")]]


@pytest.mark.slow
def test_a_profile_is_a_file_of_the_run_and_goes_with_it(run_tiny, tmp_path):
    record = run_tiny("profiled", "debug=profiler")
    assert {"profile/fit-simple.txt", "profile/test-simple.txt"} <= set(record.files)
    run_tiny("profiled", "debug=profiler", "trainer.profiler=null", "rerun=true")
    assert not (tmp_path / "outputs" / "profiled" / "profile").exists()
