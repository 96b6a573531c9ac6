"""The comparison as TensorBoard sees it: its pictures as images, its table as text, and the columns of HParams.

Pictures and table are one event file, the columns another, which a sweep that begins writes too (`sweep.columns`). The
step is the number of finished jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.text.metadata import create_summary_metadata

from vision_baselines.report.event_file import COLUMNS, COMPARISON, image, replace_events
from vision_baselines.report.hparam_rows import Row
from vision_baselines.report.hparams import experiment

TAG = "comparison"


def write_events(folder: Path, *, step: int, table: str, pictures: Mapping[str, bytes]) -> Path:
    """Replace the comparison's event file in `folder`.

    Args:
        folder: An existing folder.
        step: Number of finished jobs.
        table: The comparison as Markdown.
        pictures: PNG by name; shown under ``comparison/<name>``.

    Returns:
        The new file.
    """
    values = [
        _text(f"{TAG}/table", table),
        *(image(f"{TAG}/{name}", content) for name, content in pictures.items()),
    ]
    return replace_events(folder, [Summary(value=[value]) for value in values], step=step, kind=COMPARISON)


def write_columns(folder: Path, rows: Sequence[Row]) -> Path:
    """Replace the columns of HParams rows in `folder`, and return the new file."""
    return replace_events(folder, [experiment(rows)], step=0, kind=COLUMNS)


def _text(tag: str, markdown: str) -> Summary.Value:
    tensor = TensorProto(
        dtype=DT_STRING,
        string_val=[markdown.encode()],
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
    )
    return Summary.Value(tag=tag, metadata=create_summary_metadata(display_name="", description=""), tensor=tensor)
