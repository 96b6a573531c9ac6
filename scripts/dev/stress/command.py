"""``stress_resume.py [--kills 100] [--model cnn fc] [--workers 0 2] [--rows] [overrides…]``: kill, resume, compare."""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from stress.rows import HARDEST
from vision_baselines.cli.arguments import Parser, positive
from vision_baselines.cli.entry import exit_with
from vision_baselines.errors import ConfigError, TrainingError

# Three epochs of twelve steps on digits, a state every five steps: kills fall before, in and between all of these.
_SMALL = (
    "data=digits",
    "data.batch_size=32",
    "data.eval_batch_size=64",
    "trainer.max_epochs=3",
    "+trainer.limit_train_batches=12",
    "trainer.log_every_n_steps=1",
    "checkpoint_every_n_steps=5",
)
# Of one run; the next kill would not find out more than one in another run.
_MOST_KILLS = 8


@dataclass
class Case:
    """One config, the runs it was stressed by, and where they differed from the uninterrupted one."""

    name: str
    overrides: tuple[str, ...]
    runs: int = 0
    identical: int = 0
    kills: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Stress, print the table; exits with 4 if anything differs."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _stress(given))


def _stress(arguments: list[str]) -> None:
    parser = Parser(prog="stress_resume.py", description=__doc__)
    parser.add_argument("--kills", type=positive, default=100, help="SIGKILLs in all, over every case")
    parser.add_argument("--model", nargs="+", default=["cnn", "fc"])
    parser.add_argument("--workers", nargs="+", type=int, default=[0, 2])
    parser.add_argument(
        "--variant",
        action="append",
        metavar="OVERRIDES",
        help="overrides of a case of its own; if none is given, there is one without and one with augmentation",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments; timing makes no two runs of this alike")
    parser.add_argument("--rows", action="store_true", help="the ten hardest rows of docs/options.md, each with the fc")
    parser.add_argument("overrides", nargs="*", help="as for train.py, of every case: +trainer.max_steps=20")
    options = parser.parse_intermixed_args(arguments)
    cases = _rows(options.overrides) if options.rows else _grid(options)
    if options.kills < len(cases):
        raise ConfigError(f"--kills is {options.kills}; expected at least one for each of the {len(cases)} cases")
    draws = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="stress-") as scratch:
        _run_cases(cases, Path(scratch), options.kills, draws)
    _report(cases)


def _grid(options: argparse.Namespace) -> list[Case]:
    return [
        Case(
            name=" ".join([model, f"workers={workers}", variant, *options.overrides]).strip(),
            overrides=(
                *_SMALL,
                f"model={model}",
                f"data.num_workers={workers}",
                *variant.split(),
                *options.overrides,
            ),
        )
        for variant in options.variant or ([""] if options.overrides else ["", "augment=photo"])
        for model in options.model
        for workers in options.workers
    ]


def _rows(overrides: Sequence[str]) -> list[Case]:
    return [Case(name, (*_SMALL, "model=fc", *row, *overrides)) for name, row in HARDEST.items()]


def _run_cases(cases: list[Case], scratch: Path, kills: int, draws: random.Random) -> None:
    # Only now: a wrong argument is refused before torch is imported.
    from stress.attempts import attempt, output_file
    from stress.traces import differences, trace
    from vision_baselines.config.compose import composed_run
    from vision_baselines.config.plan import planned

    for case in cases:
        planned(composed_run(case.overrides, scratch / "unused"))  # what cannot be run is refused before the first kill
    for number, case in enumerate(cases):
        whole = scratch / f"{number}-whole"
        cfg = composed_run(case.overrides, whole)
        first = attempt(cfg)
        if first.exit_code:
            said = output_file(whole).read_text().strip().splitlines()[-1:]
            raise TrainingError(f"{case.name}: the uninterrupted run ended with {first.exit_code}: {''.join(said)}")
        expected, whole_s, tries = trace(whole), first.wall_s, 0
        share = kills // len(cases) + (number < kills % len(cases))
        while sum(case.kills) < share:
            tries += 1
            folder = scratch / f"{number}-{tries}"
            cfg, killed = composed_run(case.overrides, folder), 0
            while True:
                spare = killed >= _MOST_KILLS or sum(case.kills) + killed >= share
                last = attempt(cfg, kill_after_s=None if spare else draws.uniform(0, whole_s))
                if not last.killed:
                    break
                killed += 1
            if not killed:  # it was done before its moment came: the first was slowed by something else
                whole_s = min(whole_s, last.wall_s)
                continue
            case.runs += 1
            case.kills.append(killed)
            if last.exit_code:
                said = output_file(folder).read_text().strip().splitlines()[-1:]
                faults = [f"ended with exit code {last.exit_code}: {''.join(said)}"]
            else:
                faults = differences(expected, trace(folder))
            case.identical += not faults
            case.faults += [f"run {case.runs}, {killed} kills: {fault}" for fault in faults]
            print(
                f"{case.name}: {sum(case.kills)} of {share} kills, {case.identical} of {case.runs} runs identical",
                flush=True,
            )


def _report(cases: list[Case]) -> None:
    print("\n| case | kills | runs | most in one run | median | identical to the uninterrupted run |")
    print("|---|---:|---:|---:|---:|---:|")
    for case in cases:
        print(
            f"| {case.name} | {sum(case.kills)} | {case.runs} | {max(case.kills)} | "
            f"{statistics.median(case.kills):g} | {case.identical} of {case.runs} |"
        )
    kills, runs = sum(sum(case.kills) for case in cases), sum(case.runs for case in cases)
    identical = sum(case.identical for case in cases)
    print(f"\n{kills} kills in {runs} runs; {identical} of {runs} runs bit-identical")
    faults = [f"{case.name}, {fault}" for case in cases for fault in case.faults]
    for fault in faults:
        print(fault)
    if faults:
        raise TrainingError(f"{runs - identical} of {runs} resumed runs differ from the uninterrupted one")
