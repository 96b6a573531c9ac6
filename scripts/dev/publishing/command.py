"""The command: experiments are run on a clean commit, what came out is kept, and the page is made of what was kept."""

from __future__ import annotations

import argparse
import difflib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from publishing.figures import compact, kept
from publishing.page import CURVES, EXPERIMENTS, PAGE, RESULTS, ROOT, rendered, unfit
from publishing.pictures import keep_picture
from publishing.results import ClaimError
from vision_baselines.jobs.child import run_command
from vision_baselines.jobs.signals import Interrupted

# New files of these would be trained with; receipts are written by `keep`.
SOURCES = ["src", "scripts", "conf", ":!conf/experiment/*.json"]
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run experiments, keep what came out, or make the page; exits with 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="what", required=True)
    for verb, said in (
        ("run", "train what is missing of experiments, on a commit without changes"),
        ("keep", "write receipt and figures of those that have finished"),
    ):
        own = verbs.add_parser(verb, help=said, description=said)
        own.add_argument("names", nargs="*", metavar="NAME", help="experiments; all of them")
        own.add_argument("--out", type=Path, default=ROOT / "outputs" / "published", help="where the runs lie")
        if verb == "run":
            own.add_argument("--seconds", type=_positive, help="begin no other experiment after so many")
    page = verbs.add_parser("page", help="make docs/experiments.md of what was kept")
    page.add_argument("--check", action="store_true", help="say where it would differ, write nothing")
    options = parser.parse_args(arguments)
    if options.what == "page":
        sys.exit(_page(options.check))
    known = sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))
    if unknown := [name for name in options.names if name not in known]:
        sys.exit(f"there is no experiment {unknown[0]!r}; there are: {', '.join(known)}")
    names = options.names or known
    try:
        sys.exit(_run(names, options.out, options.seconds) if options.what == "run" else _keep(names, options.out))
    except (Interrupted, KeyboardInterrupt) as ended:
        print("ended by a signal; the same command goes on", file=sys.stderr)
        sys.exit(ended.exit_code if isinstance(ended, Interrupted) else EXIT_INTERRUPTED)


def _positive(text: str) -> float:
    if not (value := float(text)) > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _page(check: bool) -> int:
    try:
        text, written = rendered(), PAGE.read_text() if PAGE.exists() else ""
    except ClaimError as error:
        sys.exit(str(error))
    if wrong := list(unfit()):
        sys.exit("\n".join([*wrong, "publish.py keep NAME writes receipt, figures and picture together"]))
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
            print(f"{name} and what follows were not begun: {seconds:g} s are over")
            return 1
        _require_commit(out / name)
        command = [sys.executable, "-m", "vision_baselines", "train", "-m", f"experiment={name}"]
        ended = run_command([*command, f"paths.output_dir={out}"], cwd=ROOT).returncode
        if ended == EXIT_INTERRUPTED:  # by a signal that came to the sweep alone
            return EXIT_INTERRUPTED
        failed += [name] * bool(ended)
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
    from vision_baselines.runs.planned import read_planned
    from vision_baselines.runs.record import find_records

    if not (out / name).is_dir():
        return f"{out / name} does not exist"
    try:
        found = list(find_records([out / name]))
    except (OSError, ValueError) as error:
        return str(error)
    records = [record for _, record in found]
    plan = read_planned(out / name)
    if plan.fault:
        return plan.fault
    jobs, planned = {folder.name for folder, _ in found}, set(plan.words)
    if missing := sorted(planned - jobs):
        return (
            f"{len(missing)} of {len(planned)} jobs have not begun, such as {missing[0]}; publish.py run {name} goes on"
        )
    if others := sorted(jobs - planned):
        return f"{len(others)} of its runs are no jobs of the experiment as it was last run, such as {others[0]}"
    if unfinished := [record.name for record in records if not record.finished]:
        return f"not finished: {', '.join(unfinished)}"
    commits = {record.environment.git_commit for record in records}
    if len(commits) != 1 or None in commits or any(record.environment.git_dirty is not False for record in records):
        return "its runs are of several commits, of none, or of changed files; remove them and run it again"
    receipt = EXPERIMENTS / f"{name}.json"
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


def _require_commit(runs: Path) -> None:
    """Refuse to train what no commit has, or to add runs to those of another commit."""
    changed = _git("status", "--porcelain", "--untracked-files=no") or "".join(
        f"?? {name}\n" for name in _git("ls-files", "--others", "--exclude-standard", *SOURCES).splitlines()
    )
    if changed:
        sys.exit(f"what is published is of a commit; commit first:\n{changed.rstrip()}")
    head = _git("rev-parse", "HEAD").strip()
    of_others = {commit for commit in commits_of(runs) if commit != head}
    if of_others:
        sys.exit(f"{runs} has runs of another commit, {min(of_others)[:12]}: check that out, or remove them")


def commits_of(runs: Path) -> set[str]:
    """The commits that the runs in a folder were trained on; of one that cannot be read, none."""
    found = set()
    for path in sorted(runs.glob("*/run.json")):
        try:
            found.add(str(json.loads(path.read_text())["environment"]["git_commit"]))
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return found


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout
