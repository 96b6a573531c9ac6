"""Image-classification baselines that are trained, swept and compared honestly."""

from vision_baselines import torchvision_compat

torchvision_compat.install()

__version__ = "0.1.0"
