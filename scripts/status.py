"""How far the runs of a sweep are: ``python scripts/status.py outputs/demo [--json] [--watch]``."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("vision_baselines.cli.status")
