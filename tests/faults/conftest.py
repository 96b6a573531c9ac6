"""Shared by the fault cases: commands in this process, and what they answered (docs/development/faults.md)."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import vision_baselines  # noqa: F401  # first of all: it lets torchvision be imported beside any torch

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "development" / "faults.md"
_LOGGERS = (None, "vision_baselines", "vision_baselines.progress", "pytorch_lightning", "hydra")


@dataclass(frozen=True)
class Answer:
    """What a command said and the code it ended with."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The last words on stderr, without `error: `."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        starts = [index for index, line in enumerate(lines) if line.startswith("error: ")]
        return "\n".join(lines[starts[-1] :] if starts else lines[-1:]).removeprefix("error: ")


@contextlib.contextmanager
def as_it_was() -> Iterator[None]:
    """What Hydra does to its own singletons, to logging and to the environment is undone after."""
    from hydra.core.singleton import Singleton

    singletons, environment, argv = dict(Singleton._instances), dict(os.environ), sys.argv
    raise_exceptions, thread_hook = logging.raiseExceptions, threading.excepthook
    loggers = {
        name: (log.handlers[:], log.level, log.propagate) for name in _LOGGERS for log in [logging.getLogger(name)]
    }
    try:
        yield
    finally:
        for name, (handlers, level, propagate) in loggers.items():
            log = logging.getLogger(name)
            for handler in set(log.handlers) - set(handlers):
                handler.close()
            log.handlers[:], log.propagate = handlers, propagate
            log.setLevel(level)
        sys.argv, logging.raiseExceptions, threading.excepthook = argv, raise_exceptions, thread_hook
        os.environ.clear()
        os.environ.update(environment)
        Singleton._instances.clear()
        Singleton._instances.update(singletons)


def ask(module: str, words: list[str]) -> Answer:
    """Open a command in this process: ``train``, ``reproduce`` or ``compare``."""
    main = importlib.import_module(f"vision_baselines.cli.{module}").main
    out, err, code = io.StringIO(), io.StringIO(), 0
    with as_it_was(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sys.argv = [f"{module}.py", *words]
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return Answer(code, out.getvalue(), err.getvalue())


@pytest.fixture
def command_line(tmp_path: Path) -> Callable[..., Answer]:
    """``command_line(*words, verb="train")``: the command's answer, in this process, writing below `tmp_path`."""

    def run(*words: str, verb: str = "train", where: Path | None = None) -> Answer:
        given = [f"paths.output_dir={where or tmp_path / 'outputs'}"] if verb == "train" else []
        return ask(verb, [*words, *given])

    return run


PLAIN = ["callbacks.learning_rate=null", "callbacks.filters=null", "callbacks.parameters=null", "logger=none"]


class OpenCommand:
    """`ask`, for fixtures of a whole module, which have no `tmp_path`."""

    def __call__(self, module: str, words: list[str]) -> Answer:
        return ask(module, words)

    def plain(self, tiny: list[str]) -> list[str]:
        return [*tiny, *PLAIN]


@pytest.fixture(scope="session")
def open_command() -> OpenCommand:
    """``open_command("train", words)``: a command, with every word said."""
    return OpenCommand()


@pytest.fixture
def run_command(command_line: Callable[..., Answer], tiny: list[str], tmp_path: Path) -> Callable[..., Answer]:
    """``run_command(*words)``: the command with a tiny run, named ``run``, always in ``outputs/run/job``."""

    def run(*words: str, left_out: Sequence[str] = (), **options: Any) -> Answer:
        chosen = {key(word): word for word in [*tiny, *PLAIN, "name=run", *words] if key(word) not in left_out}
        if chosen["model"] == "model=fc":
            del chosen["model.channels"]
        where = options.get("where") or tmp_path / "outputs"
        folder = [] if "-m" in words or "name=run" not in chosen.values() else [f"hydra.run.dir={where}/run/job"]
        return command_line(*chosen.values(), *folder, **options)

    return run


def key(word: str) -> str:
    return word.split("=", 1)[0].lstrip("+")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where `run_command` trains."""
    return tmp_path / "outputs" / "run" / "job"


@pytest.fixture
def noted(tmp_path: Path) -> Callable[..., None]:
    """``noted(row, injected, answer)``: the answer stands so in the page of faults; or is noted for it."""

    def note(row: int, injected: str, answer: Any) -> None:
        message, code = (answer.message, answer.code) if isinstance(answer, Answer) else answer
        case = {"row": row, "injected": injected, "message": normal(message, tmp_path), "code": code}
        if book := os.environ.get("VISION_BASELINES_ERRORS_BOOK"):
            with Path(book).open("a") as file:
                file.write(json.dumps(case) + "\n")
            return
        page = PAGE.read_text() if PAGE.exists() else ""
        assert line(case) in page, f"{PAGE} is out of date: python tests/faults/errors_page.py\n{line(case)}"

    return note


def normal(message: str, tmp_path: Path) -> str:
    """A message without what differs from run to run and from machine to machine."""
    text = message.replace(str(tmp_path), "…").replace(str(ROOT), "…")
    text = re.sub(r"/(tmp|dev/shm)/[\w./-]*?(?=/)", "…", text)
    text = re.sub(r"\b[0-9a-f]{12,64}\b", "SHA", text)
    text = re.sub(r"(process) \d+", r"\1 PID", text)
    text = re.sub(r"-[0-9a-f]{8}(?=[/: ]|$)", "-HASH", text)
    return re.sub(r"[\d.,]+ MB", "N MB", text)


def line(case: dict[str, Any]) -> str:
    """A case's row of the page."""
    said = "<br>".join(f"`` {part} ``" if "`" in part else f"`{part}`" for part in case["message"].splitlines() if part)
    said = said.replace("|", "\\|")
    return f"| {case['row']} | {case['injected']} | {said or '–'} | {case['code']} |"
