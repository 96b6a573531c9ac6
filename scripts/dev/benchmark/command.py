"""``benchmark.py [--json FILE] [--model cnn fc] [--batch-size 64 512] …``: the table of speeds and ratios."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from vision_baselines.cli.arguments import Parser, positive
from vision_baselines.cli.entry import exit_with

# Steps of one timed round, so that each takes a second or so on one thread.
_STEPS = {("cnn", 64): 40, ("cnn", 512): 3, ("fc", 64): 120, ("fc", 512): 30}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Measure and print; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _benchmark(given))


def _benchmark(arguments: list[str]) -> None:
    parser = Parser(prog="benchmark.py", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every round's figures")
    parser.add_argument("--model", nargs="+", default=["cnn", "fc"], choices=["cnn", "fc"])
    parser.add_argument("--batch-size", nargs="+", type=positive, default=[64, 512])
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=["32-true", "bf16-mixed"],
        help="of ours and the limit; by default 32-true, and for the cnn bf16-mixed too where the CPU has it",
    )
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--steps", type=positive, help="timed steps a round; by default about a second's worth")
    parser.add_argument("--threads", type=positive, default=1)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--sweep", action="store_true", help="instead, 6 jobs of an epoch of MNIST, both ways")
    options = parser.parse_args(arguments)
    if options.sweep:
        _benchmark_sweep(options.json)
        return

    import torch

    from benchmark.loops import limit, tutorial
    from benchmark.measure import measure
    from benchmark.trainers import ours, template
    from benchmark.workload import made_up
    from vision_baselines.runs.environment import keep_freed_memory, observe

    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as every run does; it is the process's, so the other variants have it too
    variants = {"tutorial": tutorial, "template": template, "ours": ours, "limit": limit}
    rows: list[dict[str, Any]] = []
    print(
        f"images/s, medians of {options.rounds} interleaved rounds, {options.threads} thread(s), {platform.machine()}; "
        "o/… are medians of each round's ratio, in which the machine was in one state, not ratios of the medians"
    )
    print(f"{'':24}" + "".join(f"{name:>10}" for name in (*variants, "o/tutor", "o/templ", "o/limit")))
    for precision, model, batch_size in _cases(options):
        steps = options.steps or _STEPS.get((model, batch_size), max(5, 4000 // batch_size))
        work = made_up(
            model, batch_size, steps=steps, warmup=max(2, steps // 10), precision=precision, device=options.device
        )
        found = measure(work, variants, rounds=options.rounds)
        medians = {name: found.median(name) for name in variants}
        ratios = {f"ours/{name}": found.ratio("ours", name) for name in ("tutorial", "template", "limit")}
        label = f"{model} batch {batch_size} {precision}"
        speeds = "".join(f"{value:>10,.0f}" for value in medians.values())
        print(f"{label:24}{speeds}" + "".join(f"{value:>10.2f}" for value in ratios.values()), flush=True)
        rows.append(
            {"model": model, "batch_size": batch_size, "precision": precision, "steps": steps}
            | {"images_per_s": medians, "ratios": ratios, "rounds": dict(found.rounds)}
        )
    if options.json:
        manifest = observe(options.device).model_dump()
        content = {"environment": manifest, "rounds": options.rounds, "results": rows}
        options.json.write_text(json.dumps(content, indent=1))


def _cases(options: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """Precision, model and batch size of each row."""
    import torch

    has_bf16 = options.device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    for precision in options.precision or ["32-true", "bf16-mixed"]:
        for model in options.model:
            wanted = options.precision or precision == "32-true" or (model == "cnn" and has_bf16)
            if wanted:
                yield from ((precision, model, batch_size) for batch_size in options.batch_size)


def _benchmark_sweep(target: Path | None) -> None:
    from benchmark.sweeps import measure_sweep
    from vision_baselines.runs.environment import observe

    times = measure_sweep()
    print(f"{times.jobs} jobs: template {times.template_s:.1f} s, ours {times.ours_s:.1f} s, ratio {times.ratio:.2f}")
    if target:
        found = {"jobs": times.jobs, "template_s": times.template_s, "ours_s": times.ours_s, "ratio": times.ratio}
        target.write_text(json.dumps({"environment": observe("cpu").model_dump(), "sweep": found}, indent=1))
