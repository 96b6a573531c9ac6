"""The Python interface: what a notebook imports from ``vision_baselines``.

Everything here works from any folder, without Hydra's main function, and several times in one process. Errors are the
package's own (`vision_baselines.errors`): one or two lines that name the key to change.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vision_baselines.cli import messages
from vision_baselines.config.compose import composed_run, conf_dir
from vision_baselines.config.of_sweeps import require_of_run
from vision_baselines.config.packages import KEYWORD, OVERRIDE, told_by, trust_packages
from vision_baselines.errors import ConfigError, DataError
from vision_baselines.evaluation.predictions import Predictions as Predictions
from vision_baselines.runs.dotted import select
from vision_baselines.runs.places import not_a_run
from vision_baselines.runs.predictions import Predictions as KeptPredictions
from vision_baselines.runs.predictions import read_predictions
from vision_baselines.runs.record import RunRecord, finished_record, read_record

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import nn

    from vision_baselines.comparison.table import ComparisonTable
    from vision_baselines.data.prepared import Pictures
    from vision_baselines.evaluation.evaluate import Evaluation
    from vision_baselines.evaluation.exported import Exported
    from vision_baselines.evaluation.reproduce import Reproduction

log = logging.getLogger("vision_baselines")

_one_at_a_time = threading.RLock()


@dataclass(frozen=True)
class Run:
    """One run: its folder and its record.

    >>> import vision_baselines as vb
    >>> run = vb.train(["model=fc", "trainer.max_epochs=1", "name=doc"])
    >>> sorted(run.metrics)
    ['test/acc', 'test/loss', 'val/acc', 'val/loss']
    """

    folder: Path
    record: RunRecord

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return self.record.name

    @property
    def status(self) -> str:
        """``finished``, ``running``, ``interrupted``, ``failed`` or ``diverged``."""
        return str(self.record.status)

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the weights that were kept, on the validation and test splits; shares from 0 to 1."""
        return self.record.metrics

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config as plain data."""
        return self.record.config

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, in the order of the logits."""
        return list(self.record.class_names or [])

    def predictions(self, split: str = "test") -> KeptPredictions | None:
        """What the kept weights answered for each image of a split: classes, probabilities, targets and ids, as arrays.

        None where the run kept none of it (``keep_predictions``). No torch is needed.

        Raises:
            DataError: The file is missing, damaged, or not what the run wrote.

        >>> import vision_baselines as vb
        >>> run = vb.train(["model=fc", "trainer.max_epochs=1", "name=doc"])
        >>> round(float(run.predictions().correct.mean()), 4) == round(run.metrics["test/acc"], 4)
        True
        """
        return read_predictions(self.folder, self.record, split)

    @property
    def ckpt_path(self) -> Path:
        """The checkpoint with the weights whose test the record reports."""
        dirpath = str(select(self.config, "callbacks.checkpoints.dirpath", "${paths.run_dir}/checkpoints"))
        return Path(dirpath.replace("${paths.run_dir}", str(self.folder))) / "best.ckpt"

    def net(self, *, trusted_packages: Sequence[str] = ()) -> nn.Module:
        """The trained net in evaluation mode, on the CPU: normalised images (N, C, H, W) to logits (N, num_classes).

        Raises:
            DataError: The run is not finished.
            StorageError: Its checkpoint is missing or damaged.
        """
        net: nn.Module = self._load(trusted_packages)[0].net
        return net

    def filters(self, layer: str | None = None, *, trusted_packages: Sequence[str] = ()) -> np.ndarray[Any, Any]:
        """The trained filters of a convolution, such as ``features.1.0``, or of the first layer: (N, C, kH, kW).

        Raises:
            DataError: The run is not finished.
            ConfigError: The net has no such layer, or it has no filters.
        """
        from vision_baselines.evaluation.filters import filters_of_run

        with _as_config_error(KEYWORD):
            return filters_of_run(self.folder, layer, trusted_packages=trusted_packages).trained

    def predict(
        self, pictures: Pictures, *, batch_size: int | None = None, trusted_packages: Sequence[str] = ()
    ) -> Predictions:
        """Classes and probabilities of pictures: `predict` with this run alone."""
        return predict(self, pictures, batch_size=batch_size, trusted_packages=trusted_packages)

    def _load(self, trusted_packages: Sequence[str]) -> tuple[Any, Any]:
        from vision_baselines.training.load import load_classifier

        finished_record(self.folder)
        with _as_config_error(KEYWORD):
            return load_classifier(self.ckpt_path, trusted_packages=trusted_packages)


