"""Train one run, or with -m a sweep of them: ``python scripts/train.py -m name=demo model=cnn,fc seed=0,1,2``."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("vision_baselines.cli.train")
