"""Pictures of a run's test images, read from its data, where it kept none of them itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig

from vision_baselines.comparison.collection import Job
from vision_baselines.config.checks import checked_config
from vision_baselines.config.restore import restored
from vision_baselines.data.displayed import displayed
from vision_baselines.errors import DataError
from vision_baselines.evaluation.data_folder import with_data
from vision_baselines.runs.mistake_pictures import Pixels
from vision_baselines.training import build


def pictures_from_data(
    job: Job, places: Iterable[int], *, overrides: Sequence[str] = (), trusted_packages: Sequence[str] = ()
) -> Mapping[int, Pixels]:
    """Test images as pictures (h, w, 3), by their place in the test split.

    Args:
        job: A run that was tested on them.
        places: Which.
        overrides: Where the data lies now, such as ``paths.data_dir=…``.
        trusted_packages: Packages whose classes may be instantiated.

    Raises:
        ConfigError: An override cannot be applied.
        DataError: The data is missing, or not what the run was tested on.
    """
    record = job.record
    with tempfile.TemporaryDirectory(prefix="mistakes-") as scratch:
        cfg = restored(record.config, Path(scratch), overrides, trusted_packages)
        checked_config(cfg)

        def read(cfg: DictConfig) -> Mapping[int, Pixels]:
            datamodule = build.datamodule(cfg)
            datamodule.prepare_data()
            datamodule.setup()
            assert datamodule.splits is not None
            splits = datamodule.splits
            then, now = record.test_sha256, splits.test_sha256
            if then is None:
                then, now = record.data_sha256, splits.sha256
            if then != now:
                raise DataError(
                    f"the data is not what {job.folder.name} was tested on (SHA-256 {str(then)[:12]} then, {now[:12]} "
                    "now); put it back, or name where it lies with --data-dir"
                )
            return {place: displayed(splits.test.images[place]) for place in places}

        return with_data(cfg, record, overrides, read)
