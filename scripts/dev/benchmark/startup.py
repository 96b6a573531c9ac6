"""Start-up, side by side with ``import torch, pytorch_lightning``: what a run imports, and the smallest whole run.

``python scripts/dev/benchmark/startup.py [--rounds 5] [--json FILE]``, or with ``--parts``. Every round starts a
process for each variant, one after the other; what is printed are medians of seconds, their ratios, and the range of
the rounds' ratios. CPU seconds are of the process and of what it started, from its first instruction to its end; on a
machine that does other things too they are what can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmark.processes import printed
from vision_baselines.jobs.child import until_children_end

ROOT = Path(__file__).resolve().parents[3]
# vision_baselines comes first as it lets a CUDA build of torchvision be imported beside a CPU build of torch
_TWO = "import vision_baselines, torch, pytorch_lightning"
_LIST = """
import atexit, sys
place = sys.argv.pop(1)
atexit.register(lambda: open(place, "w").write(repr(list(sys.modules)).replace("'", '"')))
from vision_baselines.cli.start import main
main("vision_baselines.cli.train")
"""
_ALL = """
import contextlib, importlib, json, sys, warnings
from vision_baselines.importing import without_collector
warnings.simplefilter("ignore")
with without_collector() if sys.argv[2] == "off" else contextlib.nullcontext():
    for name in json.load(open(sys.argv[1])):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
"""

# What is imported on the way that no classifier needs, and what imports it.
PARTS = {
    "torch": "",
    "lightning_fabric.utilities.imports": "torchmetrics: Lightning imports it to learn its version",
    "torchvision": "by torchmetrics' image metrics (arniqa)",
    "torch._dynamo": "the compiler, by torchvision's operators",
    "sympy": "by the compiler",
    "scipy.signal": "by torchmetrics, for audio metrics",
    "torchmetrics.utilities.plot": "Matplotlib, for Metric.plot",
}


class Cost(NamedTuple):
    """Of a process: seconds of CPU and on the clock."""

    cpu_s: float
    wall_s: float


class Measured(NamedTuple):
    """Rounds of variants by name, the machine's load average before and after, and what a run imported."""

    rounds: dict[str, list[Cost]]
    load: tuple[float, float]
    n_modules: int
    n_modules_of_two: int

    def median(self, name: str) -> Cost:
        """Median seconds of a variant."""
        return Cost(*(statistics.median(part) for part in zip(*self.rounds[name], strict=True)))

    def ratios(self, name: str, to: str = "two imports") -> list[Cost]:
        """Of each round."""
        pairs = zip(self.rounds[name], self.rounds[to], strict=True)
        return [Cost(one.cpu_s / other.cpu_s, one.wall_s / other.wall_s) for one, other in pairs]

    def ratio(self, name: str) -> Cost:
        """The medians' ratio to those of the two imports."""
        one, other = self.median(name), self.median("two imports")
        return Cost(one.cpu_s / other.cpu_s, one.wall_s / other.wall_s)


def run_modules(words: Sequence[str], folder: Path) -> list[str]:
    """Names of the modules that a whole run of ``train`` has imported when it ends, in the order of their import."""
    place = folder / "modules.json"
    arguments = ["-c", _LIST, str(place), *words, f"paths.output_dir={folder / 'outputs'}"]
    printed(arguments, name="the smallest run", env=_environment(), cwd=folder)
    found = json.loads(place.read_text())
    assert isinstance(found, list)
    return found


def measure(rounds: int = 5, words: Sequence[str] = ("model=fc", "trainer.max_epochs=1")) -> Measured:
    """Measure by turns: the two imports, torch alone, what a run imports, and the run."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        modules = run_modules(words, folder)
        listed = str(folder / "modules.json")
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; {_TWO}; print(len(sys.modules))"],
            env=_environment(),
            check=True,
            capture_output=True,
            text=True,
        )
        variants = {
            "torch": ["-c", "import torch"],
            "two imports": ["-c", _TWO],
            "imports of a run": ["-c", _ALL, listed, "off"],
            "the same, collected": ["-c", _ALL, listed, "on"],
            "smallest run": [str(ROOT / "scripts" / "train.py"), *words, f"paths.output_dir={folder / 'outputs'}"],
        }
        before = os.getloadavg()[0]
        found: dict[str, list[Cost]] = {name: [] for name in variants}
        for _ in range(rounds):  # the file system's cache is warm: both have been started above
            for name, arguments in variants.items():
                found[name].append(_cost([sys.executable, *arguments], folder))
        return Measured(found, (before, os.getloadavg()[0]), len(modules), int(done.stdout))


def _cost(command: Sequence[str], folder: Path) -> Cost:
    started = time.perf_counter()
    with until_children_end() as children:
        process = subprocess.Popen(
            command, cwd=folder, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        children.append(process)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return Cost(used.ru_utime + used.ru_stime, time.perf_counter() - started)


def _environment() -> dict[str, str]:
    """This one, with the package found where this file is, and bytecode kept even where the shell forbids it."""
    path = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "", "COLUMNS": "100"}


def measure_and_print(options: argparse.Namespace) -> dict[str, Any]:
    """Measure, print the table, and return everything as plain data."""
    found = measure(options.rounds)
    print(table(found), flush=True)
    return facts(found)


def table(found: Measured) -> str:
    """A line for each variant."""
    rounds = len(next(iter(found.rounds.values())))
    lines = [
        f"start-up: medians of {rounds} rounds in which each has its turn; a ratio is of two medians, in brackets the "
        "range of the rounds",
        f"{'':22}{'CPU s':>8}{'wall s':>8}   to the two imports: CPU (range)         wall",
    ]
    for name in found.rounds:
        cost, ratio, each = found.median(name), found.ratio(name), [one.cpu_s for one in found.ratios(name)]
        lines.append(
            f"{name:22}{cost.cpu_s:>8.2f}{cost.wall_s:>8.2f}{ratio.cpu_s:>26.2f} ({min(each):.2f} to {max(each):.2f})"
            f"{ratio.wall_s:>13.2f}"
        )
    lines.append(
        f"{found.n_modules:,} modules in a run, {found.n_modules_of_two:,} of them of the two imports; "
        f"load average {found.load[0]:.2f} before, {found.load[1]:.2f} after"
    )
    return "\n".join(lines)


def facts(found: Measured) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "rounds": {name: [cost._asdict() for cost in costs] for name, costs in found.rounds.items()},
        "ratio_to_two_imports": {name: found.ratio(name)._asdict() for name in found.rounds},
        "n_modules": found.n_modules,
        "n_modules_of_two_imports": found.n_modules_of_two,
        "load": found.load,
    }


def parts(rounds: int = 3) -> dict[str, float]:
    """Medians of the share that each of `PARTS`, with all that it imports first, has of the two imports' seconds."""
    found: dict[str, list[float]] = {name: [] for name in PARTS}
    for _ in range(rounds):
        command = [sys.executable, "-X", "importtime", "-c", _TWO]
        done = subprocess.run(command, env=_environment(), check=True, capture_output=True, text=True)
        lines = re.findall(r"import time:\s+(\d+) \|\s+(\d+) \|\s+(\S+)", done.stderr)
        total = sum(int(own_us) for own_us, _, _ in lines)
        cumulative = {name: int(all_us) for _, all_us, name in lines}
        for name in PARTS:
            found[name].append(cumulative.get(name, 0) / total)
    return {name: statistics.median(shares) for name, shares in found.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every round's figures")
    parser.add_argument("--parts", action="store_true", help="instead, what has which share of the two imports")
    options = parser.parse_args()
    if options.parts:
        for name, share in parts(options.rounds).items():
            print(f"{name:36}{share:>6.0%}  {PARTS[name]}")
        return
    with (options.json or Path(os.devnull)).open("w") as file:  # before it measures
        found = measure(options.rounds)
        print(table(found))
        file.write(json.dumps(facts(found), indent=1))


if __name__ == "__main__":
    main()
