"""Run recorded runs again: ``python scripts/reproduce.py outputs/demo/model=cnn,seed=0``, or ``--baselines``."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("vision_baselines.cli.reproduce")
