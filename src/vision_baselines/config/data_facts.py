"""What a config leaves to the data: keys of the data group that are ``auto``, filled in before anything is built.

Nets are built from these numbers and a record states them, so they are found first and then stand in the config like
numbers that a person gave. Folders of data are made absolute, so that a record says which they were.
"""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from vision_baselines.data.listing import found_image_size, listed_pictures, listing_sha256
from vision_baselines.errors import ConfigError, VisionBaselinesError

AUTO = "auto"
_PLACES = ("root", "file", "test_file")


def needs_filling(cfg: DictConfig) -> bool:
    """Whether a key of the data group is left to the data."""
    data = cfg.get("data")
    keys = ("source.image_size", "image_shape", "num_classes", "mean", "std")
    if not isinstance(data, DictConfig) or not isinstance(data.get("source"), DictConfig):
        return False
    return any(_is_auto(data, key) for key in keys)


def make_places_absolute(cfg: DictConfig) -> None:
    """Write the folder or file of a user's own data as a whole path, in place."""
    source = OmegaConf.select(cfg, "data.source")
    for key in _PLACES if isinstance(source, DictConfig) else ():
        if key in source and not OmegaConf.is_interpolation(source, key) and isinstance(source[key], str):
            with read_write(cfg):
                source[key] = str(Path(source[key]).expanduser().absolute())


def fill_auto(cfg: DictConfig) -> None:
    """Replace every ``auto`` of the data group by what is found, in place; its targets have been checked.

    Raises:
        DataError: The data cannot be read.
        ConfigError: The source cannot be built.
    """
    data = cfg.data
    with read_write(cfg), open_dict(cfg):
        if _is_auto(data, "source.image_size"):
            listing = listed_pictures(source_of(cfg))
            if listing is None:
                raise ConfigError("data.source.image_size is 'auto'; expected a number for this source")
            data.source.image_size = found_image_size(Path(data.source.root).expanduser(), listing)
        if _is_auto(data, "num_classes"):
            data.num_classes = _num_classes(cfg)
        if _is_auto(data, "image_shape"):
            data.image_shape = _framed(data, _read(cfg)[0])
        for key, index in (("mean", 2), ("std", 3)):
            if _is_auto(data, key):
                data[key] = _read(cfg)[index]


def data_listing(cfg: DictConfig) -> str | None:
    """The present `listing_sha256` of a config's source."""
    found = isinstance(OmegaConf.select(cfg, "data.source"), DictConfig)
    return listing_sha256(source_of(cfg)) if found else None


def _num_classes(cfg: DictConfig) -> int:
    if cfg.data.get("classes"):
        return len(cfg.data.classes)
    listing = listed_pictures(source_of(cfg))
    return len(listing.class_names) if listing is not None else int(_read(cfg)[1])


def source_of(cfg: DictConfig) -> dict[str, Any]:
    """``data.source``, resolved, with the seed of the split where that is not its own; empty where there is none."""
    if not isinstance(OmegaConf.select(cfg, "data.source"), DictConfig):
        return {}
    source = OmegaConf.to_container(cfg.data.source, resolve=True)
    assert isinstance(source, dict)
    cut = {} if cfg.data.get("folds") or cfg.data.get("split_seed") is None else {"split_seed": cfg.data.split_seed}
    return {**{str(key): value for key, value in source.items()}, **cut}


def _framed(data: DictConfig, shape: list[int]) -> list[int]:
    """The shape of the source's images as the net sees them."""
    from vision_baselines.data.geometry import check_geometry, framed_shape

    resize, place = data.get("resize"), data.get("place")
    check_geometry(resize, place)
    return list(framed_shape(shape, resize, place))


def _is_auto(data: DictConfig, key: str) -> bool:
    return bool(OmegaConf.select(data, key) == AUTO)


def _read(cfg: DictConfig) -> Any:
    source = source_of(cfg)
    return _found(json.dumps(source, sort_keys=True), listing_sha256(source), bool(cfg.get("preview")))


@lru_cache(maxsize=16)
def _found(source_json: str, listing: str | None, preview: bool) -> tuple[list[int], int, list[float], list[float]]:
    """Image shape, number of classes, mean and std; the jobs of a sweep ask for the same again and again."""
    from vision_baselines.data.channel_statistics import channel_statistics

    try:
        source = instantiate(json.loads(source_json), _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, VisionBaselinesError):
            raise error.__cause__ from error
        raise ConfigError(f"data.source cannot be built: {' '.join(str(error.__cause__ or error).split())}") from error
    if not preview:  # which downloads nothing
        source.prepare()
    notes = logging.getLogger("vision_baselines.data")
    level = notes.level
    try:
        if not preview:
            notes.setLevel(logging.ERROR)  # the run loads the same again, and says then what there is to say
        splits = source.load()
    finally:
        notes.setLevel(level)
    mean, std = channel_statistics(splits.train.images)
    shape = [int(side) for side in splits.train.images.shape[1:]]
    return shape, len(splits.class_names), [round(m, 4) for m in mean], [round(s, 4) for s in std]
