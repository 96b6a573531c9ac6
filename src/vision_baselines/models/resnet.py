"""torchvision's ResNet-18 with a stem for small images: the reference ceiling of the other nets.

The stem for ImageNet, a 7×7 convolution of stride 2 and a pooling of stride 2, would leave 8×8 of 32×32 pixels before
the first block. Source of the small one: He et al. 2016, arXiv:1512.03385, section 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.models import resnet18

from vision_baselines.models.arguments import checked_image_shape


class ResNet18(nn.Module):
    """torchvision's ``resnet18``, untrained, with a 3×3 convolution of stride 1 for a stem and no pooling after it.

    With images of 3×32×32 it has 11,173,962 parameters for 10 classes. Tensors have torchvision's names behind
    ``resnet.``; all but ``conv1.weight`` and ``fc`` have its shapes too.

    Args:
        image_shape: (channels, height, width) of one image, in pixels.
        num_classes: Number of logits.

    Raises:
        ValueError: `image_shape` is not three whole numbers of at least 1.
    """

    def __init__(self, image_shape: Sequence[int], num_classes: int) -> None:
        super().__init__()
        in_channels, _, _ = checked_image_shape(image_shape)
        self.resnet: nn.Module = resnet18(num_classes=num_classes)
        stem = nn.Conv2d(in_channels, 64, kernel_size=3, padding=1, bias=False)
        # as torchvision draws every other convolution of it
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
        self.resnet.conv1 = stem
        self.resnet.maxpool = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, num_classes) for images (N, C, H, W)."""
        logits: Tensor = self.resnet(images)
        return logits
