"""A command run in this process, as the shell would see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Result:
    code: object
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[[Callable[..., object], Sequence[str]], Result]:
    """``run(main, arguments)``: its exit code and what it wrote."""

    def call(main: Callable[..., object], arguments: Sequence[str]) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        written = capsys.readouterr()
        return Result(end.value.code, written.out, written.err)

    return call
