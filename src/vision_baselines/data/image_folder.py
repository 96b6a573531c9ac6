"""A person's own pictures: a folder for each class, or a table of classes, with splits beside each other or none.

The pictures are brought to one size once and cached; every later start reads that and decodes what is new. Which
picture is in which split is decided from the listing, before any is opened. Everything that is wrong with the folder is
said at once, before training. Folders are left to `picture_layout`, listing to `picture_listing` and `picture_labels`,
decoding and the cache to `picture_tensors`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from vision_baselines.data.listing import found_image_size, listed_pictures
from vision_baselines.data.picture_decoding import MAX_PIXELS, SIXTEEN_BIT_MAX
from vision_baselines.data.picture_duplicates import found_duplicates, without
from vision_baselines.data.picture_layout import SPLIT_NAMES, printable
from vision_baselines.data.picture_listing import Listing, Picture
from vision_baselines.data.picture_tensors import Decoding, PictureTensors, picture_tensors
from vision_baselines.data.source_report import SourceReport
from vision_baselines.data.splits import SPLIT_SEED, Split, Splits, held_out, held_out_counts, require_fractions
from vision_baselines.errors import ConfigError, DataError

_FAULTS_NAMED = 10

logger = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class ImageFolder:
    """Pictures in a folder for each class.

    Args:
        root: Must be set. Holds ``train`` and, where there are any, ``val`` and ``test``, or classes alone.
        cache_dir: Where the tensors are kept; nothing else is ever written.
        image_size: Side of the square images, in pixels; ``auto`` is the pictures' median shorter side, at most 224.
        channels: 3 for RGB, 1 for grey.
        crop: Whether a picture's shape is kept and its centre cropped, or it is stretched to the square.
        val_fraction: Of each class in train, held out for validation where there is no ``val``.
        test_fraction: Of each class in train, held out for testing where there is no ``test``, which is warned of.
        split_seed: Decides which pictures are held out.
        max_pixels: A picture that states more is refused before it is decoded.
        pixel_max: White in 16-bit pictures; ``auto`` finds 255, 1023, 4095, 16383 or 65535 from the brightest of all.
        labels: A CSV file with a row for each picture, relative to the root; None takes classes from folders.
        file_column: Its column of pictures; None finds it by its name.
        label_column: Its column of classes; None finds it by its name.
        on_damaged: What becomes of pictures that cannot be decoded: ``refuse``, or ``skip`` and record.
        on_duplicate: What becomes of pictures in two splits or classes: ``warn``, ``refuse``, or ``drop`` from train.

    Raises:
        ConfigError: An argument is out of range.
    """

    root: str | Path | None
    cache_dir: str | Path
    image_size: int | str = 32
    channels: int = 3
    crop: bool = True
    val_fraction: float = 0.1
    test_fraction: float = 0.2
    split_seed: int = SPLIT_SEED
    max_pixels: int = MAX_PIXELS
    pixel_max: int | str = "auto"
    labels: str | Path | None = None
    file_column: str | None = None
    label_column: str | None = None
    on_damaged: str = "refuse"
    on_duplicate: str = "warn"

    def __post_init__(self) -> None:
        if self.root is None:
            raise ConfigError("data.source.root is null; expected the folder that holds train/<class>/…")
        if self.image_size != "auto" and (not isinstance(self.image_size, int) or self.image_size < 1):
            raise ConfigError(
                f"data.source.image_size is {self.image_size}; expected a side of at least 1 pixel, or auto"
            )
        if self.channels not in (1, 3):
            raise ConfigError(f"data.source.channels is {self.channels}; expected 3 for RGB or 1 for grey")
        if not 1 <= self.max_pixels <= 2 * MAX_PIXELS:
            raise ConfigError(
                f"data.source.max_pixels is {self.max_pixels}; expected 1 to {2 * MAX_PIXELS}, Pillow's own limit"
            )
        if self.pixel_max != "auto" and not (
            isinstance(self.pixel_max, int) and 1 <= self.pixel_max <= SIXTEEN_BIT_MAX
        ):
            raise ConfigError(f"data.source.pixel_max is {self.pixel_max}; expected 1 to {SIXTEEN_BIT_MAX}, or auto")
        require_fractions(self.val_fraction, self.test_fraction)
        for name, word, words in (
            ("on_damaged", self.on_damaged, ("refuse", "skip")),
            ("on_duplicate", self.on_duplicate, ("warn", "refuse", "drop")),
        ):
            if word not in words:
                raise ConfigError(f"data.source.{name} is {word!r}; expected {' or '.join(words)}")
        if not isinstance(self.crop, bool):
            raise ConfigError(f"data.source.crop is {self.crop!r}; expected true or false")

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
        chosen, cut_from = self._assigned(listing)
        tensors = self._tensors(listing)
        for note in listing.notes:
            logger.warning(note)
        if "test" in cut_from:
            logger.warning(
                "no test folder under %s: %d pictures of train are held out as the test split",
                printable(str(self.root)),
                len(chosen["test"]),
            )
        pictures = [picture for split in SPLIT_NAMES for picture in chosen[split]]
        where = [split for split in SPLIT_NAMES for _ in chosen[split]]
        splits, contents, begin = {}, {}, 0
        for name in SPLIT_NAMES:  # slices, not copies: the tensors may lie in a file
            usable = [index for index in tensors.usable if where[index] == name]
            rows = slice(begin, begin + len(usable))
            begin = rows.stop
            target = torch.tensor([pictures[index].label for index in usable], dtype=torch.int64)
            ids = tuple(printable(pictures[index].path) for index in usable)
            splits[name], contents[name] = Split(tensors.images[rows], target, ids), tensors.contents[rows]
        duplicates = self._without_duplicates(splits, contents)
        if tensors.damaged:
            logger.warning(
                "%d damaged pictures are left out (data.source.on_damaged=skip): %s",
                len(tensors.damaged),
                "; ".join(tensors.damaged[:_FAULTS_NAMED]),
            )
        if tensors.pixel_max not in (None, SIXTEEN_BIT_MAX):
            logger.warning("white in the 16-bit pictures is taken to be data.source.pixel_max=%d", tensors.pixel_max)
        report = SourceReport(
            dict.fromkeys(cut_from, "train"),
            tuple(listing.notes),
            tuple(tensors.damaged),
            duplicates,
            tensors.pixel_max,
        )
        return Splits(splits["train"], splits["val"], splits["test"], listing.class_names, report)

    @property
    def _root(self) -> Path:
        assert self.root is not None
        return Path(self.root).expanduser()

    def _listing(self) -> Listing:
        listing = listed_pictures({"_target_": f"{__name__}.{type(self).__name__}", **vars(self)})
        assert listing is not None
        return listing

    def _held_out_counts(self, listing: Listing) -> dict[str, list[int]]:
        """For each split without pictures of its own, how many of each class in train it is given."""
        fractions = {"test": self.test_fraction, "val": self.val_fraction}
        missing = {name: fraction for name, fraction in fractions.items() if not listing.pictures.get(name)}
        return held_out_counts(listing.counts("train"), missing)

    def _assigned(self, listing: Listing) -> tuple[dict[str, list[Picture]], list[str]]:
        """The pictures of train, val and test, and which of these are cut from train."""
        counts, train = self._held_out_counts(listing), listing.pictures["train"]
        target = torch.tensor([picture.label for picture in train], dtype=torch.int64)
        cut = held_out(target, counts, seed=self.split_seed)
        chosen = {name: [train[at] for at in index.tolist()] for name, index in cut.items()}
        return {**listing.pictures, **chosen}, list(counts)

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

    def _tensors(self, listing: Listing) -> PictureTensors:
        """Images of train, val and test, from the cache or from the pictures; DataError for all faults at once."""
        chosen, _ = self._assigned(listing)
        how = Decoding(
            found_image_size(self._root, listing) if isinstance(self.image_size, str) else self.image_size,
            self.channels,
            self.crop,
            self.max_pixels,
            None if isinstance(self.pixel_max, str) else self.pixel_max,
        )
        pictures = [picture for split in SPLIT_NAMES for picture in chosen[split]]
        tensors = picture_tensors(self._root, pictures, how, Path(self.cache_dir).expanduser())
        faults = self._faults(listing) + (tensors.damaged if self.on_damaged == "refuse" else [])
        if faults:
            advice = "fix or remove"
            if tensors.damaged:
                advice += " (data.source.on_damaged=skip leaves out damaged pictures)"
            self._refuse(faults, advice)
        return tensors

    def _without_duplicates(self, splits: dict[str, Split], contents: dict[str, Tensor]) -> dict[str, int]:
        """Say, refuse or drop from train what occurs in two splits or two classes; how much of it was found."""
        found = found_duplicates(splits, contents)
        if found.lines and self.on_duplicate == "refuse":
            self._refuse(found.lines, "fix or remove, or set data.source.on_duplicate=drop or warn")
        for line in found.lines:
            logger.warning(line)
        if found.in_train and self.on_duplicate == "drop":
            logger.warning("%d pictures are dropped from train (data.source.on_duplicate=drop)", len(found.in_train))
            splits["train"] = without(splits["train"], found.in_train)
            return {**found.counts, "dropped from train": len(found.in_train)}
        return found.counts

    def _refuse(self, faults: Sequence[str], advice: str) -> None:
        more = [f"  … and {len(faults) - _FAULTS_NAMED:,} more"] if len(faults) > _FAULTS_NAMED else []
        raise DataError(
            f"{len(faults):,} fault{'s' * (len(faults) > 1)} under {printable(str(self.root))} (data.source.root); "
            f"{advice}:",
            *(f"  {fault}" for fault in faults[:_FAULTS_NAMED]),
            *more,
        )