@dataclass(frozen=True)
class Comparison:
    """Groups of runs, compared; a notebook shows it as a table under its conclusion."""

    content: ComparisonTable
    headline: str
    page: Path

    @property
    def table(self) -> pd.DataFrame:
        """One row a group: counts, every metric's mean and interval, the difference from the baseline, costs."""
        from vision_baselines.report.frames import groups_frame

        return groups_frame(self.content)

    @property
    def jobs(self) -> pd.DataFrame:
        """One row a run, failed and unreadable ones too."""
        from vision_baselines.report.frames import jobs_frame

        return jobs_frame(self.content)

    @property
    def effects(self) -> pd.DataFrame:
        """One row a part that was left out of some runs (``ablate=``): what it is worth; empty where none was."""
        from vision_baselines.report.frames import effects_frame

        return effects_frame(self.content)

    def _repr_html_(self) -> str:
        from html import escape

        import pandas as pd

        from vision_baselines.report.columns import chosen
        from vision_baselines.report.tables import RESULT, group_columns

        columns = chosen(group_columns(self.content), RESULT)
        cells = [[column.write(row) for column in columns] for row in self.content.shown()]
        shown = pd.DataFrame(cells, columns=[column.head for column in columns])
        return f"<p>{escape(self.headline)}</p>{shown.to_html(index=False)}"


def compose(overrides: Sequence[str] = ()) -> DictConfig:
    """The config of one run, as the command line composes it.

    Args:
        overrides: As on the command line: ``["model=fc", "data=mnist", "trainer.max_epochs=3"]``.

    Raises:
        ConfigError: A key, group or option does not exist, or a value cannot be read.

    >>> import vision_baselines as vb
    >>> vb.compose(["model=fc", "optimizer.lr=0.01"]).optimizer.lr
    0.01
    """
    with _as_config_error(), _one_at_a_time, _hydra_config_kept():
        return composed_run(_texts(overrides))


def train(config: DictConfig | Sequence[str] = ()) -> Run:
    """Train one run, keep its best weights, test them; what is finished already is not trained again.

    Give a ``name=`` to find the run again: without one each call makes a new run.

    Args:
        config: Overrides as on the command line, or what `compose` returned.

    Raises:
        ConfigError: The config cannot be run.
        DataError: The data cannot be used.
        TrainingError: The loss diverged.
        StorageError: Something cannot be written.

    >>> import vision_baselines as vb
    >>> run = vb.train(["model=fc", "trainer.max_epochs=1", "name=doc"])
    >>> run.status, 0.5 < run.metrics["test/acc"] <= 1
    ('finished', True)
    """
    from vision_baselines.training.run import train as train_run

    with _as_config_error(), _process_kept():
        if isinstance(config, DictConfig):
            cfg = config
        else:
            cfg = composed_run(_texts(config))
            if ignored := require_of_run(cfg):
                log.warning("%s", ignored)
        folder = Path(cfg.paths.run_dir)
        trust_packages(str(name) for name in cfg.get("trusted_packages") or ())
        return Run(folder, train_run(cfg))


def load_run(folder: str | Path) -> Run:
    """The run in `folder`, finished or not.

    Raises:
        DataError: There is no record in it, or it cannot be read.

    >>> import vision_baselines as vb
    >>> vb.load_run(vb.train(["model=fc", "trainer.max_epochs=1", "name=doc"]).folder).status
    'finished'
    """
    if said := not_a_run(Path(folder)):
        raise DataError(said)
    try:
        return Run(Path(folder), read_record(Path(folder)))
    except (OSError, ValueError) as error:
        raise DataError(str(error)) from error


def load_runs(*folders: str | Path) -> pd.DataFrame:
    """Every run at or below some folders, one row each: settings, metrics, costs, status.

    Settings that are the same in all runs are left out, except the seed.

    Raises:
        DataError: A folder does not exist, or holds no record.

    >>> import vision_baselines as vb
    >>> run = vb.train(["model=fc", "trainer.max_epochs=1", "name=doc"])
    >>> vb.load_runs(run.folder.parent).status.tolist()
    ['finished']
    """
    from vision_baselines.comparison.collection import collect
    from vision_baselines.report.frames import runs_frame

    return runs_frame(collect(_folders(folders)).jobs)


