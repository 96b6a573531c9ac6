"""Which units of a trained net are off: gates that close, for which classes of inputs, and ReLUs that never fire.

A unit is a feature of a dense layer or a channel of a convolution (dimension 1 of a layer's output). Of a channel's
positions each counts as an input of its own. Of two-dimensional data the probe also draws where the net decides what.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from vision_baselines.errors import ConfigError
from vision_baselines.plots.export import png
from vision_baselines.plots.style import house_style
from vision_baselines.plots.units import dead_figure, gate_figure, plane_figure
from vision_baselines.probes.depth import find_blocks
from vision_baselines.probes.edges import ordered
from vision_baselines.probes.probe import Probe, outputs_of, tested
from vision_baselines.probes.unit_watch import UnitWatch, gates_of
from vision_baselines.runs.record import Curve
from vision_baselines.tasks.classification import Classification

log = logging.getLogger(__name__)

_OPEN_FROM = 0.5  # where a sigmoid is in the middle: more than half of the unit passes
_GRID = 120  # points along each side of the plane
_UNITS_ON_PLANE = 12


class Units(Probe):
    """Measures gates and ReLUs on the test split, and draws ``units/*.png``.

    For gate i of g, in order: ``units/closed_i``, the share of units and inputs at which it is closed, and
    ``units/switching_i``, the share of units that it closes for some inputs and leaves open for others (from 0.5 on);
    as curves ``units/by_class_closed_i`` and, units in order, ``units/by_unit_closed_i``. For ReLU i:
    ``units/dead_i``, the share of its units that no input of the test split makes fire; all of them as ``units/dead``.

    Args:
        gates: Names of modules inside the net that are gates, each an `nn.Sigmoid` or what a sigmoid is applied to;
            None takes those of the net's gated layers.
        closed_below: A gate under it is closed.

    Raises:
        ConfigError: An argument is out of range, or at `setup` the net lacks a module that `gates` names.
    """

    def __init__(self, gates: Sequence[str] | None = None, closed_below: float = 0.1) -> None:
        super().__init__()
        if gates is not None and (isinstance(gates, str) or not all(isinstance(name, str) for name in gates)):
            raise ConfigError(f"probe.units.gates is {gates!r}; expected a list of module names, or null")
        if isinstance(closed_below, bool) or not isinstance(closed_below, float) or not 0 < closed_below < _OPEN_FROM:
            raise ConfigError(f"probe.units.closed_below is {closed_below!r}; expected a number between 0 and 0.5")
        self.gates = gates
        self.closed_below = closed_below
        self._names: list[str] = []
        self._watch: UnitWatch | None = None
        self._classes: Tensor = torch.empty(0)  # one-hot (classes, B) of the batch that is looked at
        self._gates: dict[int, _Gate] = {}
        self._largest: dict[str, Tensor] = {}  # by ReLU, of each unit

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse names that the net does not have, before anything is trained."""
        self._names = list(self.gates or gates_of(pl_module.net))  # type: ignore[arg-type]
        find_blocks(pl_module.net, self._names or None, key="probe.units.gates")  # type: ignore[arg-type]

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reset."""
        self.curves, self.pictures, self._gates, self._largest = {}, {}, {}, {}

    def on_test_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, *rest: Any) -> None:
        """Watch this batch; passes that other probes make are not counted."""
        names = _class_names(trainer, pl_module)
        target = batch[1].cpu().long() if len(names) > 1 else torch.zeros(len(batch[1]), dtype=torch.long)
        self._classes = torch.nn.functional.one_hot(target, len(names)).T.double()
        self._watch = self._watching(pl_module, self._add_gate, self._add_relu)

    def on_test_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        """Take the hooks off."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave no hook behind on a net that may be used further."""
        self._close()

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log and draw."""
        classes = _class_names(trainer, pl_module)
        with house_style():
            for index, gate in sorted(self._gates.items()):
                self._report_gate(trainer, pl_module, index, gate, classes)
            if self._gates:
                shares = {"closed": "share of units and inputs", "switching": "share of units that switch"}
                for name, words in shares.items():
                    values = [getattr(gate, name) for _, gate in sorted(self._gates.items())]
                    self.curves[f"units/{name}"] = _curve(values, "gate", words)
            if self._largest:
                dead = {name: float((largest <= 0).double().mean()) for name, largest in self._largest.items()}
                self.log_metrics(pl_module, {f"units/dead_{i}": share for i, share in enumerate(dead.values())})
                self.curves["units/dead"] = _curve(list(dead.values()), "ReLU", "share of units that never fire")
                sizes = [len(largest) for largest in self._largest.values()]
                self.add_picture(trainer, "units/dead", png(dead_figure(dead, sizes)))
            if math.prod(trainer.datamodule.image_shape) == 2 and len(classes) > 1:  # type: ignore[attr-defined]
                self._draw_plane(trainer, pl_module, classes)
        if not self._gates and not self._largest:
            log.info("probe.units: nothing to measure: no gate and no ReLU is called, or the net is compiled")

    def _report_gate(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, index: int, gate: _Gate, classes: Sequence[str]
    ) -> None:
        metrics = {f"units/closed_{index}": gate.closed, f"units/switching_{index}": gate.switching}
        self.log_metrics(pl_module, metrics)
        by_class = gate.closed_by_class.mean(dim=1).tolist()
        self.curves[f"units/by_class_closed_{index}"] = _curve(by_class, "class", "share of units closed")
        of_unit = ordered(gate.closed_by_unit)
        self.curves[f"units/by_unit_closed_{index}"] = of_unit.model_copy(
            update={"x_label": "share of units, %", "y_label": "share of inputs closed for"}
        )
        figure = gate_figure(self._names[index], gate.mean_by_class.numpy(), classes, gate.closed, gate.switching)
        self.add_picture(trainer, f"units/gate_{index}", png(figure))

    def _draw_plane(self, trainer: pl.Trainer, pl_module: pl.LightningModule, classes: Sequence[str]) -> None:
        """Where the net decides for which class, the test points, and the gates that change most over the plane."""
        points, target = tested(trainer)
        flat = points.flatten(1).double()
        low, high = flat.amin(dim=0), flat.amax(dim=0)
        along = [torch.linspace(float(a), float(b), _GRID) for a, b in zip(low, high, strict=True)]
        grid = torch.cartesian_prod(*along).view(-1, *points.shape[1:])
        gates: dict[int, list[Tensor]] = {}
        watch = self._watching(pl_module, lambda i, value: gates.setdefault(i, []).append(value.cpu()), lambda *_: None)
        outputs = []
        try:
            for batch in torch.split(grid, trainer.datamodule.eval_batch_size):  # type: ignore[attr-defined]
                outputs.append(outputs_of(trainer, pl_module, batch, torch.zeros(len(batch))).float())
        finally:
            if watch is not None:
                watch.close()
        shown = []
        for index, values in sorted(gates.items()):
            whole = _by_position(torch.cat(values)).mean(dim=2)
            most = whole.std(dim=0).argsort(descending=True, stable=True)[: _UNITS_ON_PLANE // len(gates) or 1]
            shown += [
                (f"{self._names[index]} [{int(unit)}]", whole[:, unit].view(_GRID, _GRID).numpy()) for unit in most
            ]
        probabilities = torch.cat(outputs).softmax(dim=1).view(_GRID, _GRID, -1).numpy()
        extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
        figure = plane_figure(probabilities, extent, flat.numpy(), target.numpy(), classes, shown[:_UNITS_ON_PLANE])
        self.add_picture(trainer, "units/plane", png(figure))

    def _watching(self, pl_module: pl.LightningModule, on_gate: Any, on_relu: Any) -> UnitWatch | None:
        net: Any = pl_module.net
        if pl_module.is_compiled:  # it sees no hook
            return None
        return UnitWatch(net, [net.get_submodule(name) for name in self._names], on_gate, on_relu)

    def _close(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    def _add_gate(self, index: int, value: Tensor) -> None:
        self._gates.setdefault(index, _Gate()).add(_by_position(value.cpu()), self._classes, self.closed_below)

    def _add_relu(self, name: str, output: Tensor) -> None:
        largest = output.transpose(0, 1).flatten(1).amax(dim=1)
        before = self._largest.get(name)
        self._largest[name] = largest if before is None else torch.maximum(before, largest)


class _Gate:
    """Sums over the test split of one gate's units, by class."""

    def __init__(self) -> None:
        self._n = self._value = self._closed = torch.zeros(())
        self._ever_closed = self._ever_open = torch.zeros((), dtype=torch.bool)

    def add(self, value: Tensor, classes: Tensor, closed_below: float) -> None:
        """Add values (B, units, positions), of classes (classes, B) as one-hot columns."""
        closed = value < closed_below
        self._n = self._n + classes.sum(dim=1)
        self._value = self._value + classes @ value.double().mean(dim=2)
        self._closed = self._closed + classes @ closed.double().mean(dim=2)
        self._ever_closed = self._ever_closed | closed.any(dim=2).any(dim=0)
        self._ever_open = self._ever_open | (value >= _OPEN_FROM).any(dim=2).any(dim=0)

    @property
    def mean_by_class(self) -> Tensor:
        """(classes, units)."""
        return self._value / self._n[:, None].clamp(min=1)

    @property
    def closed_by_class(self) -> Tensor:
        """Share of a class's inputs, (classes, units)."""
        return self._closed / self._n[:, None].clamp(min=1)

    @property
    def closed_by_unit(self) -> Tensor:
        """Share of all inputs, (units,)."""
        return self._closed.sum(dim=0) / self._n.sum()

    @property
    def closed(self) -> float:
        """Share of all inputs and units."""
        return float(self.closed_by_unit.mean())

    @property
    def switching(self) -> float:
        """Share of the units that are closed for some inputs and open for others."""
        return float((self._ever_closed & self._ever_open).double().mean())


def _by_position(value: Tensor) -> Tensor:
    """(B, units, …) as (B, units, positions)."""
    return value.flatten(2) if value.ndim > 2 else value[..., None]


def _curve(values: Sequence[float], x_label: str, y_label: str) -> Curve:
    return Curve(x=[float(index) for index in range(len(values))], y=list(values), x_label=x_label, y_label=y_label)


def _class_names(trainer: pl.Trainer, pl_module: pl.LightningModule) -> Sequence[str]:
    """Names of the classes; one name for all inputs where the task has no classes."""
    splits = trainer.datamodule.splits  # type: ignore[attr-defined]
    return splits.class_names if isinstance(pl_module.task, Classification) and splits.class_names else ("all inputs",)
