"""Speed side by side with a hand-written loop, a template and the bare kernels: ``python scripts/benchmark.py --json F``."""

from vision_baselines.benchmark.command import main

if __name__ == "__main__":
    main()
