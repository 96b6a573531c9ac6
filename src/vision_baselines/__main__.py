"""``python -m vision_baselines VERB …``: the same doors as ``scripts/``, for an installed package."""

from vision_baselines.cli import console

if __name__ == "__main__":
    console()
