"""``reproduce RUN_FOLDER [key=value …]`` or ``reproduce --baselines [--quick]``: run it again, compare bit for bit.

``reproduce receipt.json`` trains every run of a sweep's receipt again, which takes this package and the data alone.
``reproduce RUN_FOLDER --bisect`` finds the first step and module whose bits differ between two runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vision_baselines.cli.arguments import Parser, file_path
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.messages import config_dir_known
from vision_baselines.cli.outputs import deliver, say, text_apart
from vision_baselines.config.compose import register_resolvers
from vision_baselines.config.restore import restored
from vision_baselines.errors import ConfigError, DataError, TrainingError
from vision_baselines.jobs.console import ENDED
from vision_baselines.jobs.signals import told_after_signal
from vision_baselines.terminal import print_prose

if TYPE_CHECKING:
    from vision_baselines.evaluation.references import Baseline, Verdict
    from vision_baselines.evaluation.reproduce import Point

_NOTHING_LEFT = "nothing of what was trained again is kept"
# What each option works with.
_WORKS_WITH = {
    "--quick": ("--baselines",),
    "--first": ("a receipt",),
    "--config-dir": ("a run", "a receipt", "--bisect"),
    "--trust": ("a run", "a receipt", "--bisect"),
}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Reproduce a run, or the published baselines; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _reproduce(given))


def _reproduce(arguments: list[str]) -> None:
    parser = Parser(prog="reproduce.py", description=__doc__)
    parser.add_argument("run", nargs="?", type=file_path, help="the folder of a finished run, or a receipt")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="threads=2, paths.data_dir=…")
    parser.add_argument(
        "--baselines", action="store_true", help="the named experiments, or every one that says what to expect"
    )
    parser.add_argument("--quick", action="store_true", help="of those, the ones that take less than a minute")
    parser.add_argument(
        "--expect", type=file_path, metavar="SWEEP", help="print the expectation that a finished sweep makes"
    )
    parser.add_argument("--first", action="store_true", help="of a receipt, one run of each group")
    parser.add_argument(
        "--bisect",
        action="store_true",
        help="where do two runs of it part? Trains RUN twice, or once against its trace (trained with trace=true), and "
        "names the first step and module whose bits differ, and the likely cause",
    )
    parser.add_data_options("what was compared")
    parser.add_config_options(overrides_with="--baselines")
    options = parser.parse_intermixed_args(arguments)
    _require_of_use(options)
    register_resolvers()
    facts: dict[str, Any] = {}
    try:
        with text_apart(options), told_after_signal(_NOTHING_LEFT):
            _chosen(options, facts)
    finally:
        if facts:  # also where it was not reproduced
            deliver(options.json, facts)


def _require_of_use(options: argparse.Namespace) -> None:
    """Refuse what would change nothing of what is asked for."""
    if options.bisect and (options.baselines or options.expect):
        raise ConfigError("--bisect looks at one run; expected the folder of a finished run beside it")
    if options.expect and (options.baselines or options.run):
        beside = "--baselines" if options.baselines else options.run
        raise ConfigError(f"--expect prints what a sweep makes and trains nothing; leave {beside} out")
    asked = _asked(options)
    for name, takes in _WORKS_WITH.items():
        if getattr(options, name[2:].replace("-", "_")) and asked not in takes:
            raise ConfigError(f"{name} works with {' or '.join(takes[:2])}, not with {asked}; leave it out")


def _asked(options: argparse.Namespace) -> str:
    """What is asked for: an option, or what is to be trained again."""
    chosen = [name for name in ("--expect", "--baselines", "--bisect") if getattr(options, name[2:])]
    return chosen[0] if chosen else "a receipt" if options.run and options.run.suffix == ".json" else "a run"


def _chosen(options: argparse.Namespace, facts: dict[str, Any]) -> None:
    """Do what was asked for; `facts` takes what is found."""
    asked = _asked(options)
    if asked == "--expect":
        _print_expectation(options.expect, facts)
    elif asked == "--baselines":
        words = [text for text in (str(options.run) if options.run else "", *options.overrides) if text]
        names = [text for text in words if "=" not in text]
        _reproduce_baselines(names, quick=options.quick, overrides=[text for text in words if "=" in text], facts=facts)
    elif options.run:
        with config_dir_known(options.config_dir):
            if asked == "--bisect":
                _bisect_run(options.run, options.overrides, options.trust, facts)
            elif asked == "a receipt":
                _reproduce_receipt(options.run, options.overrides, options.trust, facts, first=options.first)
            else:
                _reproduce_run(options.run, options.overrides, options.trust, facts)
    else:
        raise ConfigError("expected the folder of a finished run, or --baselines")


def _reproduce_run(folder: Path, overrides: Sequence[str], trusted: Sequence[str], facts: dict[str, Any]) -> None:
    from vision_baselines.evaluation.reproduce import reproduce

    result = reproduce(folder, overrides=overrides, trusted_packages=trusted)
    facts |= {"run": result.name, "reproduced": result.passed, "points": _plain(result.points)}
    _print(result.points)
    bits = f"bits are not comparable: {result.not_comparable}" if result.not_comparable else ""
    if not result.passed:
        metrics = next((point.detail for point in result.points if point.name == "metrics" and bits), "")
        raise TrainingError(f"{result.name} was not reproduced" + (f" ({bits}); {metrics}" if bits else ""))
    print_prose(f"{result.name} is reproduced {f'within its interval; {bits}' if bits else 'bit for bit'}")


def _reproduce_receipt(
    path: Path, overrides: Sequence[str], trusted: Sequence[str], facts: dict[str, Any], *, first: bool
) -> None:
    from vision_baselines.comparison.formatting import plural
    from vision_baselines.evaluation.receipt import read_receipt
    from vision_baselines.evaluation.receipt_check import Outcome, reproduce_receipt

    receipt = read_receipt(path)
    print_prose(f"{path}: {receipt.sweep}, {plural(len(receipt.records), 'run')}, its hashes agree")
    for found in reproduce_receipt(receipt, overrides=overrides, trusted_packages=trusted, first=first):
        if not isinstance(found, Outcome):
            facts.setdefault("runs", []).append({"run": found.name, "points": _plain(found.points)})
            print_prose(found.name)
            _print(found.points)
            continue
        facts |= {"receipt": str(path), "reproduced": found.passed}
        _print(found.groups)
        runs = plural(len(found.runs), "run")
        if not found.passed:
            wrong = [run.name for run in found.runs if not run.passed] + [g.name for g in found.groups if not g.same]
            raise TrainingError(f"{path.name} was not reproduced: {'; '.join(dict.fromkeys(wrong))}")
        because = (
            f"the same within the prediction interval, because {found.reason}" if found.reason else "the same bits"
        )
        print_prose(f"{runs}: {because}")


def _plain(points: Iterable[Point]) -> list[dict[str, str]]:
    return [{"name": point.name, "verdict": str(point.verdict), "detail": point.detail} for point in points]


def _print(points: Iterable[Point]) -> None:
    for point in points:
        print_prose(f"{point.verdict:>9}  {point.name}: {point.detail}")


def _bisect_run(folder: Path, overrides: Sequence[str], trusted: Sequence[str], facts: dict[str, Any]) -> None:
    from vision_baselines.evaluation.bisect import bisect
    from vision_baselines.runs.record import finished_record
    from vision_baselines.runs.trace import read_trace

    record = finished_record(folder)
    restored(record.config, folder, overrides, trusted, writes=False)  # what cannot be run is refused before all else
    ends = "twice" if read_trace(folder) is None else "once"
    took = f"{record.timings.fit_s:,.0f} s{' each' if ends == 'twice' else ''}"
    print_prose(f"training it again, at most {ends} to its end ({took}) and twice to where they part")
    found = bisect(
        folder, overrides=overrides, trusted_packages=trusted, on_training=lambda line: say(line, to_stderr=True)
    )
    facts |= {"run": found.name, "same": found.passed, "lines": list(found.lines())}
    for line in found.lines():
        print_prose(line)
    if not found.passed:
        where = f"the first to differ is {found.what}" if found.evidence else "now it does, and the record has others"
        raise TrainingError(f"{found.name} does not give the same bits: {where}")
    print_prose(f"{found.name} gives the same bits, step for step")


def _reproduce_baselines(names: Sequence[str], *, quick: bool, overrides: Sequence[str], facts: dict[str, Any]) -> None:
    from vision_baselines.config.compose import composed
    from vision_baselines.evaluation.baseline_overrides import require_same_runs
    from vision_baselines.evaluation.references import QUICK_S, damaged, published_baseline, published_names, select

    chosen = select(published_names(), names)
    require_same_runs(overrides)
    for name in chosen if overrides else ():
        with config_dir_known(None):
            composed([f"experiment={name}", *overrides])  # what cannot be set is refused before anything is trained
    verdicts: list[Verdict] = []
    for name in chosen:
        try:
            baseline = published_baseline(name)
        except DataError as error:  # which is no reason to leave out the others
            found = damaged(name, str(error))
        else:
            if quick and baseline.cost_s >= QUICK_S:
                continue
            found = _reproduce_baseline(baseline, overrides)
        if not verdicts:
            print("| baseline | group | expected | found | held to | |\n|---|---|---|---|---|---|")
        for verdict in found:
            verdicts.append(verdict)
            facts["groups"] = [*facts.get("groups", []), asdict(verdict)]
            cells = (verdict.baseline, verdict.group, verdict.expected, verdict.found, verdict.how)
            print(f"| {' | '.join(cells)} | {'passed' if verdict.passed else 'FAILED'} |", flush=True)
    if not verdicts:
        raise ConfigError("no baseline is published in conf/experiment that takes under a minute")
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if failed:
        raise TrainingError(f"{len(failed)} of {len(verdicts)} groups were not reproduced")


def _reproduce_baseline(baseline: Baseline, overrides: Sequence[str]) -> list[Verdict]:
    """Train a baseline again; what it costs, and each run that has ended, is said on stderr."""
    from vision_baselines.evaluation.references import not_run, reproduce_baseline
    from vision_baselines.text import duration, plural

    total = len(baseline.runs)
    cost = f"about {duration(baseline.cost_s)} on the machine that published it"
    say(f"{baseline.name}: {plural(total, 'run')}, {cost}", to_stderr=True)
    ended = 0

    def show(line: str) -> None:
        nonlocal ended
        if line.startswith(ENDED):
            ended += 1
            say(f"{ended}/{total} {line}", to_stderr=True)

    try:
        return reproduce_baseline(baseline, overrides=overrides, on_line=show)
    except TrainingError as error:  # its data may be missing, which is no reason to leave out the others
        return not_run(baseline, str(error))


def _print_expectation(folder: Path, facts: dict[str, Any]) -> None:
    import yaml

    from vision_baselines.evaluation.references import expectation

    facts["expected"] = expectation(folder)
    print(yaml.safe_dump(facts, sort_keys=False, width=120, allow_unicode=True), end="")
