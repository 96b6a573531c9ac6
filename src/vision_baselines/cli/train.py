"""``train [-m] [group=option ...] [key=value ...]``: one run, or a sweep."""

from __future__ import annotations

from typing import NoReturn

from vision_baselines.cli import entry


def main() -> NoReturn:
    """Train under Hydra; exits."""
    entry.main("train")
