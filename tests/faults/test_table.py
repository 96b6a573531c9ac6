"""Every row of the table of faults has its case, or a reason why it has none."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

HERE = Path(__file__).parent
NOT_COVERED: dict[int, str] = {}


def rows():
    spec = importlib.util.spec_from_file_location("errors_page", HERE / "errors_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ROWS


def covered():
    found = set()
    for path in HERE.glob("test_*.py"):
        for name in re.findall(r"def test_rows?((?:_\d+)+)_", path.read_text()):
            found |= {int(number) for number in name.strip("_").split("_")}
    return found


def test_the_table_has_fifty_rows():
    assert list(rows()) == list(range(1, 51))


def test_at_least_forty_five_rows_have_a_case_and_the_others_a_reason():
    missing = set(rows()) - covered()
    assert missing == set(NOT_COVERED)
    assert len(covered()) >= 45
