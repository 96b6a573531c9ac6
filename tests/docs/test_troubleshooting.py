"""docs/troubleshooting.md: a message stands under the exit code that the code gives it."""

from __future__ import annotations

import ast
import re
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path

import pytest

from vision_baselines import errors

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
FAULTS = (ROOT / "docs" / "development" / "faults.md").read_text(encoding="utf-8")
_GAP = "\0"  # what differs from message to message


def listed() -> list[tuple[int, str]]:
    """The exit code of each section that names one, with each message of its table."""
    found = []
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        if code := re.match(r".*\((\d)\)\n", section):
            found += [(int(code[1]), message) for message in re.findall(r"^\| `(.+?)`", section, re.MULTILINE)]
    return found


def codes(classes: list[tuple[str, list[str]]]) -> dict[str, int]:
    """The exit code of every class of errors in the package, by its name; from the names of each class's bases."""
    found = {name: kind.exit_code for name, kind in vars(errors).items() if hasattr(kind, "exit_code")}
    for _ in range(3):  # a class may stand on one that is read later
        for name, bases in classes:
            for base in bases:
                if base in found:
                    found.setdefault(name, found[base])
    return found


def template(node: ast.AST) -> str:
    """The text of an expression, with a gap for what is not known before it runs."""
    if isinstance(node, ast.Constant):
        return str(node.value) if isinstance(node.value, str) else _GAP
    if isinstance(node, ast.JoinedStr):
        return "".join(map(template, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left) + template(node.right)
    return _GAP


@cache
def raised() -> list[tuple[int, str]]:
    """What the code raises, or a recorded fault has said: the exit code and the message's template."""
    classes, calls = [], []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                classes.append((node.name, [base.id for base in node.bases if isinstance(base, ast.Name)]))
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                calls += [(node.func.id, template(argument)) for argument in node.args]
    known = codes(classes)
    found = [(known[name], text) for name, text in calls if name in known]
    rows = re.findall(r"^\| \d+ \|.*?\| (`.*`) \| (\d+) \|$", FAULTS, re.MULTILINE)
    return found + [(int(code), message) for message, code in rows]


def literals(message: str) -> list[str]:
    """The pieces of a listed message that stand in every message of its kind."""
    pieces = re.split(r"…|\d+(?:\.\d+)?|'[^']*'", message)
    return [piece.strip() for piece in pieces if len(piece.strip()) > 4]


def likeness(message: str, text: str) -> float:
    """How much of a listed message a template has, from 0 to 1."""
    pieces = literals(message)
    found = 0
    for piece in pieces:
        match = SequenceMatcher(None, piece, text, autojunk=False).find_longest_match()
        found += match.size if match.size > 4 else 0
    return found / max(1, sum(map(len, pieces)))


# Messages that are put together while they are raised, and where a test has their exit codes.
ELSEWHERE = {
    "there is no my_net.Net": (2, "tests/faults/test_odd_commands.py"),
    "… holds a finished run of another config": (2, "tests/test_decisions.py"),
    "optimizer.amsgrad is 'no'": (2, "tests/config/test_argument_types.py"),
    "callbacks.x.dirpath is …": (2, "tests/config/test_written_by_data.py"),
    "probe.corruptions.kinds has": (2, "tests/probes/test_corruptions.py"),
    "importing my_net.Net fails": (2, "tests/faults/test_odd_commands.py"),
    "optimizer cannot be used": (2, "tests/faults/test_odd_commands.py"),
    "2 of 3 experiments failed": (4, "tests/recipes/test_experiments.py"),
    "killed by SIGKILL": (4, "tests/faults/test_sweeps.py"),
    "3 of 6 jobs failed": (4, "tests/faults/test_sweeps.py"),
    "…/planned.json cannot be read": (4, "tests/sweep/test_status.py"),
    "…/.slurm/submitted.json cannot be read": (4, "tests/sweep/test_submissions.py"),
}


@pytest.mark.parametrize(("code", "message"), listed(), ids=lambda value: str(value)[:50])
def test_a_message_stands_under_its_exit_code(code, message):
    if known := [said for said in ELSEWHERE if message.startswith(said)]:
        assert ELSEWHERE[known[0]][0] == code
        assert (ROOT / ELSEWHERE[known[0]][1]).exists()
        return
    pieces = literals(message)
    if pieces and (whole := {found for found, text in raised() if all(piece in text for piece in pieces)}):
        assert code in whole, f"{message!r} ends with {sorted(whole)}"
        return
    alike = [likeness(message, text) for _, text in raised()]
    nearest = raised()[alike.index(max(alike))][1]
    assert max(alike) > 0.5, f"nothing says {message!r}; nearest: {nearest!r}"
    same = {found for (found, _), share in zip(raised(), alike, strict=True) if share == max(alike)}
    assert code in same, f"{message!r} ends with {sorted(same)}"


def test_a_message_under_another_code_would_be_found():
    found = {found for found, text in raised() if likeness("disk full at …; make room", text) > 0.7}
    assert found == {5}
