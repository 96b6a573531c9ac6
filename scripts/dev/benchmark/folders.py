"""python scripts/dev/benchmark/folders.py [--records N] [--groups N] [--pictures]: what comparing a large folder costs.

Makes so many runs in a temporary place, and compares them in a process of its own each time: for the first time, with
what that has kept, and after one more job, there too in a process that has compared before, as a sweep's has.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmark import surroundings
from benchmark.processes import printed
from vision_baselines.comparison.collection import Records
from vision_baselines.report.write import compare


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="folders.py", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=1_000, help="settings; the rest is seeds")
    parser.add_argument("--pictures", action="store_true", help="also draw")
    parser.add_argument(
        "--in", dest="place", type=Path, help="a folder that these runs were made in before, or will be"
    )
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(_compared(options.one, options, Records([options.one]))))
        return
    from benchmark.made_up_runs import jobs, make_runs  # not where memory is measured: they import torch

    print(surroundings.in_words(surroundings.machine("cpu"), surroundings.load()))

    with tempfile.TemporaryDirectory() as scratch:
        top = (options.place or Path(scratch)) / "made"
        wanted = list(jobs(options.records + 2, options.groups))
        if not top.exists():
            make_runs(top, wanted[:-2])
        (top / "comparison" / ".records.cache").unlink(missing_ok=True)
        print(
            f"{options.records:,} records in {options.groups:,} groups, {'with' if options.pictures else 'no'} pictures"
        )
        print(f"{'':28}{'CPU s':>8}{'wall s':>8}{'peak MB':>9}{'read':>8}{'parsed':>8}{'page KB':>9}")
        _print("the first time", _in_a_process(top, options))
        _print("again", _in_a_process(top, options))
        _make(top, wanted[-2])
        _print("after one more job", _in_a_process(top, options))
        records = Records([top])
        _compared(top, options, records)
        _print("… in the same process", _compared(top, options, records, [_make(top, wanted[-1])]))


def _make(top: Path, wanted: Any) -> Path:
    from benchmark.made_up_runs import make_run

    try:
        return make_run(top, *wanted)
    except FileExistsError:  # of an earlier measurement in the same place
        setting, seed = wanted
        return _make(top, (setting, seed + 1))


def _compared(top: Path, options: Any, records: Records, changed: list[Path] | None = None) -> dict[str, float]:
    [cache] = records.caches
    opened, parsed, cpu, wall = cache.files_opened, cache.records_parsed, time.process_time(), time.perf_counter()
    made = compare([top], pictures=options.pictures, records=records, changed=changed)
    return {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak_mb": _peak_mb(),
        "read": cache.files_opened - opened,
        "parsed": cache.records_parsed - parsed,
        "page_kb": made.page.stat().st_size / 1024,
    }


def _peak_mb() -> float:
    """Of this process alone: Linux lets what it reports to `getrusage` begin at the size of the parent."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _in_a_process(top: Path, options: Any) -> dict[str, float]:
    said = printed([__file__, "--one", str(top), *(["--pictures"] if options.pictures else [])])
    return dict(json.loads(said.splitlines()[-1]))


def _print(what: str, found: dict[str, Any]) -> None:
    print(
        f"{what:28}{found['cpu_s']:>8.2f}{found['wall_s']:>8.2f}{found['peak_mb']:>9,.0f}{found['read']:>8,.0f}"
        f"{found['parsed']:>8,.0f}{found['page_kb']:>9,.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
