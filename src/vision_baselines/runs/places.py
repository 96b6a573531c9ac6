"""What is not the folder of a run, or of runs: every command says it in the same words, with the same exit code."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

RECORD_FILE: Final = "run.json"
ONE: Final = "the folder of a run, such as outputs/demo/model=cnn,seed=0"
SOME: Final = "a folder of runs, such as outputs/demo"


def not_a_folder(path: Path, expected: str) -> str:
    """What to say of a path that is not a folder; empty where it is one."""
    if path.is_dir():
        return ""
    return f"{path} is a file; expected {expected}" if path.exists() else f"no folder {path}; expected {expected}"


def without_a_run(folders: Sequence[Path], expected: str) -> str:
    """What to say of folders that hold no record."""
    where = ", ".join(map(str, folders)) or "no folder at all"
    reach = "in it" if expected == ONE else "at or below it"
    return f"{where} holds no run (no {RECORD_FILE} {reach}); expected {expected}"


def not_a_run(folder: Path) -> str:
    """What to say of a path that is not a run's folder; empty where it has a record, good or bad."""
    if said := not_a_folder(folder, ONE):
        return said
    if os.path.lexists(folder / RECORD_FILE):  # a link that leads nowhere is a bad record
        return ""
    inside = sorted(path.parent for path in folder.glob(f"*/{RECORD_FILE}"))
    if inside:
        return f"{folder} holds {len(inside)} run{'s' * (len(inside) > 1)}; expected one of them, such as {inside[0]}"
    return without_a_run([folder], ONE)
