"""How large the activations are, block by block: whether a signal grows or fades on its way through a deep net.

The figure is the mean of |activation| over a block's output. In training it is taken of a single batch every so many
steps, as the net then is (with dropout and the batch's own statistics), and goes to the loggers. In the test it is
taken over the whole split in evaluation mode, best epoch's weights, and goes into the record.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vision_baselines.errors import ConfigError
from vision_baselines.probes.probe import Probe, draw_curves
from vision_baselines.runs.record import Curve

log = logging.getLogger(__name__)

NAME = "depth/activation"


class Depth(Probe):
    """Logs ``depth/block_0_step``, ``depth/block_1_step`` … in training and ``depth/block_0`` … in the test.

    The latter are also kept as the curve ``depth/activation`` over the block's index. Hooks are on the net only in the
    steps that are logged and in the test; they add no pass. Where a block is not called, or a compiled net passes the
    hooks by, nothing is measured and a line in the log says so.

    Args:
        blocks: Names of modules inside the net, in order; none takes what `find_blocks` finds.
        log_every_n_steps: Training steps between two points.

    Raises:
        ConfigError: The steps are no whole number above 0, or at `setup` the net lacks a module that `blocks` names.
    """

    def __init__(self, blocks: Sequence[str] | None = None, log_every_n_steps: int = 50) -> None:
        super().__init__()
        if isinstance(log_every_n_steps, bool) or not isinstance(log_every_n_steps, int) or log_every_n_steps < 1:
            raise ConfigError(
                f"probe.depth.log_every_n_steps is {log_every_n_steps!r}; expected a whole number of at least 1"
            )
        if isinstance(blocks, str):
            raise ConfigError(f"probe.depth.blocks is {blocks!r}; expected a list of module names, or null")
        self.blocks = blocks
        self.log_every_n_steps = log_every_n_steps
        self._meter: _Meter | None = None
        self._totals: list[_Total] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse names that the net does not have, before anything is trained."""
        find_blocks(pl_module.net, self.blocks)  # type: ignore[arg-type]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Put the hooks on if this step will be logged."""
        if (trainer.global_step + 1) % self.log_every_n_steps == 0:
            self._meter = _Meter(find_blocks(pl_module.net, self.blocks))  # type: ignore[arg-type]

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the hooks off, and log; a batch that ends in no optimizer step is not logged."""
        if self._meter is None:
            return
        found = self._read()
        if trainer.global_step % self.log_every_n_steps == 0 and all(total.count for total in found):
            for logger in trainer.loggers:
                logger.log_metrics(
                    {f"depth/block_{index}_step": total.mean for index, total in enumerate(found)},
                    step=trainer.global_step - 1,
                )

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reset."""
        self._totals = []

    def on_test_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        """Put the hooks on for this batch; passes that other probes make are not counted."""
        self._meter = _Meter(find_blocks(pl_module.net, self.blocks))  # type: ignore[arg-type]

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        """Take the hooks off and add up."""
        found = self._read()
        before = self._totals or [_Total()] * len(found)
        self._totals = [one + other for one, other in zip(before, found, strict=True)]

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log and draw."""
        if not all(total.count for total in self._totals):
            log.info(
                "probe.depth: nothing to measure, a block is not called or the net is compiled, which sees no hook"
            )
            return
        means = [total.mean for total in self._totals]
        self.log_metrics(pl_module, {f"depth/block_{index}": mean for index, mean in enumerate(means)})
        curve = Curve(
            x=[float(index) for index in range(len(means))], y=means, x_label="block", y_label="mean |activation|"
        )
        self.curves = {NAME: curve}
        draw_curves(trainer, NAME, "Mean |activation| of each block on the test split", [("", curve)])

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave no hook behind on a net that may be used further."""
        self._read()

    def _read(self) -> list[_Total]:
        meter, self._meter = self._meter, None
        return meter.read() if meter else []


@dataclass(frozen=True)
class _Total:
    """Sum of |activation| and how many there were."""

    magnitude: float = 0.0
    count: int = 0

    def __add__(self, other: _Total) -> _Total:
        return _Total(self.magnitude + other.magnitude, self.count + other.count)

    @property
    def mean(self) -> float:
        return self.magnitude / self.count


class _Meter:
    """Forward hooks on blocks, from the moment it is made until it is read."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        self._sums: list[list[tuple[Tensor, int]]] = [[] for _ in blocks]
        self._handles: list[RemovableHandle] = [
            block.register_forward_hook(self._hook(index)) for index, block in enumerate(blocks)
        ]

    def read(self) -> list[_Total]:
        for handle in self._handles:
            handle.remove()
        return [
            sum((_Total(float(mean) * count, count) for mean, count in found), start=_Total()) for found in self._sums
        ]

    def _hook(self, index: int) -> Any:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            tensor = output[0] if isinstance(output, tuple) else output
            if isinstance(tensor, Tensor):
                # left on its device: reading it here would make an accelerator wait in mid-pass
                self._sums[index].append((tensor.detach().abs().float().mean(), tensor.numel()))

        return look


def find_blocks(net: nn.Module, names: Sequence[str] | None = None, key: str = "probe.depth.blocks") -> list[nn.Module]:
    """The parts of a net whose outputs are looked at, in order.

    Args:
        net: Any net.
        names: Names of modules. None takes what lies in ``net.blocks``, else in ``net.features``, else the children
            that have parameters, where an only child is passed through: the `nn.Linear`s of an FC, say.
        key: Of the config, that gave the names.

    Raises:
        ConfigError: A name that the net does not have.
    """
    if names:
        known = dict(net.named_modules())
        for name in names:
            if name not in known or name == "":
                some = ", ".join(list(known)[1:9])
                raise ConfigError(f"{key} names {name!r}; expected modules of the net, such as {some}")
        return [known[name] for name in names]
    for attribute in ("blocks", "features"):
        inside = getattr(net, attribute, None)
        if isinstance(inside, nn.Module) and (found := list(inside.children())):
            return found
    while True:
        children = [child for child in net.children() if next(child.parameters(), None) is not None]
        if len(children) != 1 or not list(children[0].children()):
            return children or [net]
        net = children[0]
