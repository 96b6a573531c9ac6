"""Write docs/development/faults.md from what every fault case answered: ``python tests/faults/errors_page.py``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Row by row what is injected, and what must happen.
ROWS = {
    1: ("the same seed twice", "same weights and metrics"),
    2: ("0, 1 or 2 loading workers", "same bits"),
    3: ("validation off; extra draws from the global generator", "same weights"),
    4: (
        "another thread count or instruction set when reproducing",
        "bits are not comparable, and why; metrics are held to their interval; 4 where they fall outside",
    ),
    5: ("SIGKILL at random moments of an epoch, resume", "same bits"),
    6: ("SIGKILL at an epoch's boundary", "same bits"),
    7: ("SIGKILL in validation", "validation runs again; same history"),
    8: ("SIGKILL between checkpoint and log", "the record is whole again"),
    9: ("several kills of one run, 2 workers", "same bits"),
    10: ("resume under cosine, one-cycle and plateau schedules", "same learning rates"),
    11: ("SIGKILL while saving; checkpoints on another file system", "the last good one loads; leftovers are swept"),
    12: ("truncated, empty or text checkpoint", "named; the one before it is used, else 5"),
    13: ("one bit flipped in a checkpoint", "checksum mismatch; the one before it is used, else 5"),
    14: ("a checkpoint that runs code", "refused, not run; 5"),
    15: ("a hyperparameter that is no plain type", "stored as plain, or refused; 2"),
    16: ("every checkpoint that is written", "loads with weights_only=True"),
    17: ("resume with another lr, net or data", "differences listed; 2 or 3"),
    18: ("disk full in a checkpoint, in an event file", "disk full at …; what was there is kept; 5"),
    19: ("output folder read-only or immutable", "said before training; 5"),
    20: ("SIGTERM", "saved, resumable; 143"),
    21: ("SIGINT in a sweep", "finished stay, rest pending; 130"),
    22: ("NaN or infinite loss", "step and learning rate named, never best; 4"),
    23: ("a job raises, exits, is killed, runs out of memory", "the others run; each named with its reason; 4"),
    24: ("a finished sweep again", "no job runs; 0"),
    25: ("a partly failed sweep again", "only what is missing runs"),
    26: ("a larger grid into the same sweep", "nothing overwritten"),
    27: ("four starts in one second", "four folders"),
    28: ("two processes, one run folder", "the second refused with the first's process id; 2"),
    29: ("misspelt key, group, option", "nearest right one; 2"),
    30: ("wrong type, negative, zero, out of range", "key and range, before any job; 2"),
    31: ("one bad value inside a grid", "refused before the first job; 2"),
    32: ("odd strings", "work, or a clear line; 2"),
    33: ("../ in a run name", "refused, nothing outside; 2"),
    34: ("<script> as class, run name, error text", "escaped in the report"),
    35: ("a _target_ outside the allow-list", "refused, not run; 2"),
    36: ("YAML python tag; YAML that grows without bound", "refused in under 2 s; 2"),
    37: ("MNIST file truncated, empty, an HTML page", "file and expected size; 3"),
    38: ("MNIST with one label or pixel changed; counts that differ", "checksum mismatch; 3"),
    39: ("four processes preparing the same data", "all succeed, one writes"),
    40: ("SIGKILL while preparing", "clean on the next start"),
    41: ("no network, data missing", "where to put which files; 3"),
    42: ("image file corrupt or empty", "listed before training; 3"),
    43: ("class folder empty, hidden, single", "named; 3"),
    44: ("mixed sizes and modes; 16-bit images", "converted as documented, or named; 0 or 3"),
    45: ("num_classes or label range against the data", "both numbers; 2 or 3"),
    46: ("class lists of train and test differ", "the difference; 3"),
    47: ("empty validation, empty train, batch larger than the data", "refused at start; 2 or 3"),
    48: ("a picture of billions of pixels in a few bytes", "refused, named; 3"),
    49: ("resumed event stream", "each step once"),
    50: ("TensorBoard as it is told to start", "listens on 127.0.0.1 only"),
}

_HEAD = """# Faults that are injected, and what is said

For developers; users read [troubleshooting](../troubleshooting.md). Written by `python tests/faults/errors_page.py`
from what the fault cases in `tests/faults/` really print; a case whose answer is no longer the one below fails. `…`
stands for a folder, `SHA` for a checksum, `PID` for a process.

Exit codes: 0 done · 2 configuration · 3 data · 4 training or jobs failed · 5 storage · 130 SIGINT · 143 SIGTERM.
Set `VISION_BASELINES_TRACEBACK=1` to see where an error was raised.
"""


def main() -> int:
    """Run the cases, write the page; the exit code is pytest's."""
    sys.path.insert(0, str(HERE))
    import conftest

    with tempfile.TemporaryDirectory() as scratch:
        book = Path(scratch) / "book"
        command = [sys.executable, "-m", "pytest", "-q", str(HERE), "-m", "not network", *sys.argv[1:]]
        ended = subprocess.run(
            command, env={**os.environ, "VISION_BASELINES_ERRORS_BOOK": str(book)}, cwd=HERE.parents[1], check=False
        )
        cases = {}
        for text in book.read_text().splitlines():
            case = json.loads(text)
            cases[case["row"], case["injected"]] = case
    lines = [_HEAD]
    for row, (injected, must) in ROWS.items():
        mine = [case for key, case in cases.items() if key[0] == row]
        if mine:
            lines += [f"## {row}. {injected[0].upper()}{injected[1:]}", f"Must happen: {must}.", ""]
            lines += ["| row | injected | said | exit code |", "|---:|---|---|---:|"]
            lines += [conftest.line(case) for case in mine] + [""]
    conftest.PAGE.write_text("\n".join(lines))
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
