"""The folder of data that a recorded run was given: tried first when it is tested or run again, then the default."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from omegaconf import DictConfig, OmegaConf

from vision_baselines.errors import DataError
from vision_baselines.runs.record import RunRecord
from vision_baselines.training import build

log = logging.getLogger(__name__)
_KEY = "paths.data_dir="
_T = TypeVar("_T")


def with_data(
    cfg: DictConfig, record: RunRecord | None, overrides: Sequence[str], run: Callable[[DictConfig], _T]
) -> _T:
    """What `run` makes of the config with the record's own ``paths.data_dir``, or else with the config's.

    Nothing is written in a folder that only a record names: it is used where the data is in it already.

    Args:
        cfg: The restored config.
        record: Whose overrides may name a folder; none names none.
        overrides: Of now; a ``paths.data_dir`` among them is the only one that is tried.
        run: Called with the config to use.
    """
    given = [text.removeprefix(_KEY) for text in (record.overrides if record else ()) if text.startswith(_KEY)]
    own = Path(given[-1].strip("'\"")).expanduser() if given else None
    default = Path(str(cfg.paths.data_dir))
    takes_one = OmegaConf.select(cfg, "data.source.download") is not None
    if own is None or own == default or not takes_one or any(text.startswith(_KEY) for text in overrides):
        return run(cfg)
    first = cfg.copy()
    first.paths.data_dir = str(own)
    try:
        looking = first.copy()
        looking.data.source.download = False
        build.datamodule(looking).prepare_data()
        log.warning("taking the data from %s, as the run was given it", own)
        return run(first)
    except DataError as error:
        log.warning("not the data in %s, as the run was given it (%s); trying %s", own, _first_line(error), default)
    return run(cfg)


def _first_line(error: DataError) -> str:
    return str(error).partition("\n")[0]
