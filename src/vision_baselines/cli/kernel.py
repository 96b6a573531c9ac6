"""A convolution kernel as it is typed: a name such as ``sobel_x``, or its numbers as JSON, ``[[-1,0,1]]``."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vision_baselines.analysis.convolution import EDGE_KERNELS
from vision_baselines.cli.messages import nearest
from vision_baselines.errors import ConfigError

LONGEST_SIDE: Final = 15
LARGEST: Final = 1_000_000
FORM: Final = f"a name ({', '.join(EDGE_KERNELS)}) or rows of numbers such as [[-1,0,1],[-1,0,1],[-1,0,1]]"


def parsed_kernel(text: str) -> NDArray[np.float64]:
    """The kernel ``(kH, kW)`` that was typed, by name or in numbers; its sides may be odd, even and unequal.

    Raises:
        ConfigError: It is neither, ragged, too large, or holds what is not an ordinary number.

    >>> parsed_kernel("[[1, -1]]")
    array([[ 1., -1.]])
    """
    if text.strip() in EDGE_KERNELS:
        return EDGE_KERNELS[text.strip()]
    shown = repr(text if len(text) <= 60 else f"{text[:60]}…")
    if not text.lstrip().startswith("["):
        raise ConfigError(f"--kernel is {shown}{nearest(text, EDGE_KERNELS)}; expected {FORM}")
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--kernel is {shown}, which cannot be read; expected {FORM}") from error
    if rows and all(_is_number(entry) for entry in rows):
        raise ConfigError(f"--kernel is {shown}, one row; expected a list of rows: [{text.strip()}]")
    if not rows or not all(isinstance(row, list) and row for row in rows):
        raise ConfigError(f"--kernel is {shown}; expected {FORM}")
    if len({len(row) for row in rows}) > 1:
        raise ConfigError(f"--kernel has rows of {_listed(rows)} numbers; expected rows of one length")
    if max(len(rows), len(rows[0])) > LONGEST_SIDE:
        raise ConfigError(f"--kernel is {len(rows)}×{len(rows[0])}; expected at most {LONGEST_SIDE}×{LONGEST_SIDE}")
    for number in (entry for row in rows for entry in row):
        if not _is_number(number) or not abs(number) <= LARGEST:
            raise ConfigError(
                f"--kernel holds {str(json.dumps(number))[:40]}; expected numbers from -{LARGEST:,} to {LARGEST:,}"
            )
    return np.array(rows, dtype=np.float64)


def _is_number(entry: Any) -> bool:
    return isinstance(entry, int | float) and not isinstance(entry, bool) and not math.isnan(entry)


def _listed(rows: list[list[Any]]) -> str:
    lengths = [str(len(row)) for row in rows[:6]]
    return ", ".join(lengths) + (" …" if len(rows) > 6 else "")
