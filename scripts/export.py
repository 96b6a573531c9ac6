"""Write a run's net to one file: ``python scripts/export.py outputs/demo/model=cnn,seed=0 digits.onnx`` (or .pt2)."""

from vision_baselines.cli.start import main

if __name__ == "__main__":
    main("vision_baselines.cli.export")
