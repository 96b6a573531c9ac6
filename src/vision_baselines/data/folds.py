"""Cross-validation: which fold each image belongs to, by its class and the split seed alone, never by the run's seed.

Stone 1974, doi:10.1111/j.2517-6161.1974.tb00994.x; in strata: Kohavi 1995, IJCAI 14, 1137.
How a fold becomes a split is left to `split_changes`; torch is not imported, so that a sweep is checked without it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_baselines.errors import ConfigError

FOLDS_OVER = ("all",)


def check_folds(folds: Any, fold: Any, folds_over: Any, *, split_seed: Any, val_size: Any, on_duplicate: Any) -> None:
    """Refuse what is no cross-validation, before any data is read.

    Args:
        folds: Number of parts; None for none, and then nothing else may be set.
        fold: The part that is held out.
        folds_over: None for train and val, ``all`` for the test images too.
        split_seed: Decides the parts; without folds, what the source cuts.
        val_size: 0 where nothing is validated.
        on_duplicate: What the source does with pictures that are in two splits; None where it has no such option.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    if split_seed is not None and not (_is_whole(split_seed) and 0 <= split_seed < 2**32):
        raise ConfigError(f"data.split_seed is {split_seed!r}; expected a whole number from 0 to {2**32 - 1}, or null")
    if folds is None:
        for key, value in {"fold": fold, "folds_over": folds_over}.items():
            if value is not None:
                raise ConfigError(f"data.{key} is {value!r}, and data.folds is null; expected both, as in data.folds=5")
        return
    if not _is_whole(folds) or folds < 2:
        raise ConfigError(f"data.folds is {folds!r}; expected a whole number of at least 2, or null")
    if not _is_whole(fold) or not 0 <= fold < folds:
        every = ",".join(map(str, range(folds))) if folds <= 10 else f"0,1,…,{folds - 1}"
        raise ConfigError(f"data.fold is {fold!r}; expected 0 to {folds - 1}, or all of them: -m data.fold={every}")
    if folds_over is not None and folds_over not in FOLDS_OVER:
        raise ConfigError(f"data.folds_over is {folds_over!r}; expected all, or null for train and val")
    if val_size is not None and folds_over is None:
        raise ConfigError(
            f"data.val_size is {val_size!r} beside data.folds, whose fold is the validation split; expected null, or "
            "data.folds_over=all"
        )
    if on_duplicate not in (None, "warn"):
        raise ConfigError(
            f"data.source.on_duplicate is {on_duplicate!r}, which looks at the source's own splits and not at folds; "
            "expected warn beside data.folds: copies between a fold and the rest are counted and said"
        )


def fold_numbers(target: NDArray[Any], folds: int, *, seed: int) -> NDArray[np.int64]:
    """The fold of each image, from 0; sizes differ by one image at most, and so does each class's share of them.

    Images are shuffled within their class and dealt out in turn, the next class where the last one stopped.

    Args:
        target: (N,) whole numbers, labels; where targets are numbers, floats of (N,) or (N, K), all are one class.
        folds: At least 2.
        seed: The split seed.

    Raises:
        ConfigError: There are more folds than images of the smallest class.

    >>> fold_numbers(np.array([0, 0, 0, 0, 1, 1]), 2, seed=0).tolist()
    [1, 0, 0, 1, 0, 1]
    """
    draws = np.random.RandomState(seed)  # whose stream is frozen for good (NEP 19)
    labels = target if target.dtype.kind in "iu" else np.zeros(len(target), np.int64)
    classes, sizes = np.unique(labels, return_counts=True)
    if sizes.min() < folds:
        least = int(sizes.min())
        count = f"only {least} image{'' if least == 1 else 's'}"
        smallest = f"class {classes[sizes.argmin()]} has {count}" if len(classes) > 1 else f"there are {count}"
        most = f"data.folds can be at most {least}" if least > 1 else "which no folds can share; leave data.folds out"
        raise ConfigError(f"data.folds is {folds}, and {smallest}{';' if least > 1 else ','} {most}")
    dealt = np.concatenate([draws.permutation(np.flatnonzero(labels == label)) for label in classes])
    numbers = np.empty(len(labels), np.int64)
    numbers[dealt] = np.arange(len(labels)) % folds
    return numbers


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
