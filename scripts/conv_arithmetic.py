"""Trace a chain of layers: ``python scripts/conv_arithmetic.py --input-size 32 3,1,1 2,2,0 3,1,1 2,2,0``."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("vision_baselines.cli.conv_arithmetic")
