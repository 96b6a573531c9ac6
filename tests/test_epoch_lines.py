"""What a run prints of its epochs where there is no terminal."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from vision_baselines.cli import epoch_lines


@pytest.mark.parametrize(
    ("epoch_s", "printed"), [(1, []), (25, [2, 5, 8]), (60, list(range(10))), (300, list(range(10)))]
)
def test_an_epoch_a_minute_is_printed(
    epoch_s: int,
    printed: list[int],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(epoch_lines, "time", SimpleNamespace(monotonic=lambda: clock.now))
    progress = logging.getLogger("vision_baselines.progress")
    caplog.set_level(logging.INFO, logger=progress.name)
    before = list(progress.handlers)
    with epoch_lines.printed_every_minute():
        for epoch in range(10):
            clock.now += epoch_s
            progress.info("epoch %d", epoch)
            progress.error("a traceback, which is printed by others")
    assert capsys.readouterr().out.splitlines() == [f"epoch {epoch}" for epoch in printed]
    assert progress.handlers == before


def test_a_terminal_has_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch_lines, "_EVERY_S", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with epoch_lines.printed_every_minute():
        logging.getLogger("vision_baselines.progress").info("epoch 0")
    assert capsys.readouterr().out == ""
