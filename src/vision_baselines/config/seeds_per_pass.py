"""What ``seeds_per_pass`` may say, and which launcher heeds it."""

from __future__ import annotations

from typing import Any

from vision_baselines.errors import ConfigError

AUTO = "auto"  # as many as are worth it


def check_seeds_per_pass(value: Any) -> None:
    """Look at how many seeds are trained in one pass.

    Raises:
        ConfigError: It is neither a whole number from 1 nor ``auto``.
    """
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not is_number and value != AUTO:
        raise ConfigError(f"seeds_per_pass is {value!r}; expected a whole number of at least 1, or auto")


def can_share_steps(size: Any, launcher: str | None) -> bool:
    """Whether a launcher, named by its class, trains several seeds in one pass.

    Raises:
        ConfigError: It does not, and `size` says how many it should.
    """
    is_able = str(launcher).endswith(".LocalLauncher")
    if not is_able and size not in (1, AUTO):
        raise ConfigError(f"seeds_per_pass is {size}; expected 1 or auto, or the launcher of this machine, local")
    return is_able
