"""The terminal's progress bar, counting epochs from one as everything else that is shown does."""

from __future__ import annotations

from pytorch_lightning.callbacks import RichProgressBar


class EpochProgressBar(RichProgressBar):
    """Lightning's bar, which would call the last of two epochs ``Epoch 1/1``."""

    def _get_train_description(self, current_epoch: int) -> str:
        # no public hook: Lightning sets the text anew wherever it makes or resets the bar
        last = self.trainer.max_epochs
        text = f"Epoch {current_epoch + 1}" + (f"/{last}" if last is not None and last > 0 else "")
        return text.ljust(len(self.validation_description))