def compare(
    *folders: str | Path,
    group_by: Sequence[str] | str | None = None,
    metric: str | None = None,
    select: str | None = None,
    baseline: str | None = None,
    over: str | None = None,
    chance_level: float | str | None = None,
    equivalence: float | None = None,
    out: str | Path | None = None,
) -> Comparison:
    """Compare every run at or below some folders, and write the page, tables and pictures.

    Args:
        folders: Sweeps, or folders of sweeps.
        group_by: Keys that make a group; by default all that was overridden but the seed.
        metric: What is compared; by default the task's headline metric on the test split.
        select: What ranks the groups, a metric of the validation split; by default the task's headline metric.
        baseline: The group that others are compared with; by default ``model=fc`` if it is there.
        over: A key with numbers to draw the metric over.
        chance_level: Makes it a control, on labels without a signal: the share that chance reaches, or ``uniform``.
        equivalence: Difference within which two groups are equal, in points of a share, else in the metric's unit.
        out: Where to write; by default ``comparison/`` in the first folder, where the sweep has its own page, or for
            other options than the sweep's a folder in it that is named after them.

    Raises:
        DataError: A folder does not exist, or holds no record.
        ConfigError: A key, metric or group that no run has, or a `select` that is no metric of the validation split; or
            `out` is a folder of a run, of a sweep, or of another sweep's comparison.

    >>> import vision_baselines as vb
    >>> run = vb.train(["model=fc", "trainer.max_epochs=1", "name=doc"])
    >>> vb.compare(run.folder.parent).table.n_finished.tolist()
    [1]
    """
    from vision_baselines.cli.outputs import require_foreign_folder
    from vision_baselines.report.write import compare as write_comparison

    compared = [Path(folder) for folder in folders]
    if out:
        require_foreign_folder(Path(out), "out", compared=compared)
    written = write_comparison(
        compared,
        Path(out) if out else None,
        group_by=group_by,
        metric=metric,
        select=select,
        baseline=baseline,
        over=over,
        chance_level=chance_level,
        equivalence=equivalence,
    )
    return Comparison(written.table, written.headline, written.page)


def evaluate(
    run: Run | str | Path,
    overrides: Sequence[str] = (),
    *,
    tta: str | int | None = None,
    trusted_packages: Sequence[str] = (),
) -> Evaluation:
    """Test a run's best weights, or a checkpoint, once more, with probes where asked.

    Args:
        run: A run, its folder, or a checkpoint file.
        overrides: ``["probe=shift"]``, ``["trainer.accelerator=cpu"]``, …
        tta: Test-time augmentation: the mean of the probabilities of views of each image, ``flip``, ``shift``, or a
            number of views made as in training. The run's record stays as it is.
        trusted_packages: Packages of one's own whose classes the config may name.

    >>> import vision_baselines as vb
    >>> vb.evaluate(vb.train(["model=fc", "trainer.max_epochs=1", "name=doc"])).same
    True
    """
    from vision_baselines.evaluation.evaluate import evaluate as evaluate_path

    with _as_config_error(KEYWORD), _process_kept():
        views = None if tta is None else str(tta)
        return evaluate_path(_folder(run), overrides=_texts(overrides), trusted_packages=trusted_packages, views=views)


