"""Optimizers, groups of parameters and schedules: against formulas, torch, and a run that did not stop."""

from __future__ import annotations

import copy
import math
from functools import partial

import pytest
import torch
from torch import nn

from vision_baselines.errors import ConfigError
from vision_baselines.optim.groups import assigned
from vision_baselines.optim.joint import Joint, Lookahead
from vision_baselines.optim.lion import Lion
from vision_baselines.optim.make import optimizer_of
from vision_baselines.optim.schedules import Exponential, MultiStep, Step, Triangular, WarmupCosine
from vision_baselines.training.trial_step import check_optimizer

TOTAL = 40


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 5), nn.LayerNorm(5), nn.Linear(5, 3)
    )


def rates(make, *, total: int = TOTAL, lr: float = 0.5) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = make(optimizer, total_steps=total)
    found = []
    for _ in range(total + 3):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("total", [1, 2, 7, 40])
def test_schedules_are_their_formulas_and_stay_at_their_end(total):
    def cosine(step):
        return 0.25 * (1 + math.cos(math.pi * min(step, total) / total))

    expected = {
        "cosine": (lambda o, **k: WarmupCosine(o, warmup=0, **k), cosine),
        "line": (lambda o, **k: Triangular(o, peak=0, **k), lambda step: 0.5 * (1 - min(step, total) / total)),
        "exponential": (
            lambda o, **k: Exponential(o, final=0.01, **k),
            lambda s: 0.5 * 0.01 ** (min(s, total) / total),
        ),
    }
    for name, (make, formula) in expected.items():
        assert rates(make, total=total) == pytest.approx([formula(step) for step in range(total + 3)], abs=1e-12), name


def test_warmup_rises_to_the_whole_rate_and_falls_from_there():
    found = rates(lambda o, **k: WarmupCosine(o, warmup=0.25, **k))
    assert found[:10] == pytest.approx([0.5 * (step + 1) / 11 for step in range(10)])
    assert found[10] == 0.5
    assert found[25] == pytest.approx(0.25)
    assert found[40] == pytest.approx(0, abs=1e-12)


def test_triangular_has_its_start_peak_and_end():
    found = rates(lambda o, **k: Triangular(o, peak=0.25, start=0.2, final=0.1, **k))
    assert (found[0], found[10], found[40], found[42]) == pytest.approx((0.1, 0.5, 0.05, 0.05))
    assert found.index(max(found)) == 10


@pytest.mark.parametrize("every", [1, 3, 10, 39])
def test_steps_are_those_of_torch(every):
    def reference(optimizer, total_steps):
        return torch.optim.lr_scheduler.StepLR(optimizer, every)

    assert rates(lambda o, **k: Step(o, every=every, **k))[:TOTAL] == pytest.approx(rates(reference)[:TOTAL])


@pytest.mark.parametrize("at", [[5], [5, 6], [10, 30]])
def test_several_steps_are_those_of_torch(at):
    def reference(optimizer, total_steps):
        return torch.optim.lr_scheduler.MultiStepLR(optimizer, at)

    assert rates(lambda o, **k: MultiStep(o, at=at, **k)) == pytest.approx(rates(reference))
    shares = [place / TOTAL for place in at]
    assert rates(lambda o, **k: MultiStep(o, at=shares, **k)) == rates(lambda o, **k: MultiStep(o, at=at, **k))


def test_groups_keep_the_ratio_of_their_rates():
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 0.3)], lr=1.0)
    schedule = WarmupCosine(optimizer, total_steps=9)
    for _ in range(8):
        first, second = (group["lr"] for group in optimizer.param_groups)
        assert second == pytest.approx(3 * first)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda o: WarmupCosine(o, total_steps=9, warmup=-1), "warmup"),
        (lambda o: WarmupCosine(o, total_steps=9, warmup=1.5), "warmup"),
        (lambda o: WarmupCosine(o, total_steps=9, final=2), "final"),
        (lambda o: MultiStep(o, total_steps=9, at=[]), "at"),
        (lambda o: Exponential(o, total_steps=9, final=0), "final"),
        (lambda o: Step(o, total_steps=9, every=True), "every"),
        (lambda o: Step(o, total_steps=9, every=0), "every"),
    ],
)
def test_lengths_and_shares_out_of_range_are_refused(make, says):
    with pytest.raises(ConfigError, match=rf"scheduler\.schedule\.{says} is"):
        make(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0))


