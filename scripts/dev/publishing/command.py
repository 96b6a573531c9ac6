"""The command: experiments are run on a clean commit, what came out is kept, and the page is made of what was kept."""

from __future__ import annotations

import argparse
import difflib
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from publishing.page import CURVES, PAGE, RESULTS, ROOT, rendered
from publishing.pictures import keep_picture
from publishing.results import ClaimError, kept

CONF = ROOT / "conf" / "experiment"
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run experiments, keep what came out, or make the page; exits with 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["run", "keep", "page"])
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments; all of them")
    parser.add_argument("--out", type=Path, default=ROOT / "outputs" / "published", help="where the runs lie")
    parser.add_argument("--check", action="store_true", help="of the page: say where it would differ, write nothing")
    parser.add_argument("--seconds", type=float, help="of run: begin no other experiment after so many")
    options = parser.parse_args(arguments)
    if options.what == "page":
        sys.exit(_page(options.check))
    known = sorted(path.stem for path in CONF.glob("*.yaml"))
    if unknown := [name for name in options.names if name not in known]:
        sys.exit(f"there is no experiment {unknown[0]!r}; there are: {', '.join(known)}")
    names = options.names or known
    sys.exit(_run(names, options.out, options.seconds) if options.what == "run" else _keep(names, options.out))


def _page(check: bool) -> int:
    try:
        text, written = rendered(), PAGE.read_text() if PAGE.exists() else ""
    except ClaimError as error:
        sys.exit(str(error))
    if check:
        lines = difflib.unified_diff(written.splitlines(), text.splitlines(), PAGE.name, "made", lineterm="")
        print("\n".join(lines) or f"{PAGE.name} is what its figures make")
        return int(text != written)
    PAGE.write_text(text)
    return 0


def _run(names: Sequence[str], out: Path, seconds: float | None) -> int:
    """Train what is missing of each experiment."""
    began, failed = time.monotonic(), []
    for name in names:
        if seconds is not None and time.monotonic() - began > seconds:
            print(f"{name} and what follows were not begun: {seconds:.0f} s are over")
            break
        _require_clean_commit()
        command = [sys.executable, "-m", "vision_baselines", "train", "-m", f"experiment={name}"]
        ended = subprocess.run([*command, f"paths.output_dir={out}"], cwd=ROOT, check=False)
        if ended.returncode == EXIT_INTERRUPTED:
            return EXIT_INTERRUPTED
        failed += [name] * bool(ended.returncode)
    print(f"not finished: {', '.join(failed)}" if failed else "finished")
    return int(bool(failed))


def _keep(names: Sequence[str], out: Path) -> int:
    """Write the receipt and the figures of every experiment that has finished on one clean commit."""
    left_out = []
    for name in names:
        if why := _kept(name, out):
            left_out.append(f"{name}: {why}")
    print("\n".join(left_out) or "kept")
    return int(bool(left_out))


def _kept(name: str, out: Path) -> str:
    """Keep one experiment; why not, where it cannot be."""
    from vision_baselines.errors import DataError
    from vision_baselines.evaluation.receipt import read_receipt
    from vision_baselines.runs.record import find_records

    if not (out / name).is_dir():
        return f"{out / name} does not exist"
    records = [record for _, record in find_records([out / name])]
    if unfinished := [record.name for record in records if not record.finished]:
        return f"not finished: {', '.join(unfinished)}"
    commits = {record.environment.git_commit for record in records}
    if len(commits) != 1 or any(record.environment.git_dirty is not False for record in records):
        return "its runs are of several commits, or of changed files; remove them and run it again"
    receipt = CONF / f"{name}.json"
    command = [sys.executable, "-m", "vision_baselines", "receipt", str(out / name), "--out", str(receipt)]
    try:
        subprocess.run(command, cwd=ROOT, check=True)
        sha256 = read_receipt(receipt).sha256
        picture = keep_picture(name, out / name / "comparison", CURVES)
    except (subprocess.CalledProcessError, DataError, OSError) as error:
        return str(error)
    RESULTS.mkdir(exist_ok=True)
    content = kept(name, records, receipt_sha256=sha256, commit=str(commits.pop()), picture_sha256=picture)
    (RESULTS / f"{name}.json").write_text(compact(content))
    return ""


def compact(content: Mapping[str, Any]) -> str:
    """JSON with a line for each run, so that a change shows which runs it is of."""
    head = json.dumps({**content, "runs": []}, indent=1).removesuffix("[]\n}")
    rows = ",\n  ".join(json.dumps(run) for run in content["runs"])
    return f"{head}[\n  {rows}\n ]\n}}\n"


def _require_clean_commit() -> None:
    """Refuse to train what no commit has."""
    command = ["git", "status", "--porcelain", "--untracked-files=no"]
    if changed := subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout:
        sys.exit(f"what is published is of a commit; commit first:\n{changed.rstrip()}")
