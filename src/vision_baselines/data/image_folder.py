"""A person's own pictures: ``<root>/train/<class>/…``, with ``val`` and ``test`` beside train where there are any.

The pictures are brought to one size once and cached as a checked tensor file; every later start reads that, until a
picture is added, removed or touched. Everything that is wrong with the folder is said at once, before training.
Listing is left to `picture_listing`, what becomes of a picture's size and mode is stated in `picture_decoding`.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import PIL
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from vision_baselines.data import tensor_cache
from vision_baselines.data.integrity import prepare_lock
from vision_baselines.data.picture_decoding import MAX_PIXELS, PictureError, PixelArray, decoded, quiet_pillow
from vision_baselines.data.picture_listing import Listing, Picture, list_pictures, printable
from vision_baselines.data.splits import SPLIT_SEED, Split, Splits, stratified_cut
from vision_baselines.errors import ConfigError, DataError

_FAULTS_NAMED = 10
_CACHE_FORMAT = 1

logger = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class ImageFolder:
    """Pictures in a folder for each class.

    Args:
        root: Must be set. Holds ``train`` and, where there are any, ``val`` and ``test``, each with the same classes.
        cache_dir: Where the tensors are kept; nothing else is ever written.
        image_size: Side of the square images, in pixels.
        channels: 3 for RGB, 1 for grey.
        crop: Whether a picture's shape is kept and its centre cropped, or it is stretched to the square.
        val_fraction: Of each class in train, held out for validation where there is no ``val``.
        test_fraction: Of each class in train, held out for testing where there is no ``test``, which is warned of.
        split_seed: Decides which pictures are held out.
        max_pixels: A picture that states more is refused before it is decoded.

    Raises:
        ConfigError: An argument is out of range.
    """

    root: str | Path | None
    cache_dir: str | Path
    image_size: int = 32
    channels: int = 3
    crop: bool = True
    val_fraction: float = 0.1
    test_fraction: float = 0.2
    split_seed: int = SPLIT_SEED
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if self.root is None:
            raise ConfigError("data.source.root is null; expected the folder that holds train/<class>/…")
        if self.image_size < 1:
            raise ConfigError(f"data.source.image_size is {self.image_size}; expected a side of at least 1 pixel")
        if self.channels not in (1, 3):
            raise ConfigError(f"data.source.channels is {self.channels}; expected 3 for RGB or 1 for grey")
        if not 1 <= self.max_pixels <= 2 * MAX_PIXELS:
            raise ConfigError(
                f"data.source.max_pixels is {self.max_pixels}; expected 1 to {2 * MAX_PIXELS}, Pillow's own limit"
            )
        for name, fraction in {"val_fraction": self.val_fraction, "test_fraction": self.test_fraction}.items():
            if not 0 < fraction < 0.5:
                raise ConfigError(f"data.source.{name} is {fraction}; expected between 0 and 0.5")

    def prepare(self) -> None:
        """Decode the pictures unless the cache holds them.

        Raises:
            DataError: Pictures or folders cannot be used; they are named.
            StorageError: The cache cannot be written.
        """
        self._tensors(self._listing())

    def load(self) -> Splits:
        """Train, val and test, images (N, channels, image_size, image_size).

        Raises:
            DataError: As `prepare`, which does the work if nothing has done it yet.
        """
        listing = self._listing()
        tensors = self._tensors(listing)
        for note in listing.notes:
            logger.warning(note)
        splits = {name: Split(tensors[f"{name}_images"], tensors[f"{name}_target"]) for name in listing.pictures}
        train = splits["train"]
        held_out_counts = self._held_out_counts(listing)
        if "test" in held_out_counts:
            logger.warning(
                "no test folder under %s: %d pictures of train are held out as the test split",
                printable(str(self.root)),
                sum(held_out_counts["test"]),
            )
        for name, counts in held_out_counts.items():
            kept, held_out = stratified_cut(train.target, counts, seed=self.split_seed)
            splits[name], train = train.subset(held_out), train.subset(kept)
        return Splits(train, splits["val"], splits["test"], listing.class_names)

    @property
    def _root(self) -> Path:
        assert self.root is not None
        return Path(self.root).expanduser()

    def _listing(self) -> Listing:
        try:
            return list_pictures(self._root)
        except OSError as error:
            raise DataError(f"cannot read {error.filename}: {error.strerror}; set data.source.root") from error

    def _held_out_counts(self, listing: Listing) -> dict[str, list[int]]:
        """For each split without a folder, how many pictures of each class in train it is given; at least one."""
        fractions = {"test": self.test_fraction, "val": self.val_fraction}
        per_class = listing.counts("train")
        return {
            name: [max(1, round(fraction * count)) for count in per_class]
            for name, fraction in fractions.items()
            if name not in listing.pictures
        }

    def _faults(self, listing: Listing) -> list[str]:
        held_out_counts = self._held_out_counts(listing).values()
        too_few = []
        for label, (name, count) in enumerate(zip(listing.class_names, listing.counts("train"), strict=True)):
            needed = sum(counts[label] for counts in held_out_counts)
            if 0 < count <= needed:
                too_few.append(
                    f"train/{name}: {count} pictures; expected more than the {needed} to be held out of them"
                )
        return [*listing.faults, *too_few]

    def _tensors(self, listing: Listing) -> dict[str, Tensor]:
        """Images and target of each split that has a folder, from the cache or from the pictures."""
        path, key = self._cache(listing)
        faults = self._faults(listing)
        tensors = None if faults else tensor_cache.read(path, key=key, say_damaged=False)
        if tensors is not None:
            return tensors
        with prepare_lock(path.parent):
            # another process may have made it while this one waited
            tensors = None if faults else tensor_cache.read(path, key=key)
            if tensors is None:
                tensors = self._decoded(listing, faults)
                tensor_cache.write(path, tensors, key=key)
            return tensors

    def _cache(self, listing: Listing) -> tuple[Path, str]:
        """The cache file for this folder at this size, and the key of what it must hold."""
        root = self._root.resolve()
        place = repr((os.fsencode(root), self.image_size, self.channels, self.crop))
        name = f"pictures-{hashlib.sha256(place.encode()).hexdigest()[:16]}.pt"
        # another version of Pillow may decode or resize to other values
        key = f"{_CACHE_FORMAT} {PIL.__version__} {listing.fingerprint()}"
        return Path(self.cache_dir).expanduser() / name, key

    def _decoded(self, listing: Listing, faults: list[str]) -> dict[str, Tensor]:
        """Decode every picture; raise DataError for all faults, those known already and those found now."""
        shape = (self.channels, self.image_size, self.image_size)
        _require_memory(sum(map(len, listing.pictures.values())) * math.prod(shape), self.image_size)
        tensors = {}
        with quiet_pillow():
            for split, pictures in listing.pictures.items():
                images = np.empty((len(pictures), *shape), dtype=np.uint8)
                faults = [*faults, *self._fill(images, pictures, split)]
                tensors[f"{split}_images"] = torch.from_numpy(images)
                tensors[f"{split}_target"] = torch.tensor([p.label for p in pictures], dtype=torch.int64)
        if faults:
            named = "".join(f"\n  {fault}" for fault in faults[:_FAULTS_NAMED])
            more = f"\n  … and {len(faults) - _FAULTS_NAMED:,} more" if len(faults) > _FAULTS_NAMED else ""
            raise DataError(
                f"{len(faults):,} fault{'s' * (len(faults) > 1)} under {printable(str(self.root))} (data.source.root); "
                f"mend or remove:{named}{more}"
            )
        return tensors

    def _fill(self, images: PixelArray, pictures: list[Picture], split: str) -> list[str]:
        """Decode pictures into images (N, C, H, W), in place, and return what is wrong with those that cannot be."""
        root = self._root

        def fill(index: int) -> str | None:
            path = pictures[index].path
            try:
                images[index] = decoded(
                    root / path,
                    size=(self.image_size, self.image_size),
                    channels=self.channels,
                    crop=self.crop,
                    max_pixels=self.max_pixels,
                )
            except PictureError as error:
                return f"{printable(path)}: {printable(str(error))}"
            return None

        console = Console(stderr=True)
        # Pillow lets go of the interpreter's lock while it decodes: two threads read large photographs twice as fast
        pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
        try:
            results = track(
                pool.map(fill, range(len(pictures))),
                description=f"{split} pictures",
                total=len(pictures),
                console=console,
                disable=not console.is_terminal,
            )
            return [fault for fault in results if fault is not None]
        finally:
            pool.shutdown(cancel_futures=True)  # or an interrupt would wait until every picture is decoded


def _require_memory(needed_bytes: int, image_size: int) -> None:
    if not hasattr(os, "sysconf"):
        return
    physical_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed_bytes > physical_bytes:
        raise DataError(
            f"the pictures take {needed_bytes / 1e9:,.1f} GB at data.source.image_size={image_size}, and this machine "
            f"has {physical_bytes / 1e9:,.1f} GB of memory; expected a smaller image_size or fewer pictures"
        )
