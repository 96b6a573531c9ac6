"""The benchmark times what it says it times; its times themselves are nobody's to test."""

from __future__ import annotations

import itertools
import json
import random
import time

import pytest
import torch
from benchmark.command import PARTS, PARTS_OF, _options, main
from benchmark.loops import limit, tutorial
from benchmark.measure import measure
from benchmark.mnist import mnist
from benchmark.trainers import ours, template
from benchmark.workload import MEAN, STD, made_up, plain_net
from torch.nn import functional

from benchmark import passes, startup, steps, sweeps
from vision_baselines.cli.arguments import Parser
from vision_baselines.config.compose import composed
from vision_baselines.errors import ConfigError, TrainingError
from vision_baselines.runs.record import Timings
from vision_baselines.training import build

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
    ratio = found.ratio("a", "b")
    assert (ratio.of_medians, ratio.least, ratio.most) == (9 / 7.5, 0.5, 4)
    assert str(ratio) == "1.20 [0.50–4.00]"


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
def test_the_command_prints_and_writes_the_ratios_of_the_medians_beside_them(tmp_path, capsys):
    target = tmp_path / "speed.json"
    words = ["--part", "steps", "--model", "fc", "--batch-size", "4", "--steps", "2", "--rounds", "3"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--json", str(target)])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    found = json.loads(target.read_text())
    (row,) = found["steps"]
    assert set(row["rounds"]) == set(VARIANTS)
    for other in ("tutorial", "template", "limit"):
        medians = [sorted(row["rounds"][name])[1] for name in ("ours", other)]
        assert f"{medians[0]:,.0f}" in printed
        ratio = row["ratios"][f"ours/{other}"]
        assert ratio["of_medians"] == pytest.approx(medians[0] / medians[1])
        assert f"{ratio['of_medians']:.2f} [{ratio['least']:.2f}–{ratio['most']:.2f}]" in printed
    assert set(found["load"]) == {"before", "after"}
    assert found["environment"]["cores"] >= 1


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["--json", "no/such/folder/x.json"], 5, "no/such/folder"),
        (["--json=x.txt"], 2, "--json"),
        (["--graphs", "on"], 2, "--device cuda"),
        (["--part", "airbench"], 2, "--airbench"),
        (["--airbench", "no such folder"], 5, "no such folder"),
        pytest.param(
            ["--device", "cuda"], 2, "--device is cuda", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="")
        ),
        *(
            pytest.param(
                ["--part", part, "--device", "cuda"],
                2,
                "--device",
                marks=pytest.mark.skipif(torch.cuda.is_available(), reason=""),
            )
            for part in PARTS
            if part != "airbench"
        ),
        (["--device", "cuda", "--clock", "cpu"], 2, "cuda"),
        (["--part", "startup", "--steps", "3", "--model", "cnn"], 2, "--part steps"),
        (["--part", "startup", "--sweep"], 2, "--part sweep"),
        (["--airbench", ".", "--threads", "1"], 2, "--threads does nothing for --part airbench"),
        (["--part", "sweep", "--rounds", "3"], 2, "startup, steps, passes, airbench"),
    ],
)
def test_what_cannot_be_measured_or_written_is_refused_in_a_line_before_anything_is(
    words, code, named, monkeypatch, capsys
):
    monkeypatch.setattr("benchmark.command._measured", lambda options: pytest.fail("it has measured"))
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == code, said
    assert named in said[-1]


# A value of each option that is as good as another; where it is the default too, it was asked for all the same.
VALUES = {
    "sweep": [], "device": ["cpu"], "threads": ["1"], "rounds": ["3"], "steps": ["1"], "batch_size": ["8"],
    "model": ["cnn", "fc"], "precision": ["32-true"], "against": ["limit"], "graphs": ["off"], "clock": ["wall"],
    "template_seeds": ["1"], "airbench": ["."],
}  # fmt: skip


def test_every_option_says_which_parts_it_belongs_to(monkeypatch):
    seen = []
    parsed = Parser.parse_args
    monkeypatch.setattr(Parser, "parse_args", lambda self, *words: seen.append(self) or parsed(self, *words))
    _options([])
    every = {action.dest for action in seen[0]._actions} - {"help", "json", "part"}
    assert every == set(PARTS_OF) == set(VALUES)
    assert {part for parts in PARTS_OF.values() for part in parts} == set(PARTS)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", VALUES)
def test_an_option_is_taken_with_its_own_parts_alone(name, part):
    words = ["--part", part, f"--{name.replace('_', '-')}", *VALUES[name]]
    if part in PARTS_OF[name]:
        assert _options(words).part == [part]
        return
    with pytest.raises(ConfigError, match=f"does nothing for --part {part}; it belongs to --part"):
        _options(words)


def test_what_is_not_given_has_its_default():
    found = _options([])
    assert (found.threads, found.rounds, found.model, found.clock, found.device) == (1, 3, ["cnn", "fc"], "wall", "cpu")
    assert (found.sweep, found.template_seeds, found.steps) == (False, 1, None)


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("variant", [ours, limit])
def test_ours_and_the_limit_are_compiled_with_the_options_given(variant, monkeypatch):
    """With CUDA graphs they are ``mode=reduce-overhead``; what torch.compile itself does needs a compiler."""
    seen = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **options: seen.append(options))
    variant(made_up("fc", 4, steps=2, warmup=1, compiled={"mode": "reduce-overhead"}))
    variant(made_up("fc", 4, steps=2, warmup=1))
    assert seen == [{"mode": "reduce-overhead"}]


