"""First-layer weights as filters, and how much each of them looks like an edge; `plots.filters` draws them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

_ORIENTATIONS: Final = 12  # 15 degrees apart: a straight edge is at most 7.5 degrees from one of them.
_RANDOM: Final = 2000
_MOST_WEIGHTS: Final = 2**24  # 64 MiB of random filters; an image-sized one may have 150,000 weights


def first_layer_filters(net: nn.Module, image_shape: Sequence[int]) -> Tensor:
    """Weights of the first `nn.Conv2d` or `nn.Linear`, in order of registration, as images.

    Args:
        net: Any module.
        image_shape: ``(C, H, W)`` of what the net is fed; a dense layer's rows take this shape.

    Returns:
        A copy of the weights: ``(N, C, kH, kW)`` of a convolution (``C`` a group's channels),
        ``(N, C, H, W)`` of a dense layer.

    Raises:
        ValueError: There is no such layer, it is lazy and has no shape yet, or it is dense and its
            inputs are not the image's pixels.
    """
    for name, module in net.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        if is_lazy(module.weight):
            raise ValueError(f"layer {name!r}: expected a shaped weight, got a lazy one: run the net on a batch first")
        weight = module.weight.detach().clone()
        if isinstance(module, nn.Conv2d):
            return weight
        if module.in_features != math.prod(image_shape):
            raise ValueError(
                f"layer {name!r}: expected {math.prod(image_shape)} inputs to draw as images of shape "
                f"{tuple(image_shape)}, got {module.in_features}"
            )
        return weight.reshape(module.out_features, *image_shape)
    raise ValueError(f"expected a net with an nn.Conv2d or nn.Linear layer, got {type(net).__name__} without one")


def edge_bank(kernel_size: tuple[int, int]) -> Tensor:
    """Edges and bars in 12 directions and one blob, centred, as derivatives of a Gaussian.

    The Gaussian's width is a quarter of the shorter side, at which the 3x3 edges are close to Sobel's.

    Args:
        kernel_size: ``(kH, kW)``, each >= 2.

    Returns:
        ``(K, kH, kW)``, each of zero mean and unit norm; K is 25 from 3x3 on, fewer where a small grid
        cannot hold a shape.

    Raises:
        ValueError: A side is less than 2: one pixel has no edge.

    Source: Koenderink & van Doorn 1987, doi:10.1007/BF00318371 (receptive fields as derivatives).

    >>> edge_bank((3, 3)).shape
    torch.Size([25, 3, 3])
    """
    return _named_bank(kernel_size)[1]


def _named_bank(kernel_size: tuple[int, int]) -> tuple[list[str], Tensor]:
    """`edge_bank` and what its kernels are called, by the direction of the line as it is seen."""
    height, width = kernel_size
    if min(height, width) < 2:
        raise ValueError(f"kernel_size: expected two sides >= 2 to hold an edge, got {tuple(kernel_size)}")
    sigma = min(height, width) / 4
    y = (torch.arange(height, dtype=torch.float64) - (height - 1) / 2)[:, None] / sigma
    x = (torch.arange(width, dtype=torch.float64) - (width - 1) / 2)[None, :] / sigma
    gaussian = torch.exp(-(x**2 + y**2) / 2)
    angles = torch.arange(_ORIENTATIONS, dtype=torch.float64)[:, None, None] * (math.pi / _ORIENTATIONS)
    across = x * torch.cos(angles) + y * torch.sin(angles)
    edges = across * gaussian
    bars = (1 - across**2) * gaussian
    blob = (2 - x**2 - y**2) * gaussian
    kernels = torch.cat([edges, bars, blob[None]])
    kernels = kernels - kernels.mean(dim=(1, 2), keepdim=True)
    norms = kernels.flatten(1).norm(dim=1)
    # On 2x2 a blob and an upright bar are constant: nothing is left of them but rounding.
    is_held = norms > 1e-6
    bank: Tensor = (kernels[is_held] / norms[is_held, None, None]).float()
    step = 180 // _ORIENTATIONS
    # The angle above is that of the normal, clockwise on the screen; a line is named by its own, counterclockwise.
    degrees = [(90 - step * index) % 180 for index in range(_ORIENTATIONS)]
    straight = {0: "horizontal {}", 90: "vertical {}"}
    names = [straight.get(angle, f"{{}} {angle}°").format(kind) for kind in ("edge", "bar") for angle in degrees]
    return [name for name, held in zip([*names, "blob"], is_held.tolist(), strict=True) if held], bank


def edge_similarity(filters: Tensor) -> Tensor:
    """Best absolute cosine between each filter and an edge, bar or blob of `edge_bank`, in any one colour.

    The mean of each channel is taken away first; a channel-wise pattern in colour ``c`` is the product
    of ``c`` and a bank kernel, and the best ``c`` is found in closed form: the norm over channels of
    their projections. For one channel it is the plain absolute cosine. Only a pattern at the centre
    counts. Small filters have few dimensions, so chance is high (the median of Gaussian noise, measured
    over 2,000 filters, is 0.61 for 1x3x3, 0.52 for 3x3x3 and 0.06 for 1x28x28): compare with random
    filters of the same shape, not with zero.

    Args:
        filters: ``(N, C, kH, kW)``, finite, ``kH, kW >= 2``.

    Returns:
        float32 ``(N,)`` on the CPU, 0 (also for a constant filter) to 1.

    Raises:
        ValueError: The filters are not ``(N, C, kH, kW)``, empty, not finite, or smaller than 2x2.

    >>> edge_similarity(torch.tensor([[[[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]]])).item() > 0.99
    True
    """
    return _cosines(filters)[1].abs().amax(dim=1)


def random_filters(like: Tensor) -> Tensor:
    """Filters of independent Gaussian weights, the same ones each time, in the shape of `like`, (n, C, kH, kW)."""
    count = max(16, min(_RANDOM, _MOST_WEIGHTS // like[0].numel()))
    return torch.randn(count, *like.shape[1:], generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Resemblance:
    """The kernel of `edge_bank` that a filter resembles most.

    `kernel` is (kH, kW) of unit norm. `cosine` is that of `edge_similarity`, negative where the filter is the kernel's
    negative, by the sum over its channels. An edge's kernel is positive below, or on the right of a vertical one.
    """

    name: str
    kernel: Tensor
    cosine: float


def resemblances(filters: Tensor) -> list[Resemblance]:
    """What each filter resembles; arguments and errors as of `edge_similarity`.

    >>> [found] = resemblances(torch.tensor([[[[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]]]))
    >>> found.name, round(found.cosine, 2)
    ('vertical edge', -1.0)
    """
    names, cosines = _cosines(filters)
    bank = edge_bank((filters.shape[2], filters.shape[3]))
    best = cosines.abs().argmax(dim=1).tolist()
    return [Resemblance(names[index], bank[index], float(row[index])) for row, index in zip(cosines, best, strict=True)]


def _cosines(filters: Tensor) -> tuple[list[str], Tensor]:
    """Names of the bank's kernels, and signed cosines (N, K) with them."""
    _require_filters(filters)
    names, bank = _named_bank((filters.shape[2], filters.shape[3]))
    patterns = filters.detach().to("cpu", torch.float32).flatten(2)
    magnitudes = patterns.flatten(1).norm(dim=1)
    patterns = patterns - patterns.mean(dim=2, keepdim=True)
    norms = patterns.flatten(1).norm(dim=1)
    projections = patterns @ bank.flatten(1).T
    sizes = projections.norm(dim=1) / norms[:, None]
    # What rounding leaves of a constant filter is not a pattern.
    sizes = torch.where((norms > 1e-6 * magnitudes)[:, None], sizes, torch.zeros(())).clamp(max=1)
    return names, torch.where(projections.sum(dim=1) < 0, -sizes, sizes)


def _require_filters(filters: Tensor) -> None:
    if filters.ndim != 4 or filters.numel() == 0:
        raise ValueError(f"filters: expected (N, C, kH, kW), none of them 0, got {tuple(filters.shape)}")
    if not bool(torch.isfinite(filters).all()):
        raise ValueError("filters: expected finite weights, got NaN or infinity: the net has diverged")
