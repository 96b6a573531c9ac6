"""The terminal's progress bar, which leaves a line of every epoch behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar
from rich import get_console
from rich.text import Text

from vision_baselines.steps.unwatched import Unwatched
from vision_baselines.tasks.names import in_words, is_share

_LINES = 30
_TIME, _SPEED = len("0:00:00 • 0:00:00"), len("1234.56it/s")
_SHORTEST_BAR, _LONGEST_BAR = 4, 40


class EpochProgressBar(RichProgressBar, Unwatched):
    """Lightning's bar, whose epochs count from 0 as in records, and which says which is the last."""

    def _get_train_description(self, current_epoch: int) -> str:
        # no public hook: Lightning sets the text anew wherever it makes or resets the bar
        return epoch_of(current_epoch, self.trainer.max_epochs).capitalize().ljust(len(self.validation_description))

    def unwatched_steps(self, trainer: pl.Trainer) -> int:
        """See `steps.unwatched`: all, for a bar that moves several times a second is seen to move."""
        return int(trainer.num_training_batches)

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Lightning's columns that one line has room for: the speed is left out first, then the bar, then the time."""
        description, bar, count, time, speed = super().configure_columns(trainer)
        room = self._room(trainer) - len(self._metrics_text(trainer)) - 1
        has_time = room > _TIME
        room -= (_TIME + 1) * has_time
        has_bar = room > _SHORTEST_BAR
        has_speed = has_bar and room > _SPEED + 1 + _SHORTEST_BAR
        bar.bar_width = min(_LONGEST_BAR, room - 1 - (_SPEED + 1) * has_speed)
        return [
            description,
            *([bar] if has_bar else []),
            count,
            *([time] if has_time else []),
            *([speed] if has_speed else []),
        ]

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What the line says of metrics: those of training only where there is room for them."""
        found = super().get_metrics(trainer, pl_module)
        fits = self._room(trainer) > len(self._metrics_text(trainer))
        return {name: value for name, value in found.items() if fits or not name.startswith("train/")}

    def _room(self, trainer: pl.Trainer) -> int:
        """Columns beside the epoch and the count of batches."""
        batches = trainer.num_training_batches
        count = f"{batches}/{batches}" if isinstance(batches, int) else "123456/--"
        last = max(trainer.current_epoch, (trainer.max_epochs or 0) - 1)
        described = max(len(epoch_of(last, trainer.max_epochs)), len(self.validation_description))
        return get_console().width - described - 1 - len(count) - 1

    def _metrics_text(self, trainer: pl.Trainer) -> str:
        headline = getattr(getattr(trainer.lightning_module, "task", None), "headline", "acc")
        return f"val/{headline}: 0.000 train/{headline}: 0.000"

    def keep(self, epoch: int, metrics: Mapping[str, float], *, headline: str, is_last: bool) -> None:
        """Leave a line of a finished epoch above the bar; of more than 30 epochs every so many and the last one.

        Args:
            epoch: From 0.
            metrics: What the epoch measured, by full name.
            headline: The metric that decides, without its split.
            is_last: Whether training ended with this epoch.
        """
        every = max(1, -(-(self.trainer.max_epochs or 1) // _LINES))
        if self.progress is None or not (is_last or epoch % every == 0):
            return
        console, last = self.progress.console, max(epoch, (self.trainer.max_epochs or 0) - 1)
        shown = [name for name in dict.fromkeys(("train/loss", "val/loss", f"val/{headline}")) if name in metrics]
        # decided by the longest line that there will be, so that all lines of a run have the same fields
        longest = {name: 1.0 if _is_share(name) else metrics[name] for name in shown}
        for least in ("val/loss", "train/loss"):
            if least in shown[:-1] and len(_line(last, longest)) > console.width:
                shown.remove(least)
                del longest[least]
        console.print(Text(_line(epoch, {name: metrics[name] for name in shown})), soft_wrap=True)


def epoch_of(epoch: int, max_epochs: int | None) -> str:
    """An epoch, and which is the last if that is known.

    >>> epoch_of(1, 3), epoch_of(1, -1)
    ('epoch 1 (last 2)', 'epoch 1')
    """
    return f"epoch {epoch}" + (f" (last {max_epochs - 1})" if max_epochs is not None and max_epochs > 0 else "")


def _line(epoch: int, metrics: Mapping[str, float]) -> str:
    return "  ".join(
        [f"epoch {epoch}", *(f"{_words(name)} {_written(name, found)}" for name, found in metrics.items())]
    )


def _words(name: str) -> str:
    return name.replace("/", " ") if name.startswith("train/") else in_words(name)


def _written(name: str, value: float) -> str:
    return f"{value:.2%}" if _is_share(name) else f"{value:.4f}"


def _is_share(name: str) -> bool:
    return is_share(name.partition("/")[2])
