"""The benchmark times what it says it times; its times themselves are nobody's to test."""

from __future__ import annotations

import itertools
import json
import time

import pytest
import torch
from benchmark.command import main
from benchmark.loops import limit, tutorial
from benchmark.measure import measure
from benchmark.trainers import ours, template
from benchmark.workload import MEAN, STD, made_up, plain_net
from torch.nn import functional

from benchmark import sweeps
from vision_baselines.errors import TrainingError

VARIANTS = {"tutorial": tutorial, "template": template, "ours": ours, "limit": limit}


@pytest.fixture(autouse=True)
def _registered():
    from vision_baselines.config.compose import register_resolvers

    register_resolvers()


@pytest.mark.slow
@pytest.mark.ci
def test_variants_take_turns_and_the_first_round_does_not_count():
    calls = []

    def variant(name, seconds):
        def run(work):
            calls.append(name)
            return seconds[calls.count(name) - 1]

        return run

    work = made_up("fc", 4, steps=3, warmup=1)
    found = measure(work, {"a": variant("a", [9, 1, 2]), "b": variant("b", [9, 4, 1])}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert found.rounds == {"a": [12, 6], "b": [3, 12]}
    assert found.median("a") == 9
    assert found.ratio("a", "b") == pytest.approx((4 + 0.5) / 2)


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("model", ["cnn", "fc"])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_times_its_steps_within_the_call(name, model, monkeypatch):
    ticks = itertools.count()
    now = [0.0]
    step = torch.optim.AdamW.step

    def one_second_a_step(*arguments, **options):
        now[0] = 1.0 + next(ticks)
        return step(*arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", one_second_a_step)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    work = made_up(model, 4, steps=3, warmup=2)
    assert VARIANTS[name](work) == 3.0  # the clock ran through every step after the warm-up and no other
    assert next(ticks) - work.total_steps in (0, 3)  # ours tries the optimizer on small parameters before it trains


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_ours_and_the_limit_train_at_the_precision_asked_for(precision, monkeypatch):
    seen = []
    plain = functional.cross_entropy

    def spy(logits, *rest, **more):
        seen.append(logits.dtype)
        return plain(logits, *rest, **more)

    monkeypatch.setattr(functional, "cross_entropy", spy)
    monkeypatch.setattr("vision_baselines.tasks.classification.cross_entropy", spy)
    work = made_up("fc", 4, steps=2, warmup=0, precision=precision)
    limit(work)
    ours(work)
    assert seen == [torch.bfloat16 if precision == "bf16-mixed" else torch.float32] * 4


@pytest.mark.slow
@pytest.mark.ci
def test_one_step_of_the_fast_way_is_one_step_of_the_tutorials():
    """Pooling before ReLU, channels last and fused AdamW change a step by rounding alone."""
    work = made_up("cnn", 16, steps=1, warmup=0)
    fast, plain = work.net(), plain_net("cnn")
    plain.load_state_dict(dict(zip(plain.state_dict(), fast.state_dict().values(), strict=True)))
    fast.to(memory_format=torch.channels_last)
    images = (work.images.float() / 255 - MEAN) / STD
    for net, layout, fused in ((fast, torch.channels_last, True), (plain, torch.contiguous_format, False)):
        net.train()
        for module in net.modules():
            if isinstance(module, torch.nn.Dropout):
                module.eval()
        # At Adam's own epsilon its first step is ±lr whatever the gradient, which turns rounding near nought into 2·lr.
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, eps=1e-2, fused=fused)
        functional.cross_entropy(net(images.contiguous(memory_format=layout)), work.target).backward()
        optimizer.step()
    for ours_, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours_.grad, theirs.grad, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours_, theirs, rtol=1e-4, atol=1e-5)
    start = work.net()
    assert not torch.allclose(next(start.parameters()), next(fast.parameters()))


@pytest.mark.slow
def test_the_command_prints_and_writes_ratios_of_its_own_rounds(tmp_path, capsys):
    target = tmp_path / "speed.json"
    words = ["--model", "fc", "--batch-size", "4", "--steps", "2", "--rounds", "3", "--json", str(target)]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    (row,) = json.loads(target.read_text())["results"]
    assert set(row["rounds"]) == set(VARIANTS)
    for other in ("tutorial", "template", "limit"):
        pairs = zip(row["rounds"]["ours"], row["rounds"][other], strict=True)
        assert row["ratios"][f"ours/{other}"] == pytest.approx(sorted(a / b for a, b in pairs)[1])
        assert f"{row['ratios'][f'ours/{other}']:.2f}" in printed


@pytest.mark.slow
@pytest.mark.ci
def test_a_sweep_that_fails_is_no_time(monkeypatch):
    with pytest.raises(TrainingError, match="no such thing"):
        sweeps._seconds(["-c", "raise SystemExit('no such thing')"], threads=1)


@pytest.mark.slow
def test_both_ways_of_a_sweep_train_every_job():
    times = sweeps.measure_sweep(seeds=[0], data="digits")
    assert times.jobs == 2
    assert min(times.template_s, times.ours_s) > 1
