"""TensorBoard logging with one event file a job, whole and without repetition also after a resume.

Lightning closes its writer after ``fit``, so ``test`` opens a second file; TensorBoard reads a run's files in the order
of their names as text (``.10`` before ``.9``) and takes values that come late for a restart, so in a long multirun
values vanish. Here the writer is flushed where Lightning would close it, and closed once, by `close`.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_only
from PIL.Image import Image
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from vision_baselines.report.event_file import image
from vision_baselines.report.hparams import OWN_SCALARS
from vision_baselines.training.curves_layout import CurvesLayout
from vision_baselines.training.net_graph import NetGraph
from vision_baselines.training.net_histograms import NetHistograms
from vision_baselines.training.result_pictures import FeatureMaps
from vision_baselines.training.run_logger import RunLogger

_EVENT_FILES = "events.out.tfevents.*"
_EPOCH = "epoch"


class RunTensorBoardLogger(RunLogger, TensorBoardLogger):
    """Writes events straight into `save_dir`, which TensorBoard then shows as one run by that folder's name.

    Args:
        save_dir: The run's folder.
        pictures: Whether the confusion matrix and feature maps of three test images are drawn once a run is tested.
        histograms: Whether histograms of weights and gradients are logged after each epoch.
        graph: Whether the net's graph is logged when training starts.
    """

    def __init__(self, save_dir: str, pictures: bool = True, histograms: bool = False, graph: bool = False) -> None:
        super().__init__(save_dir, name="", version="", default_hp_metric=False)
        self.pictures = pictures
        self._logged: set[str] = set()
        self._epoch_at: int | None = None
        self._watches = {FeatureMaps: pictures, NetHistograms: histograms, NetGraph: graph, CurvesLayout: True}

    def callbacks(self) -> list[Callback]:
        """What looks at the run for this logger, to be among the trainer's callbacks."""
        return [kind(self) for kind, is_wanted in self._watches.items() if is_wanted]

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log scalars, and note that they are there.

        Lightning adds the epoch to every call, after validation and after training of one step; it is logged once.
        """
        is_known = step is not None and step == self._epoch_at
        new = {tag: value for tag, value in metrics.items() if not (tag == _EPOCH and is_known)}
        super().log_metrics(new, step)
        self._logged.update(new)
        if _EPOCH in new:
            self._epoch_at = step

    @rank_zero_only
    def save(self) -> None:
        """Flush; the config is kept in the record, so no ``hparams.yaml`` is written."""
        self.experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Flush, and stay open for what comes after."""
        if self._experiment is not None:
            self.experiment.flush()

    @rank_zero_only
    def close(self) -> None:
        """Write what is left and let go of the file.

        Raises:
            OSError: Something could not be written. TensorBoard's own writer keeps it to itself if that was the last.
        """
        if self._experiment is None:
            return
        threads = [writer.event_writer._async_writer._worker for writer in self.experiment.all_writers.values()]
        try:
            self.experiment.close()
        finally:
            self._experiment = None
            failed = [thread for thread in threads if thread.exception is not None]
            for thread in failed:  # it sets the error first and then raises it: nobody is told after this returns
                thread.join()
        for thread in failed:
            raise thread.exception

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """Start a new file with the events of the old ones from before `step`, each once, and remove the old ones."""
        folder = Path(self.log_dir)
        old_files = sorted(folder.glob(_EVENT_FILES), key=lambda path: path.stat().st_mtime_ns)
        events = list(_events_before(old_files, step))
        writer = self.experiment._get_file_writer()
        for event in events:
            writer.event_writer.add_event(event)
            self._logged.update(value.tag for value in event.summary.value)
        self.experiment.flush()
        for path in old_files:
            path.unlink()

    @rank_zero_only
    def log_event(self, event: Event) -> None:
        """Write an event as it is."""
        self.experiment._get_file_writer().add_event(event)

    def log_picture(self, tag: str, picture: Image, *, step: int) -> None:
        """Show a picture; it is packed less tightly than Pillow would, in a third of the time."""
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG", compress_level=1)
        self.log_png(tag, buffer.getvalue(), step=step)

    @rank_zero_only
    def log_png(self, tag: str, png: bytes, *, step: int) -> None:
        """Show a PNG file as an image, without drawing it again."""
        self.log_event(Event(step=step, wall_time=time.time(), summary=Summary(value=[image(tag, png)])))

    @rank_zero_only
    def log_result(self, row: Sequence[Any], metrics: Mapping[str, float]) -> None:
        """A finished run's row of TensorBoard's HParams table (`report.hparams`), with its result.

        Args:
            row: The messages of the row.
            metrics: Results by the scalar where HParams finds them; those that the run has not logged are logged now.
        """
        self.log_metrics({tag: value for tag, value in metrics.items() if tag not in self._logged}, step=0)
        writer = self.experiment._get_file_writer()
        for summary in row:
            writer.add_summary(summary)
        self.experiment.flush()


def _events_before(paths: list[Path], step: int) -> Iterator[Any]:
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    seen: set[tuple[str, int]] = set()
    has_graph = False
    for path in paths:
        for event in LegacyEventFileLoader(str(path)).Load():
            if event.HasField("graph_def") and step > 0 and not has_graph:
                has_graph = True
                yield event
            if not event.HasField("summary") or event.step >= step:
                continue
            tags = [(value.tag, event.step) for value in event.summary.value]
            # the HParams row stands at step 0 but is written at the end of a run
            if any(tag.startswith(("_hparams_", OWN_SCALARS)) or (tag, at) in seen for tag, at in tags):
                continue
            seen.update(tags)
            yield event