def predict(
    runs: Run | str | Path | Sequence[Run | str | Path],
    pictures: Pictures,
    *,
    batch_size: int | None = None,
    device: str = "cpu",
    trusted_packages: Sequence[str] = (),
) -> Predictions:
    """Classes and probabilities of pictures, which are prepared as in training; of several runs, their mean.

    Args:
        runs: A finished run, or several as an ensemble; a sweep's folder stands for all finished runs in it.
        pictures: uint8 array (N, H, W), (N, H, W, 1) or (N, H, W, 3), or picture files and folders of them. Pictures
            of another size are scaled as training with ``data=image_folder`` scales them.
        batch_size: Pictures at a time; by default as many as the first run was tested with.
        device: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        trusted_packages: Packages of one's own whose classes the runs' configs may name.

    Raises:
        DataError: A run is not finished, or something is not a picture.
        ConfigError: The runs learned different classes.
        StorageError: A run's checkpoint is missing, damaged, or not the record's.

    >>> import numpy as np, vision_baselines as vb
    >>> run = vb.train(["model=fc", "trainer.max_epochs=1", "name=doc"])
    >>> vb.predict(run, np.zeros((2, 16, 16), np.uint8)).probabilities.shape
    (2, 10)
    """
    from vision_baselines.evaluation.predict import predict as predict_pictures
    from vision_baselines.evaluation.trained import load_trained, runs_and_others, usable_device

    folders, others, _ = runs_and_others(_folders([runs] if isinstance(runs, Run | str | Path) else runs))
    with _as_config_error(KEYWORD), _process_kept():
        members = load_trained([*folders, *others], trusted_packages=trusted_packages, device=usable_device(device))
        return predict_pictures(members, pictures, batch_size=batch_size)


def reproduce(
    run: Run | str | Path, overrides: Sequence[str] = (), *, trusted_packages: Sequence[str] = ()
) -> Reproduction:
    """Run a finished run again in a scratch folder and say, point by point, what is the same.

    >>> import vision_baselines as vb
    >>> vb.reproduce(vb.train(["model=fc", "trainer.max_epochs=1", "name=doc"])).passed
    True
    """
    from vision_baselines.evaluation.reproduce import reproduce as reproduce_folder

    with _as_config_error(KEYWORD), _process_kept():
        return reproduce_folder(_folder(run), overrides=_texts(overrides), trusted_packages=trusted_packages)


def export(
    run: Run | str | Path,
    path: str | Path,
    *,
    check: bool = True,
    force: bool = False,
    trusted_packages: Sequence[str] = (),
) -> Exported:
    """Write a run's net to a ``.pt2`` or ``.onnx`` file that runs without this package; `evaluation.export` says more.

    >>> import vision_baselines as vb
    >>> run = vb.train(["model=fc", "trainer.max_epochs=1", "name=doc"])
    >>> vb.export(run, "net.pt2").agreement.same_class
    360
    """
    from vision_baselines.evaluation.export import export as export_folder

    with _as_config_error(KEYWORD), _process_kept():
        return export_folder(_folder(run), Path(path), check=check, force=force, trusted_packages=trusted_packages)


def _folder(run: Run | str | Path) -> Path:
    return run.folder if isinstance(run, Run) else Path(run)


def _folders(folders: Sequence[Any]) -> list[Path]:
    """Folders that were given one by one, or as one list."""
    listed = folders[0] if len(folders) == 1 and isinstance(folders[0], list | tuple) else folders
    if not listed or not all(isinstance(folder, str | Path | Run) for folder in listed):
        raise ConfigError(f"folders are {folders!r}; expected sweeps or runs, such as 'outputs/demo'")
    return [_folder(folder) for folder in listed]


def _texts(overrides: Sequence[str] | str) -> list[str]:
    """Overrides as a list; one alone may be given as text."""
    listed = [overrides] if isinstance(overrides, str) else list(overrides)
    for text in listed:
        if not (isinstance(text, str) and (text.startswith("~") or "=" in text)):
            raise ConfigError(f"an override is {text!r}; expected key=value, such as 'model=fc'")
    return listed


@contextmanager
def _as_config_error(how_to_trust: str = OVERRIDE) -> Iterator[None]:
    """Hydra's and OmegaConf's errors as the one line that the command line prints; how this call is told to trust."""
    before = told_by.set(how_to_trust)
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise messages.one_line(error, conf_dir()) from error
    finally:
        told_by.reset(before)


@contextmanager
def _process_kept() -> Iterator[None]:
    """Leave Hydra's config, torch's settings and the random generators of the process as they were.

    One call at a time: Hydra and torch have one state for all threads.
    """
    from vision_baselines.runs.environment import process_kept

    with _one_at_a_time, process_kept(), _hydra_config_kept():
        yield


@contextmanager
def _hydra_config_kept() -> Iterator[None]:
    """Leave Hydra's config, which composing a run sets, as it was: an application of Hydra's may call us."""
    before = HydraConfig.instance().cfg
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before
