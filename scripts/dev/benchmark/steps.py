"""Training steps: images a second of this project's way beside a hand-written loop, a template and the bare kernels."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from vision_baselines.errors import ConfigError

BASELINES = ("tutorial", "template", "limit")
# Steps of one timed round on a CPU, so that each takes a second or so on one thread.
_STEPS = {("cnn", 64): 40, ("cnn", 512): 3, ("fc", 64): 120, ("fc", 512): 30}
# On an accelerator enough of them that it is never idle before the clock stops, of images that fit in its memory.
_ACCELERATOR_STEPS = 100
_ACCELERATOR_IMAGES = 250_000
_GRAPHS_WARMUP = 15  # compiled, run twice, recorded
_BATCHES = {"cpu": (64,), "cuda": (64, 512, 4096)}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what chooses the cases."""
    group = parser.add_argument_group("training steps")
    group.add_argument("--model", nargs="+", default=["cnn", "fc"], choices=["cnn", "fc"])
    group.add_argument(
        "--precision",
        nargs="+",
        choices=["32-true", "bf16-mixed"],
        help="of ours and the limit; by default 32-true, and for the cnn bf16-mixed too where the CPU has it",
    )
    group.add_argument(
        "--against", nargs="+", choices=BASELINES, help="by default all three on a CPU, limit on an accelerator"
    )
    group.add_argument(
        "--graphs",
        nargs="+",
        choices=["off", "on"],
        help="with CUDA graphs (torch.compile, mode=reduce-overhead) or without; by default both on cuda",
    )
    group.add_argument(
        "--clock", choices=["wall", "cpu"], default="wall", help="cpu: seconds that the process had a core"
    )


def check(options: argparse.Namespace) -> None:
    """Refuse what cannot be measured here, before anything is.

    Raises:
        ConfigError: An option does not go with the device.
    """
    if options.device == "cpu" and "on" in (options.graphs or ()):
        raise ConfigError("--graphs is on; CUDA graphs need --device cuda")
    if options.device == "cuda" and options.clock == "cpu":
        raise ConfigError("--clock is cpu, which does not see what an accelerator does; expected wall")


def measure_steps(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure every case, print a row each, and return them as plain data."""
    import torch

    from benchmark.loops import limit, tutorial
    from benchmark.measure import measure
    from benchmark.trainers import ours, template
    from benchmark.workload import made_up
    from vision_baselines.runs.freed_memory import keep_freed_memory

    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as every run does; it is the process's, so the other variants have it too
    known = {"tutorial": tutorial, "template": template, "ours": ours, "limit": limit}
    wanted = options.against or (BASELINES if options.device == "cpu" else ("limit",))
    variants = {name: variant for name, variant in known.items() if name == "ours" or name in wanted}
    others = [name for name in variants if name != "ours"]
    clock = "" if options.clock == "wall" else ", in seconds of CPU time"
    print(
        f"training steps: images/s{clock}, medians of {options.rounds} rounds in which each has its turn, "
        f"{options.threads} thread(s); a ratio is of the two medians beside it, in brackets the range of the rounds"
    )
    print(f"{'':28}" + "".join(f"{name:>10}" for name in variants) + "".join(f"{'ours/' + o:>20}" for o in others))
    rows = []
    for precision, model, batch_size, graphs in _cases(options):
        steps = options.steps or _steps(model, batch_size, options.device)
        compiled = {"mode": "reduce-overhead"} if graphs else None
        warmup = max(2, steps // 10, _GRAPHS_WARMUP if graphs else 0)
        work = made_up(
            model,
            batch_size,
            steps=steps,
            warmup=warmup,
            precision=precision,
            device=options.device,
            compiled=compiled,
            clock=options.clock,
        )
        found = measure(work, variants, rounds=options.rounds)
        label = f"{model} batch {batch_size} {precision}{' graphs' if graphs else ''}"
        speeds = "".join(f"{found.median(name):>10,.0f}" for name in variants)
        print(f"{label:28}{speeds}" + "".join(f"{found.ratio('ours', o)!s:>20}" for o in others), flush=True)
        rows.append({**found.plain(), "steps": steps, "graphs": graphs, "clock": options.clock})
    return rows


def _steps(model: str, batch_size: int, device: str) -> int:
    if device == "cpu":
        return _STEPS.get((model, batch_size), max(5, 4000 // batch_size))
    return max(20, min(_ACCELERATOR_STEPS, _ACCELERATOR_IMAGES // batch_size))


def _cases(options: argparse.Namespace) -> Iterator[tuple[str, str, int, bool]]:
    """Precision, model, batch size and whether there are graphs, of each row."""
    import torch

    has_bf16 = options.device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    sizes = options.batch_size or _BATCHES[options.device]
    graphs = options.graphs or (["off"] if options.device == "cpu" else ["off", "on"])
    for precision in options.precision or ["32-true", "bf16-mixed"]:
        for model in options.model:
            if options.precision or precision == "32-true" or (model == "cnn" and has_bf16):
                yield from (
                    (precision, model, size, state == "on")
                    for size in sizes
                    for state in ("off", "on")
                    if state in graphs
                )
