"""Speed side by side with a hand-written loop, a template and the bare kernels: ``benchmark.py --json FILE``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "dev"))
from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("benchmark.command")