def test_cases_of_an_accelerator_are_both_nets_three_sizes_with_and_without_graphs():
    found = list(steps._cases(_options(["--device", "cuda", "--precision", "bf16-mixed"])))
    sizes = [64, 512, 4096]
    assert found == [
        ("bf16-mixed", model, size, graphs) for model in ("cnn", "fc") for size in sizes for graphs in (False, True)
    ]


def test_the_lower_bound_is_the_best_distribution_over_the_cores():
    draws = random.Random(0)
    for count in range(1, 8):
        jobs = [draws.uniform(1, 30) for _ in range(count)]
        best = min(
            max(sum(job for job, core in zip(jobs, cores, strict=True) if core == n) for n in (0, 1))
            for cores in itertools.product((0, 1), repeat=count)
        )
        assert sweeps.lower_bound(jobs, 2) == pytest.approx(best)
        assert sweeps.lower_bound(jobs, 1) == pytest.approx(sum(jobs))
        assert max(max(jobs), sum(jobs) / 3) <= sweeps.lower_bound(jobs, 3)


@pytest.mark.slow
def test_mnist_is_made_where_it_is_not_and_every_contestant_reads_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("VISION_BASELINES_DATA_DIR", str(tmp_path / "nothing here"))
    found = mnist(tmp_path / "made")
    assert found.root == tmp_path / "made"
    assert "made here" in found.words
    module = build.datamodule(composed(["name=x", *found.overrides, f"paths.data_dir={found.root}"]))
    module.prepare_data()
    module.setup()
    train = module.splits.train
    assert train.images.shape == (55_000, 1, 28, 28)
    assert train.target.unique().tolist() == list(range(10))
    pixels = train.images[:5000].double() / 255
    assert abs(pixels.mean() - MEAN) < 0.03
    assert abs(pixels.std() - STD) < 0.05
    monkeypatch.setenv("VISION_BASELINES_DATA_DIR", str(found.root))
    again = mnist(tmp_path / "not needed")
    assert (again.root, str(found.root) in again.words) == (found.root, True)
    assert not (tmp_path / "not needed").exists()


@pytest.mark.slow
@pytest.mark.ci
def test_a_sweep_that_fails_is_no_time(monkeypatch):
    with pytest.raises(TrainingError, match="no such thing"):
        sweeps._seconds(["-c", "raise SystemExit('no such thing')"], threads=1)


@pytest.mark.slow
def test_both_ways_of_a_sweep_train_every_job():
    times = sweeps.measure_sweep(["data=digits"], seeds=[0])
    assert "counted" not in times.lines()[1]
    cnn, fc = sorted(times.jobs)
    assert "model=cnn,seed=0" in cnn
    assert "model=fc,seed=0" in fc
    assert 0 < times.lower_bound_s < times.whole_bound_s < times.ours_s
    assert times.template_s > 1
    ratios = times.plain()["ratios"]
    assert f"{ratios['template/ours']:.2f} times as fast" in times.lines()[2]
    assert f"{ratios['ours/lower bound']:.2f} times as long" in times.lines()[3]
    assert f"{ratios['ours/bound with set-up and test']:.2f} times as long" in times.lines()[4]


@pytest.mark.slow
def test_without_words_it_measures_all_that_a_person_waits_for_and_says_the_ratios_of_what(monkeypatch, capsys):
    """Each part has its own tests; here their figures are given."""
    cost = [startup.Cost(2.0, 3.0), startup.Cost(4.0, 6.0), startup.Cost(6.0, 9.0)]
    twice = [startup.Cost(2 * one.cpu_s, 3 * one.wall_s) for one in reversed(cost)]
    given = startup.Measured({"two imports": cost, "smallest run": twice}, (0.1, 0.2), 900, 800)
    monkeypatch.setattr(startup, "measure", lambda rounds: given)
    monkeypatch.setattr(
        sweeps,
        "_seconds",  # one seed of three, with 2 s of imports
        lambda words, **more: (12.0, "10.0\n") if "benchmark.template_sweep" in words else (10.0, ""),
    )
    timings = Timings(setup_s=0.5, fit_s=3.0, test_s=1.5)
    monkeypatch.setattr(sweeps, "timings_of", lambda folder: {f"{n}": timings for n in range(6)})
    monkeypatch.setattr("benchmark.mnist.make", lambda root: None)
    monkeypatch.setattr("benchmark.command.steps.measure_steps", lambda options: [])
    with pytest.raises(SystemExit) as ended:
        main(["--json"])
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert ended.value.code == 0, said.err
    assert set(found) == {"environment", "load", "seconds", "startup", "steps", "sweep"}
    (line,) = [line for line in said.err.splitlines() if line.startswith("smallest run")]
    assert "2.00 (0.67 to 6.00)" in line  # 8 to 4, and of the rounds 12 to 2, 8 to 4, 4 to 6
    assert line.split()[-1] == "3.00"
    bound = sweeps.lower_bound([3.0] * 6, found["environment"]["cores"])
    assert found["sweep"]["ratios"] == {
        "template/ours": pytest.approx(3.2),
        "ours/lower bound": pytest.approx(10 / bound),
        "ours/bound with set-up and test": pytest.approx(10 / bound * 3 / 5),
    }


@pytest.mark.slow
def test_seeds_in_one_pass_are_compared_with_a_run_alone_by_the_medians_of_the_rounds(monkeypatch, capsys):
    given = itertools.count()
    monkeypatch.setattr(passes, "step_us", lambda overrides, size, epochs, device: 100.0 + next(given))
    found = passes.measured([2], 3, 1, ["digits, fc"], "cpu")
    assert found == {"digits, fc": {0: [100, 102, 104], 2: [101, 103, 105]}}
    assert f"2: 103 ({102 / 103:.2f})" in capsys.readouterr().out
