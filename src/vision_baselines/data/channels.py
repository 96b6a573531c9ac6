"""What is stated of the channels of images, before any is read: it needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

from vision_baselines.errors import ConfigError


def check_channels(mean: Sequence[float], std: Sequence[float], image_shape: Sequence[int]) -> None:
    """Refuse a mean or a standard deviation that is not one number for each channel of (channels, height, width).

    Raises:
        ConfigError: How many there are, and how many are expected; or a deviation is not above 0.
    """
    if not len(mean) == len(std) == image_shape[0]:
        raise ConfigError(
            f"data.mean and data.std have {len(mean)} and {len(std)} values; "
            f"expected {image_shape[0]}, one for each channel of data.image_shape, "
            f"such as data.mean=[{','.join(['0.5'] * image_shape[0])}]"
        )
    if min(std) <= 0:
        raise ConfigError(f"data.std is {list(std)}; expected numbers above 0")
