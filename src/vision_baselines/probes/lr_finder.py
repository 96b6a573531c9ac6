"""Which learning rate to try: a step at each of growing rates before training starts, which leaves no trace in it."""

from __future__ import annotations

import copy
import itertools
import logging
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import GradClipAlgorithmType

from vision_baselines.analysis.learning_rate_range import has_left, smoothed, steepest_rate
from vision_baselines.errors import ConfigError
from vision_baselines.probes.probe import Probe
from vision_baselines.runs.record import Curve
from vision_baselines.seeding import default_generators_kept, draw_seed, seed_default_generator

log = logging.getLogger(__name__)


class LearningRateFinder(Probe):
    """Tries growing learning rates, and says at which the loss falls steepest; the run trains at its own.

    Weights, buffers, the optimizer and the random state are put back bit for bit, so a run with it is the run without.
    ``lr_finder/suggested_lr`` in the record is the rate, ``lr_finder/loss`` the curve.

    Args:
        min_lr: The first rate.
        max_lr: The last one.
        steps: Rates that are tried, one step each, a constant factor apart.
    """

    def __init__(self, min_lr: float = 1e-6, max_lr: float = 1.0, steps: int = 100) -> None:
        super().__init__()
        if not 0 < min_lr < max_lr:
            raise ConfigError(
                f"callbacks.lr_finder.min_lr is {min_lr} and max_lr {max_lr}; expected 0 < min_lr < max_lr"
            )
        if steps < 10:
            raise ConfigError(f"callbacks.lr_finder.steps is {steps}; expected a whole number of at least 10")
        self.min_lr, self.max_lr, self.steps = min_lr, max_lr, steps
        self._rates: list[float] = []
        self._losses: list[float] = []
        self._used = 0.0

    def state_dict(self) -> dict[str, Any]:
        """What was measured: it is not measured again when the run is resumed."""
        return {"rates": self._rates, "losses": self._losses, "used": self._used}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what was measured."""
        self._rates, self._losses = list(state_dict["rates"]), list(state_dict["losses"])
        self._used = float(state_dict["used"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure, and draw; a resumed run draws what was measured.

        Raises:
            ConfigError: The run has several optimizers.
        """
        if len(trainer.optimizers) != 1:
            raise ConfigError(
                f"callbacks=lr_finder tries one learning rate, and this run has {len(trainer.optimizers)}"
            )
        is_new = not self._losses
        if is_new:
            self._measure(trainer, pl_module)
        smooth = smoothed(self._losses)
        found = steepest_rate(self._rates, smooth)
        self._draw(trainer, smooth, found)
        if is_new and found is not None:
            log.info("the loss falls steepest at optimizer.lr=%.2g; this run trains at %.2g", found, self._used)
        elif is_new:
            log.info("the loss falls at none of the learning rates; this run trains at %.2g", self._used)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the rate to the test's results."""
        found = steepest_rate(self._rates, smoothed(self._losses)) if self._losses else None
        if found is not None:
            self.log_metrics(pl_module, {"lr_finder/suggested_lr": found})

    def _measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        [optimizer] = trainer.optimizers
        weights, state = copy.deepcopy(pl_module.state_dict()), copy.deepcopy(optimizer.state_dict())
        self._used = float(optimizer.param_groups[0]["lr"])
        given = [float(group["lr"]) for group in optimizer.param_groups]
        batches = itertools.chain.from_iterable(itertools.repeat(trainer.datamodule.train_dataloader()))  # type: ignore[attr-defined]
        task, net = pl_module.task, pl_module.net
        with default_generators_kept(pl_module.device):
            for number, batch in enumerate(itertools.islice(batches, self.steps)):
                rate = self.min_lr * (self.max_lr / self.min_lr) ** (number / (self.steps - 1))
                for group, own in zip(optimizer.param_groups, given, strict=True):
                    group["lr"] = rate * (own / given[0] if given[0] else 1.0)
                seed_default_generator(draw_seed(pl_module.seed, "lr_finder", number), pl_module.device)  # type: ignore[arg-type]
                ready = trainer.strategy.batch_to_device(batch, dataloader_idx=0)
                with trainer.precision_plugin.train_step_context():
                    loss = task.step(net, ready)[0]  # type: ignore[operator, union-attr]
                self._rates.append(rate)
                self._losses.append(float(loss.detach()))
                if has_left(smoothed(self._losses)):
                    break
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                trainer.precision_plugin.clip_gradients(
                    optimizer,
                    trainer.gradient_clip_val or 0.0,
                    GradClipAlgorithmType(trainer.gradient_clip_algorithm or "norm"),
                )
                optimizer.step()
        pl_module.load_state_dict(weights)
        optimizer.load_state_dict(state)
        optimizer.zero_grad(set_to_none=True)

    def _draw(self, trainer: pl.Trainer, smooth: list[float], found: float | None) -> None:
        from vision_baselines.plots.export import png
        from vision_baselines.plots.learning_rates import learning_rates_figure
        from vision_baselines.plots.style import house_style

        exponents = [float(value) for value in torch.tensor(self._rates, dtype=torch.float64).log10()]
        finite = [pair for pair in zip(exponents, smooth, strict=True) if abs(pair[1]) < float("inf")]
        x, y = [pair[0] for pair in finite], [pair[1] for pair in finite]
        self.curves["lr_finder/loss"] = Curve(x=x, y=y, x_label="log10 of the learning rate", y_label="training loss")
        with house_style():
            figure = learning_rates_figure(
                self._rates[: len(y)], self._losses[: len(y)], y, steepest=found, used=self._used
            )
            self.add_picture(trainer, "lr_finder/loss", png(figure))
