"""A small event file of TensorBoard's, whole the moment it appears, that takes the place of the last one of its kind.

Written with TensorBoard's own record format and messages, so torch is not needed, and in one piece. Rejected:
`EventFileWriter`, whose thread writes a visible file bit by bit.

Each writing makes a new file, named so that it sorts last, and then removes the older ones, so that a running
TensorBoard moves on to it and a new one finds only it.
"""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from vision_baselines.storage.atomic import write_atomically

COMPARISON, COLUMNS, ROW = "comparison", "columns", "row"
_PREFIX = "events.out.tfevents."


def replace_events(folder: Path, summaries: Sequence[Summary], *, step: int, kind: str) -> Path:
    """Write an event for each summary, and remove the older files of the same kind.

    Args:
        folder: An existing folder.
        summaries: What is shown.
        step: The step of all.
        kind: What the file holds: the end of its name.

    Returns:
        The newest file of this kind.

    Raises:
        OSError: It cannot be written.
    """
    moment_ns = time.time_ns()
    wall_time = moment_ns / 1e9
    events = [
        Event(wall_time=wall_time, file_version="brain.Event:2"),
        *(Event(wall_time=wall_time, step=step, summary=summary) for summary in summaries),
    ]
    # Ten digits of seconds first, as in TensorBoard's own names, which it sorts as text.
    target = folder / f"{_PREFIX}{moment_ns // 10**9:010d}.{moment_ns % 10**9:09d}.{kind}"
    write_atomically(target, _records(event.SerializeToString() for event in events))
    newest = max(folder.glob(f"{_PREFIX}*.{kind}"))
    remove_events(folder, kind=kind, before=newest.name)
    return newest


def remove_events(folder: Path, *, kind: str, before: str | None = None) -> None:
    """Remove the event files of a kind: all, or those whose names sort before `before`.

    Raises:
        OSError: One cannot be removed.
    """
    for path in folder.glob(f"{_PREFIX}*.{kind}"):
        if before is None or path.name < before:
            path.unlink(missing_ok=True)


def image(tag: str, png: bytes) -> Summary.Value:
    """A PNG file as TensorBoard's message."""
    # Width and height are the first fields of a PNG's first chunk (PNG specification, 11.2.1).
    width, height = struct.unpack(">II", png[16:24])
    content = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
    return Summary.Value(tag=tag, image=content)


def _records(messages: Iterable[bytes]) -> bytes:
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for message in messages:
        writer.write(message)
    return buffer.getvalue()
