"""Whether a training split has a batch."""

from __future__ import annotations

from vision_baselines.errors import ConfigError


def require_whole_batch(batch_size: int, images: int, train_fraction: float = 1.0) -> None:
    """Refuse batches that are larger than the training split.

    Args:
        batch_size: Images of a batch.
        images: Of the training split.
        train_fraction: The part of it that they are.

    Raises:
        ConfigError: There are fewer images.
    """
    if batch_size > images:
        fraction = f", or data.train_fraction larger than {train_fraction}" if train_fraction < 1 else ""
        raise ConfigError(
            f"data.batch_size is {batch_size}; the training split has only {images} images: "
            f"set data.batch_size={2 ** (images.bit_length() - 1)}{fraction}"
        )
