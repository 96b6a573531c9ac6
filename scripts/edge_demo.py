"""Show what edge kernels answer: ``python scripts/edge_demo.py [--json] [--out FILE.png]``."""

from vision_baselines.theory.edge_command import main

if __name__ == "__main__":
    main()
