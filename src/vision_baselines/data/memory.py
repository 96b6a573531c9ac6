"""How much memory a machine has, and how much the data of a run take."""

from __future__ import annotations

import os
import sys
from pathlib import Path


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
