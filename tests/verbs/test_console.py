"""``vision-baselines VERB``: every script of the checkout by its own name, and by the verb's."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from vision_baselines.cli import VERBS, console

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("*.py"))


@pytest.fixture
def opened(monkeypatch):
    """``opened(word)``: the exit code, and which module's command was called with which words."""

    called = []

    def noted(module):
        def main():
            called.append((module, sys.argv[1:]))
            raise SystemExit(0)

        return main

    for module in VERBS.values():
        monkeypatch.setattr(importlib.import_module(module), "main", noted(module))

    def ask(word):
        monkeypatch.setattr("sys.argv", ["vision-baselines", word, "words"])
        with pytest.raises(SystemExit) as ended:
            console.main()
        return ended.value.code, called

    return ask


@pytest.mark.parametrize("stem", SCRIPTS)
def test_a_script_is_opened_by_its_own_name(stem, opened, capsys):
    text = (ROOT / "scripts" / f"{stem}.py").read_text(encoding="utf-8")
    module = re.search(r'main\("([\w.]+)"\)', text)
    code, called = opened(stem)
    if module is None or module[1] not in VERBS.values():  # of the checkout alone, and said so
        assert (code, called) == (2, [])
        assert f"scripts/{stem}.py" in capsys.readouterr().err
    else:
        assert (code, called) == (0, [(module[1], ["words"])])


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_a_script_and_is_opened_by_its_name(verb, opened):
    module = VERBS[verb]
    assert opened(verb) == (0, [(module, ["words"])])
    assert module.rpartition(".")[2] in SCRIPTS
