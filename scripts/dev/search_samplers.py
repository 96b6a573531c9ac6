"""Does a search find more with TPE and pruning than by chance, for the same number of epochs trained?

Trains a small fully connected net on digits over and over, in studies of two kinds: `sampler=tpe pruner=median` and
`sampler=random pruner=none`. They are the studies that ``hydra/sweeper=search`` makes (the same journal, sampler and
pruner), around a plain training loop in this process, so that a trial takes a fraction of a second.

The budget of a study is a number of epochs trained, those of pruned trials included: `trials` times the epochs of a
whole trial. A study adds trials until it is used up; one that it cuts short does not count. What a study has found
after k epochs is the best value of a trial that was complete by then, and a trial's value is the best validation
accuracy of its epochs. Study n of either kind has n as the seed of its sampler, weights, dropout and order of the
images. The test accuracy is that of the chosen trial's best epoch, and chooses nothing. The same
command, started a second time beside the first, shares the work.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from vision_baselines.analysis.statistics import PairedDifference, paired_difference, summarize
from vision_baselines.config.compose import composed
from vision_baselines.data.splits import Split
from vision_baselines.plots.style import PALETTE, finish, house_style, new_axes
from vision_baselines.search.pruning import prunes_epoch
from vision_baselines.search.space import space_of
from vision_baselines.search.storage import require_optuna
from vision_baselines.search.study import Plan, Study, open_study, trial_id
from vision_baselines.training import build

EPOCHS = 8
FOUND_FILE = "found.json"
KINDS = {"TPE with pruning": ("tpe", "median"), "random, no pruning": ("random", "none")}
FIXED = ("model=fc", "model.hidden_features=[16]", "data.source.val_size=500")
SPACE = (
    "optimizer.lr=tag(log,interval(1e-4,1))",
    "optimizer.weight_decay=tag(log,interval(1e-5,10))",
    "data.batch_size=tag(log,int(interval(16,512)))",
    "model.dropout=interval(0,0.8)",
)


@dataclass
class Found:
    """What one study came to.

    Attributes:
        best: Best validation accuracy of a complete trial after each epoch trained; NaN before the first.
        test: Test accuracy of that trial's best epoch, at the end.
        states: How many trials were complete and pruned.
    """

    best: list[float] = field(default_factory=list)
    test: float = float("nan")
    states: dict[str, int] = field(default_factory=lambda: {"complete": 0, "pruned": 0})


class Objective:
    """Trains one setting, an epoch at a time."""

    def __init__(self, cfg: DictConfig) -> None:
        data = build.datamodule(cfg)
        data.setup("fit")
        assert data.splits is not None
        self.cfg, self.mean, self.std = cfg, cfg.data.mean[0], cfg.data.std[0]
        self.train, self.val, self.test = map(self._ready, (data.splits.train, data.splits.val, data.splits.test))

    def epochs(self, settings: Sequence[str], seed: int) -> Iterator[tuple[float, float]]:
        """Validation and test accuracy after each epoch."""
        cfg = OmegaConf.merge(self.cfg, OmegaConf.from_dotlist(list(settings)))
        assert isinstance(cfg, DictConfig)
        torch.manual_seed(seed)
        net = build.net(cfg)
        options = {key: value for key, value in cfg.optimizer.items() if not str(key).startswith("_")}
        optimizer = torch.optim.AdamW(net.parameters(), **options)
        images, target = self.train
        size = cfg.data.batch_size
        steps = EPOCHS * -(-len(target) // size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(EPOCHS):
            net.train()
            for batch in torch.randperm(len(target)).split(size):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(net(images[batch]), target[batch]).backward()
                optimizer.step()
                schedule.step()
            yield self._accuracy(net, self.val), self._accuracy(net, self.test)

    def _ready(self, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
        images = split.images.float()
        images = images / 255 if split.images.dtype == torch.uint8 else images
        return (images - self.mean) / self.std, split.target

    @staticmethod
    def _accuracy(net: torch.nn.Module, split: tuple[torch.Tensor, torch.Tensor]) -> float:
        net.eval()
        with torch.inference_mode():
            return float((net(split[0]).argmax(1) == split[1]).double().mean())


def searched(objective: Objective, folder: Path, kind: str, seed: int, budget: int) -> Found:
    """One study of `budget` epochs, in an empty folder."""
    sampler, pruner = KINDS[kind]
    space = space_of(OverridesParser.create().parse_overrides(list(SPACE)))
    study = open_study(folder, Plan(space, ("val/acc",), ("max",), (0,), sampler, seed, pruner))
    found, best = Found(), (float("nan"), float("nan"))
    while len(found.best) < budget:
        number = study.add_next()
        trial = objective.epochs(space.overrides(study.values_of(number)), seed)
        measured = _until_it_ends(study, number, trial, budget - len(found.best))
        found.best += [best[0]] * len(measured)
        if len(measured) == EPOCHS:
            top = max(measured)
            study.tell_complete(number, [top[0]])
            if not top[0] <= best[0]:
                best = top
            found.best[-1] = best[0]
            found.states["complete"] += 1
        elif len(found.best) < budget:
            study.tell_pruned(number, f"after {len(measured)} epochs")
            found.states["pruned"] += 1
    found.test = best[1]
    return found


def _until_it_ends(
    study: Study, number: int, trial: Iterator[tuple[float, float]], most: int
) -> list[tuple[float, float]]:
    measured: list[tuple[float, float]] = []
    for epoch, (validation, test) in enumerate(trial):
        measured.append((validation, test))
        study.storage.set_trial_intermediate_value(trial_id(study.storage, number), epoch, validation)
        is_last = epoch + 1 == EPOCHS
        if epoch + 1 == most or (not is_last and prunes_epoch(study.plan.pruner, study.trials, number, 0, 1, "max")):
            break
    return measured


def draw(found: dict[str, list[Found]], path: Path) -> None:
    """Mean over studies of the best so far, with a 95 % interval at each epoch trained."""
    with house_style():
        figure, axes = new_axes(3.0)
        for (kind, studies), color in zip(found.items(), PALETTE[1::-1], strict=True):
            columns = list(zip(*(one.best for one in studies), strict=True))
            epochs = [at for at, column in enumerate(columns) if np.isfinite(column).all()]
            summaries = [summarize([100 * value for value in columns[at]]) for at in epochs]
            x = [at + 1 for at in epochs]
            axes.plot(x, [one.mean for one in summaries], color=color, label=kind)
            if len(studies) > 1:
                low, high = [one.ci_low for one in summaries], [one.ci_high for one in summaries]
                axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
        drawn = [value for line in axes.lines for value in np.asarray(line.get_ydata())[2 * EPOCHS :]]
        if drawn:  # the first trials, found by chance by both, would flatten the rest
            axes.set_ylim(min(drawn) - 2, 100)
        finish(axes, "epochs trained, those of pruned trials included", "best validation accuracy so far, %")
        axes.legend(loc="lower right", frameon=False, fontsize=9)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)


def said(found: dict[str, list[Found]]) -> list[str]:
    """The end of the studies in words."""
    lines = []
    for kind, studies in found.items():
        counts = [f"{np.mean([one.states[state] for one in studies]):.1f} {state}" for state in ("complete", "pruned")]
        lines.append(f"{kind}: trials of a study {', '.join(counts)}")
        for split, values in (("validation", [one.best[-1] for one in studies]), ("test", [o.test for o in studies])):
            one = summarize([100 * value for value in values])
            lines.append(f"  {split} accuracy {one.mean:.2f}% [{one.ci_low:.2f}, {one.ci_high:.2f}], n = {one.n}")
    tpe, random = found.values()
    n = len(tpe[0].best)
    for words, pair in (
        *(
            (f"validation after {k} epochs", ([one.best[k - 1] for one in tpe], [one.best[k - 1] for one in random]))
            for k in (n // 4, n // 2, n)
        ),
        ("test after all of them", ([one.test for one in tpe], [one.test for one in random])),
    ):
        if np.isfinite(pair).all():
            lines.append(f"{words}, the first less the second, in pairs: {_in_points(_pairs(*pair))}")
    return lines


def _pairs(a: Sequence[float], b: Sequence[float]) -> PairedDifference:
    return paired_difference(*({at: 100 * value for at, value in enumerate(side)} for side in (a, b)))


def _in_points(d: PairedDifference) -> str:
    return f"{d.mean:+.2f} points [{d.ci_low:+.2f}, {d.ci_high:+.2f}], p = {d.p_value:.2g}: {d.conclusion}"


def found_in(folder: Path) -> Found | None:
    """What a study came to; None of one that is not done."""
    try:
        return Found(**json.loads((folder / FOUND_FILE).read_text()))
    except FileNotFoundError:
        return None


def main() -> None:
    """Run the studies, each in a folder with its journal, and draw `samplers.png` once all are done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=10, help="of each kind")
    parser.add_argument("--trials", type=int, default=30, help=f"the budget of a study, in trials of {EPOCHS} epochs")
    parser.add_argument("--out", type=Path, required=True, help="a folder; studies that it has are not done again")
    given = parser.parse_args()
    require_optuna()
    torch.set_num_threads(1)
    objective = Objective(composed(FIXED))
    folders = {kind: [given.out / f"{KINDS[kind][0]}_{n}" for n in range(given.studies)] for kind in KINDS}
    for number in range(given.studies):
        for kind in KINDS:
            folder = folders[kind][number]
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            found = searched(objective, folder, kind, number, given.trials * EPOCHS)
            (folder / FOUND_FILE).write_text(json.dumps(asdict(found)))
            print(f"study {number}, {kind}: {100 * found.best[-1]:.2f}%", flush=True)
    done = {kind: [one for folder in of_kind if (one := found_in(folder))] for kind, of_kind in folders.items()}
    if n_open := 2 * given.studies - sum(map(len, done.values())):
        print(
            f"{n_open} folders have no {FOUND_FILE}: another process is at them, or one was killed (remove them then)"
        )
        return
    draw(done, given.out / "samplers.png")
    print("\n".join(said(done)))


if __name__ == "__main__":
    main()
