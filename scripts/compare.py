"""Compare finished runs: ``python scripts/compare.py outputs/demo [FOLDER…] [metric=val/acc] [baseline=model=fc]``."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("vision_baselines.cli.compare")