@pytest.mark.parametrize(
    "groups",
    [
        {"a": {"match": ["norm", "bias"]}},
        {"a": {"match": ["bias"]}, "b": {"match": ["norm"]}},
        {"a": {"match": ["1d"]}, "b": {"match": ["2d"], "except": ["last"]}},
        {"a": {"match": ["first"]}, "b": {"match": ["last"]}, "c": {"match": ["*.weight"]}},
        {"a": {"match": ["3.*", "4d"]}},
        {"a": {"match": ["*"]}},
        {},
    ],
)
def test_every_parameter_is_in_exactly_one_group(groups):
    made = net()
    found = assigned(made, groups)
    named = [name for group in found for name in group.names]
    assert sorted(named) == sorted(name for name, _ in made.named_parameters())
    assert len(set(named)) == len(named)
    assert [group.name for group in found if group.name] == list(groups)


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ({"a": {"match": ["nothing.*"]}}, "matches no parameter"),
        ({"a": {"match": ["bias", "5d"]}}, "matches no parameter"),
        ({"a": {"match": []}}, "expected a list"),
        ({"a": {"match": "bias"}}, "expected a list"),
        ({"a": {}}, "expected a list"),
        ({"a": 3}, "expected match"),
        ({"a": {"match": ["*"]}, "b": {"match": ["bias"]}}, "left without a parameter"),
        ({"a": {"match": ["2d"], "except": ["*"]}}, "left without a parameter"),
        ({"a": {"match": ["2d"], "lr": 1.0, "optimizer": torch.optim.SGD}}, "optimizer of its own"),
    ],
)
def test_groups_that_say_nothing_are_refused_in_a_line(groups, says):
    with pytest.raises(ConfigError, match=says) as caught:
        assigned(net(), groups)
    assert len(str(caught.value).splitlines()) == 1


def test_a_frozen_parameter_is_in_no_group():
    made = net()
    made[0].requires_grad_(False)
    assert not any(name.startswith("0.") for group in assigned(made, {}) for name in group.names)
    with pytest.raises(ConfigError, match="matches no parameter"):
        assigned(made, {"a": {"match": ["4d"]}})


def test_a_setting_that_the_optimizer_does_not_have_is_refused():
    made = net()
    with pytest.raises(ConfigError, match=r"parameter_groups\.a\.wait_decay is no setting of AdamW"):
        optimizer_of(
            dict(made.named_parameters()),
            torch.optim.AdamW,
            assigned(made, {"a": {"match": ["bias"], "wait_decay": 0}}),
        )


def _muon(parameters):
    return torch.optim.Muon(parameters, lr=0.02)


MANY = {
    "groups": {"a": {"match": ["norm", "bias"], "weight_decay": 0.0}},
    "two": {"a": {"match": ["2d"], "optimizer": _muon}},
    "three": {"a": {"match": ["2d"], "optimizer": _muon}, "b": {"match": ["bias"], "optimizer": torch.optim.SGD}},
}


def _train(made, optimizer, steps, *, first=0):
    schedule = WarmupCosine(optimizer, total_steps=12)
    for _ in range(first):
        pass
    for step in range(first, first + steps):
        images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(step))

        def closure(images=images):
            optimizer.zero_grad()
            loss = made(images).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)
        schedule.step()
    return schedule


@pytest.mark.few(2)
@pytest.mark.parametrize("lookahead", [None, {"every": 2, "share": 0.3}])
@pytest.mark.parametrize("groups", MANY.values(), ids=MANY)
def test_a_state_that_is_saved_and_loaded_goes_on_to_the_same_bits(groups, lookahead, tmp_path):
    def made_of(made):
        return optimizer_of(dict(made.named_parameters()), torch.optim.AdamW, assigned(made, groups), lookahead)

    whole, part = net(), net()
    first = made_of(part)
    _train(whole, made_of(whole), 7)
    _train(part, first, 3)
    torch.save({"net": part.state_dict(), "optimizer": first.state_dict()}, tmp_path / "state.pt")
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    resumed = net()
    resumed.load_state_dict(saved["net"])
    second = made_of(resumed)
    second.load_state_dict(saved["optimizer"])
    # the schedule of a resumed run is loaded too; here the rates are what the whole run had
    steps = iter(range(3, 7))
    reference = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = WarmupCosine(reference, total_steps=12)
    for _ in range(3):
        reference.step()
        schedule.step()
    base = [group["initial_lr"] for group in second.param_groups]
    for step in steps:
        for group, rate in zip(second.param_groups, base, strict=True):
            group["lr"] = float(rate) * schedule.factor(step)
        second.zero_grad()
        resumed(torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(step))).square().mean().backward()
        second.step()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_one_optimizer_around_two_does_what_the_two_do():
    together, apart = net(), net()
    both = optimizer_of(dict(together.named_parameters()), torch.optim.AdamW, assigned(together, MANY["two"]))
    matrices = [parameter for parameter in apart.parameters() if parameter.dim() == 2]
    others = [parameter for parameter in apart.parameters() if parameter.dim() != 2]
    separate = [torch.optim.AdamW(others), _muon(matrices)]
    for step in range(4):
        images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(step))
        for made, optimizers in ((together, [both]), (apart, separate)):
            for optimizer in optimizers:
                optimizer.zero_grad()
            made(images).square().mean().backward()
            for optimizer in optimizers:
                optimizer.step()
    assert isinstance(both, Joint)
    for one, other in zip(together.parameters(), apart.parameters(), strict=True):
        assert torch.equal(one, other)


