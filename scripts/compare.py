"""Compare finished runs: ``python scripts/compare.py outputs/demo [more folders] [metric=val/acc] [baseline=model=fc]``."""

from vision_baselines.cli import compare_main

if __name__ == "__main__":
    compare_main()
