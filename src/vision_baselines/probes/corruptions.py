"""How well a net still does on pictures made worse: the task's headline metric for each kind and strength.

What is done to the pictures, and how it relates to ImageNet-C, stands in `data.corruptions`. Pixels are changed as the
data set holds them, before normalisation, and then take the way of a test batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from torchmetrics import Metric

from vision_baselines.data.corruptions import IN_SPACE, KINDS, OF_PLACES, STRENGTHS, corrupted, draw
from vision_baselines.errors import ConfigError
from vision_baselines.probes.probe import Probe, outputs_of, task_metrics, tested
from vision_baselines.runs.record import Curve
from vision_baselines.tasks.names import in_words
from vision_baselines.tasks.task import Task

Place = tuple[str, int]
_CLEAN: Place = ("clean", 0)


class Corruptions(Probe):
    """Logs ``corruptions/<metric>_mean``, ``…_clean`` and, kind by kind, ``…_noise1`` to ``…_occlusion5``.

    The metric is the task's headline; `mean` is over kinds and strengths 1 to 5, `clean` the test's own, bit for bit.
    The curves ``corruptions/<metric>_<kind>`` are over the strength, from 0, which is `clean`. Drawn are
    ``corruptions/curves.png`` and ``corruptions/pictures.png``, the first test image at every strength.

    It takes 1 + 5 · kinds passes over the test split in batches of its size, of which at most four copies are held as
    floats. Draws depend on the run's seed and the image's place in the split.

    Args:
        kinds: Some of `KINDS`.

    Raises:
        ConfigError: `kinds` is something else; or at `setup` images are of one pixel or pixels are permuted, and a kind
            needs places.
    """

    def __init__(self, kinds: Sequence[str] = KINDS) -> None:
        super().__init__()
        given: Any = kinds
        is_list = isinstance(given, Sequence) and not isinstance(given, str) and len(given) > 0
        if not is_list or any(kind not in KINDS for kind in given) or len(set(given)) < len(given):
            expected = f"a list of some of {', '.join(KINDS)}, each once"
            raise ConfigError(f"probe.corruptions.kinds is {_plain(given)!r}; expected {expected}")
        self.kinds = tuple(kinds)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse, before anything is trained, what needs neighbours where there are none."""
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        for cause, applies, kinds in (
            ("data.permute_pixels=true leaves no neighbours", datamodule.permute_pixels, OF_PLACES),
            ("images have a side of one pixel", min(datamodule.image_shape[1:]) < 2, IN_SPACE),
        ):
            if applies and (refused := [kind for kind in self.kinds if kind in kinds]):
                rest = ",".join(kind for kind in self.kinds if kind not in kinds) or "noise"
                raise ConfigError(
                    f"probe.corruptions.kinds has {', '.join(refused)}, but {cause}; expected "
                    f"probe.corruptions.kinds=[{rest}], or probes without it, such as probe=[depth,units]"
                )

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure, log and draw."""
        task: Task = pl_module.task  # type: ignore[assignment]
        found = {place: float(metric.compute()) for place, metric in self._measured(trainer, pl_module, task).items()}
        name, words = f"corruptions/{task.headline}", in_words(f"test/{task.headline}")
        worse = {place: value for place, value in found.items() if place != _CLEAN}
        numbers = {"mean": sum(worse.values()) / len(worse), "clean": found[_CLEAN]}
        numbers |= {f"{kind}{strength}": value for (kind, strength), value in worse.items()}
        self.log_metrics(pl_module, {f"{name}_{of}": value for of, value in numbers.items()})
        strengths = range(STRENGTHS + 1)
        self.curves = {
            f"{name}_{kind}": Curve(
                x=[float(strength) for strength in strengths],
                y=[found[(kind, strength) if strength else _CLEAN] for strength in strengths],
                x_label=f"strength of {kind}",
                y_label=words,
            )
            for kind in self.kinds
        }
        self._draw(trainer, name, words, found)

    def _measured(self, trainer: pl.Trainer, pl_module: pl.LightningModule, task: Task) -> dict[Place, Metric]:
        """The metric on the unchanged images, and for each kind and strength."""
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        images, target = tested(trainer)
        places = [_CLEAN, *((kind, strength) for kind in self.kinds for strength in range(1, STRENGTHS + 1))]
        metrics = {place: task_metrics(task)[task.headline] for place in places}

        def update(place: Place, batch: Tensor, labels: Tensor) -> None:
            metrics[place].update(outputs_of(trainer, pl_module, batch, labels), labels.cpu())

        for start in range(0, len(target), datamodule.eval_batch_size):
            part = slice(start, start + datamodule.eval_batch_size)
            batch, labels = images[part], target[part]
            update(_CLEAN, batch, labels)
            for kind in self.kinds:
                drawn = draw(kind, batch, seed=datamodule.seed, samples=range(start, start + len(labels)))
                for strength in range(1, STRENGTHS + 1):
                    update((kind, strength), corrupted(kind, batch, strength, drawn), labels)
        return metrics

    def _draw(self, trainer: pl.Trainer, name: str, words: str, found: dict[Place, float]) -> None:
        from vision_baselines.comparison.formatting import capital
        from vision_baselines.comparison.metric import Metric as Written  # a run without probes need not wait for it
        from vision_baselines.data.displayed import displayed
        from vision_baselines.plots.corruptions import corruptions_sheet
        from vision_baselines.plots.style import house_style
        from vision_baselines.probes.picture import curves_png

        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        image = tested(trainer)[0][:1].cpu()
        rows = []
        for kind in self.kinds:
            drawn = draw(kind, image, seed=datamodule.seed, samples=[0])
            pictures = [image, *(corrupted(kind, image, strength, drawn) for strength in range(1, STRENGTHS + 1))]
            values = [found[_CLEAN], *(found[kind, strength] for strength in range(1, STRENGTHS + 1))]
            captions = [Written(name).written(value) for value in values]
            rows.append((kind, [displayed(picture[0]) for picture in pictures], captions))
        with house_style():
            sheet = corruptions_sheet("The first test image, made worse", f"Below each: {words} of all of them.", rows)
        first = next(iter(self.curves))
        lines = [
            (kind, curve.model_copy(update={"x_label": "strength"}))
            for kind, curve in zip(self.kinds, self.curves.values(), strict=True)
        ]
        self.pictures = {}
        self.add_picture(
            trainer, "corruptions/curves", curves_png(first, f"{capital(words)} of pictures made worse", lines)
        )
        self.add_picture(trainer, "corruptions/pictures", sheet)


def _plain(given: Any) -> Any:
    return list(given) if isinstance(given, Sequence) and not isinstance(given, str) else given
