"""Nets, optimizers and schedules as people bring them: each trains, or is refused in one line before the first step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vision_baselines.errors import ConfigError

PARTS = '''
import torch
from torch import nn


class Net(nn.Module):
    """A convolution and a layer; how they are joined, and in which precision, is to be chosen."""

    def __init__(self, image_shape, num_classes, join="flatten", dtype="float32", mixed=False, **unused):
        super().__init__()
        channels, height, width = image_shape
        self.join = join
        self.conv = nn.Conv2d(channels, 4, 3, padding=1)
        self.linear = nn.Linear(4 * height * width, num_classes)
        self.to(getattr(torch, dtype))
        if mixed:
            self.linear.double()

    def forward(self, images):
        found = self.conv(images)
        if self.join == "view":
            return self.linear(found.view(found.size(0), -1))
        if self.join == "view_after_relu":
            return self.linear(torch.relu(found).view(len(found), -1))
        if self.join == "view_of_images":
            images = images.view(images.size(0), -1)
            return self.linear(torch.cat([images] * 4, dim=1))
        if self.join == "reshape":
            return self.linear(found.reshape(len(found), -1))
        if self.join == "tuple":
            return self.linear(found.flatten(1)), found
        if self.join == "dict":
            return {"logits": self.linear(found.flatten(1))}
        return self.linear(found.flatten(1))


class NoWeights(nn.Module):
    def __init__(self, num_classes, **unused):
        super().__init__()
        self.num_classes = num_classes

    def forward(self, images):
        return images.flatten(1)[:, :self.num_classes]


class Exits(nn.Module):
    def __init__(self, **unused):
        raise SystemExit(0)


class NoClosure(torch.optim.SGD):
    def step(self):
        return super().step()


class DeafToClosure(torch.optim.SGD):
    def step(self, closure=None):
        return super().step()


class Plain(torch.optim.SGD):
    """As a paper's repository has it: a closure is called if there is one."""

    def step(self, closure=None):
        loss = None if closure is None else closure()
        super().step()
        return loss


def mirrored(images, generator):
    return images.flip(-1)
