"""Where every command starts: what it leaves on a terminal, however it ends."""

from __future__ import annotations

import io
import sys
from types import ModuleType

import pytest
import rich.live  # noqa: F401  # as a command that draws has

from vision_baselines.cli.start import main


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("end", "code", "shows_the_cursor"),
    [
        (None, 0, False),
        (SystemExit(0), 0, False),
        (SystemExit(None), None, False),
        (SystemExit(4), 4, True),
        (SystemExit("said"), "said", True),
        (KeyboardInterrupt(), 130, True),
    ],
)
def test_the_cursor_is_shown_again_by_what_did_not_end_well(monkeypatch, end, code, shows_the_cursor):
    def run():
        if end is not None:
            raise end

    verb = ModuleType("a_verb")
    verb.main = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_verb", verb)
    monkeypatch.setattr("sys.argv", ["a_verb"])
    monkeypatch.setattr("sys.stdout", Screen())
    with pytest.raises(SystemExit) as ended:
        main("a_verb")
    assert ended.value.code == code
    assert ("\x1b[?25h" in sys.stdout.getvalue()) is shows_the_cursor  # type: ignore[attr-defined]
