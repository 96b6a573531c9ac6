"""A job's line of progress in as much room as there is: the epoch first, then the metric that decides."""

from __future__ import annotations

import re

from vision_baselines.text import one_line, shortened

_NARROW = 60
_EPOCH = re.compile(r"epoch (\d+)(?: \(last (\d+)\))?")


def progress_line(name: str, said: str, width: int, *, name_width: int = 0) -> str:
    """A line of at most `width` characters on a job that runs.

    Args:
        name: What the job is called; where it is long its middle is left out.
        said: What it has said last, such as ``epoch 1 (last 2)  train/loss 0.5000  val/acc 0.9000``.
        width: Columns of the terminal.
        name_width: Of the longest name, so that the lines of several jobs stand in columns.

    >>> progress_line("seed=0", "epoch 1 (last 2)  train/loss 0.5000  val/loss 0.4000  val/acc 0.9000", 80)
    'seed=0  epoch 1 (last 2)  val/acc 0.9000  train/loss 0.5000  val/loss 0.4000'
    >>> progress_line("model=cnn, seed=0", "epoch 1 (last 2)  train/loss 0.5000  val/acc 0.9000", 40)
    'model=cn… seed=0  epoch 1/2  acc 0.900 …'
    """
    room = name_room(width)
    shown = shortened(one_line(name), room).ljust(min(name_width, room))
    return cut(f"{shown}  {'  '.join(_parts(said, width))}", width)


def name_room(width: int) -> int:
    """Columns that a job's name may take in a line of `width`."""
    return max(8, width // 2 - 4 if width < _NARROW else width // 2)


def cut(text: str, width: int) -> str:
    """A line cut at `width` characters, its spaces as they are."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def _short(part: str) -> str:
    """A metric without its split, to three digits.

    >>> _short("val/acc 0.9833"), _short("val/what")
    ('acc 0.983', 'what')
    """
    return re.sub(r"(\.\d{3})\d+$", r"\1", part.partition("/")[2])


def _parts(said: str, width: int) -> list[str]:
    first, *rest = [one_line(part) for part in said.split("  ") if part.strip()] or [""]
    found = _EPOCH.fullmatch(first)
    if found and width < _NARROW:
        first = f"epoch {found[1]}" + (f"/{found[2]}" if found[2] else "")
    decides = [part for part in rest if part.startswith("val/") and not part.startswith("val/loss")][-1:]
    if width < _NARROW:
        decides = [_short(part) for part in decides]
    return [first, *decides, *(part for part in rest if part not in decides)]
