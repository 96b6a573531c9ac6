"""Look into an untrained net: ``python scripts/inspect_model.py model=cnn data=mnist [--json] [--out DIR]``."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("vision_baselines.cli.inspect_model")
