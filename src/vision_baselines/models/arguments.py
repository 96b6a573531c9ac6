"""What a config may say to a net: each argument checked where it arrives, one clear line where it says something else.

The messages name the config key, so that they can be shown as they are. Which combinations of right values make no
net, such as an image too small for the number of blocks, is left to the nets.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def checked_image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """The (channels, height, width) of one image.

    Raises:
        ValueError: It is anything but three whole numbers of at least 1.
    """
    if not _is_list(image_shape) or len(image_shape) != 3 or not all(_is_whole(side) for side in image_shape):
        raise ValueError(
            f"data.image_shape is {_shown(image_shape)}; expected [channels, height, width], whole numbers of at "
            "least 1"
        )
    channels, height, width = image_shape
    return channels, height, width


def whole_number(key: str, value: int) -> int:
    """The value, if it is a whole number of at least 1.

    Args:
        key: What it is called in the config below ``model``.
        value: What the config says.

    Raises:
        ValueError: It is anything else.
    """
    if not _is_whole(value):
        raise ValueError(f"model.{key} is {value!r}; expected a whole number of at least 1")
    return value


def whole_numbers(key: str, values: Sequence[int], *, at_least: int = 1) -> list[int]:
    """The values, if they are a list of whole numbers of at least 1.

    Args:
        key: What it is called in the config below ``model``.
        values: What the config says.
        at_least: How many numbers there have to be.

    Raises:
        ValueError: It is anything else.
    """
    if not _is_list(values) or len(values) < at_least or not all(_is_whole(value) for value in values):
        wanted = "a list, such as [32, 64], of" if at_least else "a list, which may be empty, of"
        raise ValueError(f"model.{key} is {_shown(values)}; expected {wanted} whole numbers of at least 1")
    return list(values)


def one_of(key: str, value: str, words: Sequence[str]) -> str:
    """The value, if it is one of the words.

    Args:
        key: What it is called in the config below ``model``.
        value: What the config says.
        words: What it may say.

    Raises:
        ValueError: It is none of them; the message names the nearest.
    """
    if value not in words:
        near = difflib.get_close_matches(str(value), words, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"model.{key} is {value!r}; expected {', '.join(words[:-1])} or {words[-1]}{hint}")
    return value


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_list(values: object) -> bool:
    return isinstance(values, Sequence) and not isinstance(values, str)


def _shown(values: object) -> str:
    return repr(list(values) if isinstance(values, tuple) else values)
