"""Where every command starts: nothing is imported here that takes time, so that Ctrl-C is answered from the start."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn


def main(module: str = "vision_baselines.cli.console") -> NoReturn:
    """Run the `main` of a module; Ctrl-C ends what it imports, which takes seconds, in a line too."""
    try:
        importlib.import_module(module).main()
    except KeyboardInterrupt:
        print("ended by SIGINT", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
