"""What groups may be chosen by; here and not in `checks`, so that a comparison need not import Hydra to ask."""

from __future__ import annotations

from vision_baselines.errors import ConfigError

SPLIT = "val/"


def check_selection(value: object, key: str) -> None:
    """Refuse to choose by anything but a metric of the validation split.

    Raises:
        ConfigError: The key, what it is and what was expected.
    """
    if value is None or (isinstance(value, str) and value.startswith(SPLIT) and value != SPLIT):
        return
    why = "; what is chosen by its test metric has no honest test metric" if str(value).startswith("test/") else ""
    raise ConfigError(f"{key} is {value!r}; expected a metric of the validation split, {SPLIT}…, or null{why}")
