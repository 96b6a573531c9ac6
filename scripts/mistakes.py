"""Show what runs misclassify: ``python scripts/mistakes.py outputs/demo model=cnn model=fc [--png mistakes.png]``."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("vision_baselines.cli.mistakes")
