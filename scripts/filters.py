"""Print a run's filters: ``python scripts/filters.py outputs/demo/model=cnn,seed=0 [--layer features.1.0]``."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("vision_baselines.cli.filters")
