"""What could be removed below a folder of runs: ``python scripts/clean.py outputs [--resume-states] [--failed] …``."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("vision_baselines.cli.clean")
