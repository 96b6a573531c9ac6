"""Test a run or a checkpoint once more: ``python scripts/evaluate.py outputs/demo/model=cnn,seed=0 probe=shift``."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("vision_baselines.cli.evaluate")
