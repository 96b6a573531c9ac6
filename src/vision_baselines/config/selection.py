"""What groups are made of and may be chosen by; not in `checks`, so that a comparison need not import Hydra to ask."""

from __future__ import annotations

from collections.abc import Sequence

from vision_baselines.errors import ConfigError

SPLIT = "val/"


def group_keys(group_by: Sequence[str] | str | None) -> list[str]:
    """The keys that make a group, which may be written in one text.

    >>> group_keys("model, data"), group_keys(None)
    (['model', 'data'], [])
    """
    return [key.strip() for key in (group_by.split(",") if isinstance(group_by, str) else group_by or ())]


def check_selection(value: object, key: str) -> None:
    """Refuse to choose by anything but a metric of the validation split.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    if value is None or (isinstance(value, str) and value.startswith(SPLIT) and value != SPLIT):
        return
    why = "; what is chosen by its test metric has no honest test metric" if str(value).startswith("test/") else ""
    raise ConfigError(f"{key} is {value!r}; expected a metric of the validation split, {SPLIT}…, or null{why}")
