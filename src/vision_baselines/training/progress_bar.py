"""The terminal's progress bar, which leaves a line of every epoch behind."""

from __future__ import annotations

from collections.abc import Mapping

from pytorch_lightning.callbacks import RichProgressBar
from rich.text import Text

from vision_baselines.tasks.names import in_words, is_share

_LINES = 30


class EpochProgressBar(RichProgressBar):
    """Lightning's bar, whose epochs count from 0 as in records, and which says which is the last."""

    def _get_train_description(self, current_epoch: int) -> str:
        # no public hook: Lightning sets the text anew wherever it makes or resets the bar
        return epoch_of(current_epoch, self.trainer.max_epochs).capitalize().ljust(len(self.validation_description))

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
        shown = dict.fromkeys(("train/loss", "val/loss", f"val/{headline}"))
        found = [f"{_words(name)} {_written(name, metrics[name])}" for name in shown if name in metrics]
        self.progress.console.print(Text("  ".join([f"epoch {epoch}", *found])), soft_wrap=True)


def epoch_of(epoch: int, max_epochs: int | None) -> str:
    """An epoch, and which is the last if that is known.

    >>> epoch_of(1, 3), epoch_of(1, -1)
    ('epoch 1 (last 2)', 'epoch 1')
    """
    return f"epoch {epoch}" + (f" (last {max_epochs - 1})" if max_epochs is not None and max_epochs > 0 else "")


def _words(name: str) -> str:
    return name.replace("/", " ") if name.startswith("train/") else in_words(name)


def _written(name: str, value: float) -> str:
    return f"{value:.2%}" if is_share(name.partition("/")[2]) else f"{value:.4f}"
