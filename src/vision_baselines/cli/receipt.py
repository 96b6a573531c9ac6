"""``receipt SWEEP [--out FILE] [--names]``: one small file by which a stranger checks a sweep: ``reproduce FILE``."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn

from vision_baselines.cli.arguments import Parser, file_path
from vision_baselines.cli.entry import exit_with
from vision_baselines.cli.outputs import deliver, is_printed, say, writing


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Write a receipt; exits."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    exit_with(lambda: _receipt(given))


def _receipt(arguments: list[str]) -> None:
    parser = Parser(prog="receipt.py", description=__doc__)
    parser.add_argument("sweep", type=file_path, help="the folder of a sweep, such as outputs/demo, or of a run")
    where = "where to write it; receipt.json in the folder"
    parser.add_output("--out", ".json", own="receipt.json", metavar="FILE", help=where)
    parser.add_argument("--names", action="store_true", help="keep paths and file names, which are left out otherwise")
    parser.add_data_options("what the receipt says of itself")
    options = parser.parse_args(arguments)

    from vision_baselines.comparison.formatting import listed, plural
    from vision_baselines.comparison.of_folders import table_of
    from vision_baselines.evaluation.receipt import RECEIPT_FILE, receipt
    from vision_baselines.storage.atomic import write_atomically
    from vision_baselines.sweep.status import status_of

    table = table_of([options.sweep])
    content = receipt(table, names=options.names)
    out = options.out or options.sweep / RECEIPT_FILE
    with writing(out):
        write_atomically(out, json.dumps(content, indent=1, ensure_ascii=False).encode())
    runs, rows = content["runs"], content["rows"]
    counted = {job.folder for row in table.shown() for job in row.counted}
    left_out = [f"{job.record.name} ({job.record.status})" for job in table.jobs if job.folder not in counted]
    status = status_of(options.sweep)
    left_out += [f"{run.place} ({run.state})" for run in status.runs if not run.has_record]
    facts = {
        "file": out,
        "runs": len(runs),
        "groups": len(rows),
        "metric": content["metric"],
        "sha256": content["sha256"],
        "left_out": left_out,
        "faults": status.faults,
    }
    deliver(options.json, facts)
    for fault in status.faults:
        say(fault, to_stderr=is_printed(options))
    if is_printed(options):
        return
    if left_out:
        say(f"left out, for the comparison does not count it: {listed(left_out, 5)}")
    say(f"{out}: {plural(len(runs), 'run')} in {plural(len(rows), 'group')}, {content['metric']}")
    print(f"SHA-256 {content['sha256']}")
    say(f"check it, here or wherever the file goes: vision-baselines reproduce {shlex.quote(str(out))}")
