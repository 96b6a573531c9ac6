"""Write a sweep's receipt: ``python scripts/receipt.py outputs/demo [--out FILE] [--names]``."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("vision_baselines.cli.receipt")
