"""Speed side by side with a hand-written loop, a template and the bare kernels: ``benchmark.py --json FILE``."""

from vision_baselines.benchmark.command import main

if __name__ == "__main__":
    main()