def test_lookahead_is_its_formula():
    fast = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = Lookahead(torch.optim.SGD([fast], lr=0.1), every=3, share=0.25)
    slow, expected = fast.detach().clone(), fast.detach().clone()
    for step in range(1, 8):
        fast.grad = torch.tensor([1.0, -1.0])
        optimizer.step()
        expected = expected - 0.1 * torch.tensor([1.0, -1.0])
        if step % 3 == 0:
            slow = slow + 0.25 * (expected - slow)
            expected = slow.clone()
        assert torch.allclose(fast, expected)


@pytest.mark.parametrize("options", [{"every": 0}, {"every": 2.5}, {"share": 0.0}, {"share": 2}, {"steps": 3}])
def test_lookahead_refuses_what_it_cannot_do(options):
    made = net()
    with pytest.raises(ConfigError, match=r"classifier\.lookahead"):
        optimizer_of(dict(made.named_parameters()), torch.optim.AdamW, assigned(made, {}), options)


def test_lion_is_its_formula():
    parameter = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    optimizer = Lion([parameter], lr=0.1, betas=(0.9, 0.99), weight_decay=0.5)
    expected, momentum = parameter.detach().double(), torch.zeros(3, dtype=torch.float64)
    for step in range(5):
        gradient = torch.tensor([1.0, -0.5, 0.25 * (-1) ** step])
        parameter.grad = gradient.clone()
        optimizer.step()
        sign = (0.9 * momentum + 0.1 * gradient.double()).sign()
        expected = expected * (1 - 0.1 * 0.5) - 0.1 * sign
        momentum = 0.99 * momentum + 0.01 * gradient.double()
        assert torch.allclose(parameter.double(), expected, atol=1e-6)


def test_a_copy_of_a_schedule_is_loaded_from_plain_values():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = MultiStep(optimizer, total_steps=9)
    state = copy.deepcopy(schedule.state_dict())
    assert all(isinstance(value, int | float | bool | list) or value is None for value in state.values())


ONE_CYCLE = partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1)
ADAM_AND_SGD = {"a": {"match": ["bias"], "optimizer": partial(torch.optim.SGD, lr=1e-3)}}


@pytest.mark.parametrize(
    ("optimizer", "groups", "lookahead", "takes"),
    [
        (torch.optim.AdamW, {}, None, True),
        (torch.optim.SGD, {}, None, True),
        (torch.optim.AdamW, {}, {"every": 2, "share": 0.5}, True),
        (torch.optim.Adadelta, {}, None, False),
        (torch.optim.AdamW, ADAM_AND_SGD, None, False),
        (torch.optim.AdamW, {"a": {"match": ["bias"], "weight_decay": 0.0}}, None, True),
    ],
)
def test_one_cycle_moves_a_momentum_that_all_parameters_have_or_none(optimizer, groups, lookahead, takes):
    make = partial(optimizer, lr=1e-3)
    if takes:
        check_optimizer(make, ONE_CYCLE, net(), groups, lookahead)
    else:
        with pytest.raises(ConfigError, match=r"\+scheduler\.schedule\.cycle_momentum=false"):
            check_optimizer(make, ONE_CYCLE, net(), groups, lookahead)
    check_optimizer(make, partial(ONE_CYCLE, cycle_momentum=False), net(), groups, lookahead)