'''
ONE_EPOCH = ["trainer.max_epochs=1", "trusted_packages=[brought_parts,torchvision]"]
NET = ["model._target_=brought_parts.Net"]
SCHEDULE = "scheduler.schedule._target_=torch.optim.lr_scheduler."
V2 = "+augment._target_=torchvision.transforms.v2"
PLAIN_OPTIMIZER = ["~optimizer.fused", "~optimizer.weight_decay"]


@pytest.fixture(autouse=True)
def _brought(tmp_path, monkeypatch):
    (tmp_path / "brought").mkdir()
    (tmp_path / "brought" / "brought_parts.py").write_text(PARTS)
    monkeypatch.syspath_prepend(tmp_path / "brought")


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize("join", ["view", "view_after_relu", "view_of_images", "reshape", "flatten"])
def test_a_net_may_view_its_images_and_is_evaluated_as_it_was_tested(join, run_tiny, tmp_path):
    from vision_baselines.evaluation.evaluate import evaluate

    record = run_tiny("run", *ONE_EPOCH, *NET, f"+model.join={join}")
    again = evaluate(tmp_path / "outputs" / "run", trusted_packages=["brought_parts"])
    assert again.metrics["test/loss"] == record.metrics["test/loss"]


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-true", "bf16-mixed"])
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.slow
def test_a_net_of_another_precision_trains_and_its_record_says_so(dtype, precision, run_tiny):
    record = run_tiny("run", *ONE_EPOCH, *NET, f"+model.dtype={dtype}", f"trainer.precision={precision}")
    own = {"float64": "64-true", "float16": "16-true", "bfloat16": "bf16-true"}[dtype]
    assert record.precision == (precision if precision in ("64-true", "bf16-true") else own)


@pytest.mark.slow
@pytest.mark.ci(every=3)
@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ([*NET, "+model.mixed=true"], "model cannot be used: .*same dtype"),
        ([*NET, "+model.join=tuple"], r"model (returns|makes) a tuple|tuple"),
        ([*NET, "+model.join=dict"], "dict"),
        (["model._target_=brought_parts.NoWeights"], "model has no parameter that is trained"),
        (["model._target_=brought_parts.Exits"], r"it called sys\.exit\(0\)"),
        (["optimizer._target_=brought_parts.NoClosure"], "the step of NoClosure takes no closure"),
        (["optimizer._target_=brought_parts.DeafToClosure"], "the step of DeafToClosure never calls its closure"),
        (["optimizer._target_=torch.optim.Adadelta"], "'fused'; ~optimizer.fused leaves it out"),
        (["optimizer._target_=torch.optim.LBFGS", *PLAIN_OPTIMIZER], r"\+classifier.channels_last=false lays"),
        (["optimizer._target_=torch.optim.SparseAdam", *PLAIN_OPTIMIZER], "does not support dense gradients"),
        (["optimizer._target_=torch.optim.Muon", "~optimizer.fused"], "Muon"),
        (["scheduler=cosine", f"{SCHEDULE}StepLR"], "~scheduler.schedule.T_max"),
        (["scheduler=cosine", f"{SCHEDULE}LambdaLR"], "T_max"),
        (["classifier.compile={mode: nope}"], "classifier.compile is {'mode': 'nope'}; torch.compile says"),
        (["classifier.compile={nonsense: 1}"], "classifier.compile is {'nonsense': 1}"),
        (["classifier.compile={backend: nope}"], "classifier.compile is {'backend': 'nope'}"),
        (["classifier.compile={options: {nope: 1}}"], "classifier.compile is"),
        (["classifier.compile=true"], "classifier.compile is True"),
        ([f"{V2}.RandomHorizontalFlip"], "augment makes tuple of two images"),
        ([f"{V2}.Resize", "+augment.size=4"], "augment makes tuple of"),
        (["+augment._target_=brought_parts.mirrored", "+augment._partial_=true", "+augment.nope=1"], "augment"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_what_cannot_be_trained_is_one_line(overrides, says, run_tiny):
    with pytest.raises(ConfigError, match=says) as caught:
        run_tiny("run", *ONE_EPOCH, *overrides)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer._target_=torch.optim.Adadelta", "~optimizer.fused"],
        ["optimizer._target_=torch.optim.LBFGS", *PLAIN_OPTIMIZER, "+classifier.channels_last=false"],
        ["optimizer._target_=torch.optim.Rprop", *PLAIN_OPTIMIZER],
        ["optimizer._target_=brought_parts.Plain", "~optimizer.fused"],
        [
            "++scheduler.schedule={_target_: torch.optim.lr_scheduler.StepLR, _partial_: true, step_size: 1}",
            "~scheduler.schedule.T_max",
        ],
        [
            "++scheduler.schedule={_target_: torch.optim.lr_scheduler.MultiStepLR, _partial_: true, milestones: [1]}",
            "~scheduler.schedule.T_max",
        ],
        [
            "++scheduler.schedule={_target_: torch.optim.lr_scheduler.ExponentialLR, _partial_: true, gamma: 0.5}",
            "~scheduler.schedule.T_max",
        ],
        ["+augment._target_=brought_parts.mirrored", "+augment._partial_=true"],
    ],
    ids=lambda overrides: overrides[0].split("=", 1)[1][:50],
)
def test_what_can_be_trained_is_the_same_after_a_kill(overrides, run_tiny, with_callback):
    import pytorch_lightning as pl

    class Killed(BaseException):
        """Nothing in training catches it."""

    class Killer(pl.Callback):
        def on_train_batch_end(self, trainer, *rest):
            if trainer.global_step == 9:
                raise Killed

    often = ["trusted_packages=[brought_parts]", "checkpoint_every_n_steps=1", *overrides]
    whole = run_tiny("whole", *often)
    with_callback(Killer())
    with pytest.raises(Killed):
        run_tiny("killed", *often)
    with_callback()
    assert run_tiny("killed", *often).final_weights_sha256 == whole.final_weights_sha256


def test_every_shape_of_parameter_is_tried_in_its_own_layout():
    from vision_baselines.training.trial_step import check_optimizer

    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(2, 2)).to(memory_format=torch.channels_last)
    seen = []

    def make(parameters):
        made = list(parameters)
        seen.extend((p.dim(), p.is_contiguous()) for p in made)
        return torch.optim.SGD(made, lr=0.1)

    check_optimizer(make, None, net)
    assert sorted(seen) == [(1, True), (2, True), (4, False)]


def test_a_part_that_a_net_keeps_in_evaluation_mode_stays_in_it():
    from types import SimpleNamespace

    from vision_baselines.training.build import choose_memory_format

    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2).eval(), nn.Dropout())
    choose_memory_format(net, SimpleNamespace(image_shape=(1, 8, 8), memory_format=torch.channels_last))
    assert [module.training for module in net.modules()] == [True, True, False, True]
