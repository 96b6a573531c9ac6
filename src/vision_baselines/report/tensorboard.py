"""The comparison as TensorBoard sees it: its pictures as images and its table as text, in one event file.

Written with TensorBoard's own record format and messages, so torch is not needed, and in one piece: the
file is complete the moment it appears. Rejected: `EventFileWriter`, whose thread writes a visible file
bit by bit.

Each rebuild writes a new file, named so that it sorts last, and then removes the older ones, so that a
running TensorBoard moves on to it and a new one finds only it. The step is the number of finished jobs.
"""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.summary.writer.record_writer import RecordWriter

from vision_baselines.storage.atomic import write_atomically

_PREFIX = "events.out.tfevents."
TAG = "comparison"


def write_events(folder: Path, *, step: int, table: str, pictures: Mapping[str, bytes]) -> Path:
    """Replace the event file in `folder`.

    Args:
        folder: An existing folder that nobody else writes events to.
        step: Number of finished jobs.
        table: The comparison as Markdown.
        pictures: PNG by name; shown under ``comparison/<name>``.

    Returns:
        The new file.
    """
    moment_ns = time.time_ns()
    values = [
        _text(f"{TAG}/table", table),
        *(_image(f"{TAG}/{name}", content) for name, content in pictures.items()),
    ]
    wall_time = moment_ns / 1e9
    events = [
        Event(wall_time=wall_time, file_version="brain.Event:2"),
        *(Event(wall_time=wall_time, step=step, summary=Summary(value=[value])) for value in values),
    ]
    # Ten digits of seconds first, as in TensorBoard's own names, which it sorts as text.
    target = folder / f"{_PREFIX}{moment_ns // 10**9:010d}.{moment_ns % 10**9:09d}.comparison"
    write_atomically(target, _records(event.SerializeToString() for event in events))
    newest = max(folder.glob(f"{_PREFIX}*"))
    for older in folder.glob(f"{_PREFIX}*"):
        if older.name < newest.name:
            older.unlink(missing_ok=True)
    return newest


def _records(messages: Iterable[bytes]) -> bytes:
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for message in messages:
        writer.write(message)
    return buffer.getvalue()


def _text(tag: str, markdown: str) -> Summary.Value:
    tensor = TensorProto(
        dtype=DT_STRING,
        string_val=[markdown.encode()],
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
    )
    return Summary.Value(tag=tag, metadata=create_summary_metadata(display_name="", description=""), tensor=tensor)


def _image(tag: str, png: bytes) -> Summary.Value:
    # Width and height are the first fields of a PNG's first chunk (PNG specification, 11.2.1).
    width, height = struct.unpack(">II", png[16:24])
    content = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
    return Summary.Value(tag=tag, image=content)
