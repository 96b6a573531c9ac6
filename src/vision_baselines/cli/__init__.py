"""The command lines: one module a verb, each with a `main` that reads the arguments, runs the verb and exits."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

VERBS = {
    "train": "vision_baselines.cli.train",
    "compare": "vision_baselines.cli.compare",
    "evaluate": "vision_baselines.cli.evaluate",
    "reproduce": "vision_baselines.cli.reproduce",
    "inspect": "vision_baselines.cli.inspect_model",
    "conv-arithmetic": "vision_baselines.cli.conv_arithmetic",
    "edge-demo": "vision_baselines.cli.edge_demo",
}


def main(module: str = "vision_baselines.cli.console") -> NoReturn:
    """Run the `main` of a module; Ctrl-C ends what it imports, which takes seconds, in a line too."""
    try:
        importlib.import_module(module).main()
    except KeyboardInterrupt:
        print("ended by SIGINT", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
