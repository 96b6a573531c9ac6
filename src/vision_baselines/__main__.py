"""``python -m vision_baselines VERB …``: the same commands as ``scripts/``, for an installed package."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main()
