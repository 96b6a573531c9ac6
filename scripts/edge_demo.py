"""Show what edge kernels answer: ``python scripts/edge_demo.py [--json] [--out FILE.png]``."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("vision_baselines.cli.edge_demo")
