"""Classify pictures with what was trained: ``python scripts/predict.py outputs/demo/model=cnn,seed=0 PICTURES…``."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("vision_baselines.cli.predict")
