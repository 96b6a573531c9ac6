"""Speed, side by side with other ways to train the same nets."""

import vision_baselines as vision_baselines  # before Lightning, so that any build of torchvision can be imported
