"""How much memory a machine has, and how much the data of a run take."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from vision_baselines.errors import ConfigError


def require_room(needed_bytes: int, what: str, smaller: str) -> None:
    """Refuse images that this machine cannot hold.

    Args:
        needed_bytes: What they take.
        what: What takes it.
        smaller: Keys that would make it less.

    Raises:
        ConfigError: There is not so much memory.
    """
    if needed_bytes > physical_bytes():
        sizes = [f"{size / 2**30:,.0f} GiB" for size in (needed_bytes, physical_bytes())]
        raise ConfigError(f"{what} would take {sizes[0]} of memory, and there are {sizes[1]}: make {smaller} smaller")


def physical_bytes() -> int:
    """Memory of this machine, or of this process where it may have less; very much where nobody says."""
    least = sys.maxsize
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        least = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(path).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            least = min(least, int(text))
    return least
