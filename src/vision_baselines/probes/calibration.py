"""Whether a net is right as often as it is sure, and what temperature scaling makes of it.

The comparison's page has reliability and the calibration error (ECE) from the predictions that runs keep. Here they
stand beside those after scaling, with the adaptive error, whose bins hold equally many images, and the NLL. The
temperature is fitted on the validation split alone, the one by which the epoch was chosen; the test is only measured.
ECE is of the net's own outputs, and predictions are kept in 16 bits, so that the page's may differ in its last digits.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from vision_baselines.analysis.calibration import BINS, FEW, calibration_error, equal_reliability, reliability
from vision_baselines.analysis.temperature import fitted_temperature, nll
from vision_baselines.errors import ConfigError
from vision_baselines.probes.probe import Probe, outputs_of, tested
from vision_baselines.runs.record import Curve
from vision_baselines.tasks.task import Task

log = logging.getLogger(__name__)

Answers = tuple[NDArray[np.float64], NDArray[np.int64]]
NAME = "calibration/gap"


class Calibration(Probe):
    """Logs ``calibration/temperature`` and, before and after scaling, ``calibration/ece`` and ``…/ece_scaled``.

    Likewise ``ece_adaptive`` and ``nll``. The curves ``calibration/gap`` and ``calibration/gap_scaled`` are the share
    of right answers minus the mean confidence, in points, over the confidence, in those of 15 bins of equal width that
    hold 10 images. ``calibration/reliability.png`` shows both. Where no temperature is best (every validation image is
    right, or the net does no better than guessing there), nothing is scaled and a line in the log says why.

    It takes a pass over the validation split and one over the test split.

    Raises:
        ConfigError: At `setup` there is no validation split.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse, before anything is trained, data without a validation split."""
        if not len(trainer.datamodule.splits.val.target):  # type: ignore[attr-defined]
            raise ConfigError(
                "probe.calibration fits a temperature on the validation split, and there is none (data.val_size=0); "
                "expected one, or probes without it, such as probe=[depth,units]"
            )

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure, log and draw."""
        self.curves, self.pictures = {}, {}
        splits = trainer.datamodule.splits  # type: ignore[attr-defined]
        val = _answers(trainer, pl_module, splits.val.images, splits.val.target)
        test = _answers(trainer, pl_module, *tested(trainer))
        if val is None or test is None or not np.isfinite(test[0]).all():
            log.info("probe.calibration: nothing is measured, the task has no finite probabilities of classes")
            return
        temperature, reason = fitted_temperature(*val)
        if temperature is None:
            log.info("probe.calibration: no temperature is fitted: %s", reason)
        temperatures = {"": 1.0} | ({} if temperature is None else {"_scaled": temperature})
        numbers: dict[str, float] = {} if temperature is None else {"temperature": temperature}
        bins = {}
        for of, by in temperatures.items():
            sure, right = _confidence(test, by)
            bins[of] = reliability(sure, right)
            numbers |= {
                f"ece{of}": float(calibration_error(bins[of])),
                f"ece_adaptive{of}": float(calibration_error(equal_reliability(sure, right))),
                f"nll{of}": nll(*test, by),
            }
            if (curve := _gap(bins[of])).x:
                self.curves[f"{NAME}{of}"] = curve
        self.log_metrics(pl_module, {f"calibration/{name}": value for name, value in numbers.items()})
        self._draw(trainer, bins, numbers)

    def _draw(self, trainer: pl.Trainer, bins: dict[str, NDArray[np.float64]], numbers: dict[str, float]) -> None:
        from vision_baselines.plots.export import png  # a run without probes need not wait for it
        from vision_baselines.plots.reliability import diagram
        from vision_baselines.plots.style import Look, add_legend, house_style

        words = {"": "as trained", "_scaled": f"divided by a temperature of {numbers.get('temperature', 1.0):.3g}"}
        with house_style():
            looks = {of: Look.of(place) for place, of in enumerate(bins)}
            figure = diagram([(looks[of], table) for of, table in bins.items()])
            if figure is None:
                return
            entries = [(f"{words[of]}: ECE {100 * numbers[f'ece{of}']:.2f} %", looks[of]) for of in bins]
            add_legend(figure, entries, "How often the net is right where it is so sure")
            self.add_picture(trainer, "calibration/reliability", png(figure))


def _answers(trainer: pl.Trainer, pl_module: pl.LightningModule, images: Tensor, target: Tensor) -> Answers | None:
    """Log-probabilities (N, C) and labels (N,) of a split; None for a task without classes.

    They serve as logits: softmax gives the same probabilities, also after division by a temperature.
    """
    task: Task = pl_module.task  # type: ignore[assignment]
    size, found = trainer.datamodule.eval_batch_size, []  # type: ignore[attr-defined]
    for start in range(0, len(target), size):
        part = slice(start, start + size)
        shares = task.probabilities(outputs_of(trainer, pl_module, images[part], target[part]).double())
        if shares is None:
            return None
        found.append(shares.clamp(min=torch.finfo(torch.float64).tiny).log())
    return torch.cat(found).numpy(), target.cpu().numpy()


def _confidence(answers: Answers, temperature: float) -> tuple[Any, Any]:
    """The probability (N,) of each prediction, and whether it is right (N,)."""
    logits, target = answers
    return softmax(logits / temperature, axis=1).max(axis=1), logits.argmax(axis=1) == target


def _gap(bins: NDArray[np.float64]) -> Curve:
    """Share of right answers minus confidence, in points, at the middle of each bin that is filled enough."""
    count, sure, right = bins
    there = np.flatnonzero(count >= FEW)
    return Curve(
        x=(100 * (there + 0.5) / BINS).tolist(),
        y=(100 * (right[there] - sure[there]) / count[there]).tolist(),
        x_label="confidence, %",
        y_label="right answers minus confidence, points",
    )
