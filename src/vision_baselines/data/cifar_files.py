"""The raw files of CIFAR-10 and CIFAR-100: pickled batches, as torchvision lays them out.

Torchvision checks the MD5 of every batch before it unpickles one, which is also what keeps a pickle that runs code
from being opened; so its classes read the files, and here only their errors are made clear. Where the files come
from is left to `torchvision_source`.

Source of the format: Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from vision_baselines.data.integrity import MOST_PUBLISHED_BYTES, md5_of, torchvision_class
from vision_baselines.data.splits import OfficialSplits, Split
from vision_baselines.errors import DataError


@final
@dataclass(frozen=True)
class CifarFiles:
    """Pickled batches of 32×32 pictures, three channels.

    Args:
        dataset: Name of torchvision's class.
    """

    dataset: str

    def paths(self, root: Path) -> list[Path]:
        """The batches of train and test, and the file that names the classes."""
        return list(self._published_md5(root))

    def archives(self, root: Path) -> list[Path]:
        """The compressed file that is downloaded."""
        return [root / torchvision_class(self.dataset).filename]

    def check(self, root: Path) -> None:
        """Hold every file against the MD5 that torchvision publishes.

        Raises:
            DataError: A file is not the published one.
        """
        for path, expected in self._published_md5(root).items():
            try:
                size, received = path.stat().st_size, md5_of(path)
            except OSError as error:
                raise DataError(f"cannot read {path}: {error.strerror or error}") from error
            if received != expected:
                raise DataError(
                    f"checksum mismatch: {path} ({size:,} bytes) has MD5 {received}; expected {expected}.",
                    f"Delete it and start again to download it, or put the right {path.name} there.",
                )

    def read(self, root: Path) -> OfficialSplits:
        """Images (N, 3, 32, 32) and labels of train and test; class names as the data set's own file states them.

        Raises:
            DataError: As `check`.
        """
        train, test = (self._opened(root, train=train) for train in (True, False))
        return OfficialSplits(train=_split(train), test=_split(test), class_names=tuple(train.classes))

    def published_checksums_hold(self, root: Path) -> bool:
        """True: nothing is read whose published MD5 does not hold."""
        return True

    def _opened(self, root: Path, *, train: bool) -> Any:
        if any(path.stat().st_size > MOST_PUBLISHED_BYTES for path in self.paths(root)):
            self.check(root)  # torchvision would read it to its end
        try:
            with warnings.catch_warnings():
                # NumPy 2.4.0 to 2.4.4 warn of how pickles of 2009 rebuild a dtype (numpy/numpy#31177)
                warnings.simplefilter("ignore")
                return torchvision_class(self.dataset)(root, train=train)
        except (RuntimeError, OSError) as error:
            self.check(root)
            raise DataError(f"cannot read {self.dataset} under {root}: {error}") from error

    def _published_md5(self, root: Path) -> dict[Path, str]:
        dataset = torchvision_class(self.dataset)
        named = [*dataset.train_list, *dataset.test_list, (dataset.meta["filename"], dataset.meta["md5"])]
        return {root / dataset.base_folder / name: md5 for name, md5 in named}


def _split(dataset: Any) -> Split:
    images = torch.from_numpy(np.ascontiguousarray(dataset.data.transpose(0, 3, 1, 2)))
    return Split(images, torch.tensor(dataset.targets, dtype=torch.int64))
