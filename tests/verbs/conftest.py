"""Every command of the package, called in this process, and the words that a call of it needs at least."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vision_baselines.cli import VERBS

# What stands for the folder of a run or of several, and for a file that is written.
RUN = "{run}"
NEEDED = {
    "compare": [RUN],
    "evaluate": [RUN],
    "predict": [RUN, "{picture}"],
    "export": [RUN, "{tmp}/net.pt2", "--no-check"],
    "reproduce": [RUN],
    "receipt": [RUN],
    "status": [RUN],
    "collect": [RUN],
    "clean": [RUN],
    "filters": [RUN],
    "mistakes": [RUN],
    "inspect": ["model=fc", "data=digits", "--out", "{tmp}/pictures"],
    "conv-arithmetic": ["--input-size", "8", "3,1,1"],
    "edge-demo": [],
}
# What takes the folder of a sweep alone.
OF_SWEEPS = ("collect",)
ONE_RUN = ("evaluate", "predict", "export", "reproduce", "filters")


class Answer(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(capsys: Any, monkeypatch: Any, tmp_path: Path) -> Callable[..., Answer]:
    """``call(verb, words)``: the answer of a command, started in an empty folder."""

    def called(verb: str, words: Sequence[str]) -> Answer:
        here = tmp_path / "here"
        here.mkdir(exist_ok=True)
        monkeypatch.chdir(here)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            importlib.import_module(VERBS[verb]).main(list(words))
        found = capsys.readouterr()
        return Answer(int(ended.value.code or 0), found.out, found.err)

    return called


@pytest.fixture
def parsers(monkeypatch: Any) -> Callable[[str], Any]:
    """``parsers(verb)``: the parser that a command makes, without anything being parsed."""
    from vision_baselines.cli.arguments import Parser

    class MadeError(Exception):
        pass

    def parser_of(verb: str) -> Any:
        made: list[Any] = []

        def stop(self: Any, *_: Any) -> None:
            made.append(self)
            raise MadeError

        with monkeypatch.context() as patched:
            patched.setattr(Parser, "parse_args", stop)
            patched.setattr(Parser, "parse_intermixed_args", stop)
            module = importlib.import_module(VERBS[verb])
            patched.setattr(module, "exit_with", lambda run: run())
            with pytest.raises(MadeError):
                module.main(["x"])
        return made[0]

    return parser_of
