"""Compare whatever lies in a sweep's folder, as the sweep would have: ``python scripts/collect.py outputs/demo``."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("vision_baselines.cli.collect")
