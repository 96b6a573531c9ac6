"""Nets whose branches look at different places: a field is never smaller than its gradient shows."""

import math
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from vision_baselines.analysis.field_rules import Field
from vision_baselines.analysis.field_tracking import FieldTracker
from vision_baselines.analysis.net_size import net_size

SIDE = 33
Stage = Callable[[Tensor], Tensor]


def _ones(kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Stage:
    """A convolution of positive weights, in which no gradient cancels."""
    return lambda x: F.conv2d(
        x, torch.ones(1, x.shape[1], kernel, kernel, dtype=x.dtype), None, stride, padding, dilation
    )


def _into(written: Tensor, x: Tensor) -> Tensor:
    view = written[:, :, 1:]
    view += x[:, :, :-1]
    return written


def _gate(x: Tensor) -> Tensor:
    return x * F.avg_pool2d(x, x.shape[-1]).sigmoid() if x.shape[-2] == x.shape[-1] else x


# Each one joins, moves or thins out; a side of 33 pixels leaves room for five of them.
STAGES: dict[str, Stage] = {
    "convolution": _ones(3, padding=1),
    "even kernel": _ones(2),
    "dilated": _ones(3, dilation=2),
    "strided": _ones(3, stride=2, padding=1),
    "same padding": lambda x: F.conv2d(x, torch.ones(1, x.shape[1], 5, 5, dtype=x.dtype), padding="same"),
    "difference": lambda x: x[:, :, 1:] + x[:, :, :-1],
    "diagonal": lambda x: x[..., 2:, 2:] + x[..., :-2, :-2],
    "factorized": lambda x: torch.cat([_ones(1, 2)(x[:, :, :-1, :-1]), _ones(1, 2)(x[:, :, 1:, 1:])], dim=1),
    "thinned": lambda x: x[:, :, ::2, 1::2],
    "thinned both ways": lambda x: x[:, :, :-1:2, :-1:2] + x[:, :, 1::2, 1::2],
    "uneven padding": lambda x: x + F.pad(_ones(2)(x), (1, 0, 1, 0)),
    "padding on the other side": lambda x: x + F.pad(_ones(2)(x), (0, 1, 0, 1)),
    "cropping by padding": lambda x: x[:, :, 3:] + F.pad(x, (0, 0, 0, -3)),
    "reflected": lambda x: _ones(3)(F.pad(x, (1, 1, 1, 1), mode="reflect")),
    "circular": lambda x: _ones(3)(F.pad(x, (1, 1, 1, 1), mode="circular")),
    "pool beside strided convolution": lambda x: torch.cat([F.max_pool2d(x, 2), _ones(2, 2)(x)], dim=1),
    "overlapping pool": lambda x: x + F.avg_pool2d(x, 3, 1, 1),
    "two strides": lambda x: _ones(1, 2)(x[:, :, :9, :9]) + x[:, :, :5, :5],
    "two rates": lambda x: x[:, :, : x.shape[2] // 2] + x[:, :, : 2 * (x.shape[2] // 2) : 2],
    "row broadcast": lambda x: x + x[:, :, :1],
    "halves of the image": lambda x: sum(x[:, :, : 2 * (x.shape[2] // 2)].chunk(2, dim=2)),  # type: ignore[return-value]
    "halves side by side": lambda x: torch.cat([x, x], dim=3),
    "rolled": lambda x: x + x.roll(1, 2),
    "flipped": lambda x: x + x.flip(3),
    "turned": lambda x: x[:, :, :4, :4] + x[:, :, :4, :4].mT,
    "unfolded": lambda x: x.unfold(2, 3, 1).sum(-1),
    "columns": lambda x: F.unfold(x, 3).sum(1).view(1, 1, x.shape[2] - 2, x.shape[3] - 2),
    "tokens": lambda x: (x.flatten(2)[..., 1:] + x.flatten(2)[..., :-1])[..., : (x.shape[2] - 1) * x.shape[3]].view(
        1, -1, x.shape[2] - 1, x.shape[3]
    ),
    "enlarged": lambda x: F.interpolate(x, scale_factor=2)[:, :, : x.shape[2], : x.shape[3]] + x,
    "written in place": lambda x: _into(x.clone(), x),
    "written into zeros": lambda x: _into(torch.zeros_like(x), x) + x,
    "gate": _gate,
    "channels last": lambda x: (x.permute(0, 2, 3, 1)[:, 1:] + x.permute(0, 2, 3, 1)[:, :-1]).permute(0, 3, 1, 2),
}


def _net(stages: list[str]) -> Stage:
    def forward(image: Tensor) -> Tensor:
        for stage in stages:
            image = STAGES[stage](image)
        return image

    return forward


def _said(forward: Stage) -> Field | None:
    image = torch.ones(1, 1, SIDE, SIDE, dtype=torch.float64)
    with torch.no_grad(), FieldTracker(image) as tracker:
        output = forward(image)
    return tracker.field_of(output)


def _check(forward: Stage, field: Field | None) -> None:
    """Every unit of a grid of nine: the pixels with a gradient lie where the field says."""
    image = torch.ones(1, 1, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    output = forward(image)
    if field is None or not output.numel():
        return
    assert output.ndim == 4
    for place in [(0.3, 0.5), (0.5, 0.5), (0.6, 0.3)]:
        unit = [int(share * length) for share, length in zip(place, output.shape[2:], strict=True)]
        (gradient,) = torch.autograd.grad(output[0, :, unit[0], unit[1]].sum(), image, retain_graph=True)
        for axis, (span, index) in enumerate(zip(field.spans, unit, strict=True)):
            reached = gradient[0, 0].sum(1 - axis).nonzero().flatten()
            if span.low is None or span.high is None or not len(reached):
                continue
            first, last = int(reached.min()), int(reached.max())
            assert span.low + index * span.jump <= first, (axis, unit)
            assert last <= span.high + index * span.jump, (axis, unit)
            assert last - first < (span.size or math.inf)


@pytest.mark.few(8)
@pytest.mark.parametrize("stage", STAGES)
def test_each_odd_stage_after_a_strided_convolution_claims_no_less_than_its_gradient(stage):
    for before in (["convolution"], ["strided"], ["even kernel", "uneven padding"]):
        forward = _net([*before, stage, "convolution"])
        _check(forward, _said(forward))


@pytest.mark.parametrize(
    ("stages", "size"),
    [
        (["difference"], 2),
        (["factorized"], 2),
        (["convolution", "factorized"], 4),
        (["diagonal", "diagonal"], 5),
        (["uneven padding", "padding on the other side"], 3),
        (["strided", "thinned both ways"], 5),
        (["pool beside strided convolution"], 2),
        (["circular"], None),
        (["halves of the image"], None),
        (["tokens"], None),
        (["rolled"], None),
    ],
)
def test_where_centres_are_known_the_field_is_exact_and_elsewhere_nothing_is_said(stages, size):
    field = _said(_net(stages))

    assert (field and max(span.size or 0 for span in field.spans)) == size


@pytest.mark.slow
def test_300_generated_odd_nets_claim_no_less_than_their_gradient():
    rng = random.Random(0)
    said = 0
    known = [stage for stage in STAGES if _said(_net([stage]))]
    for _ in range(300):
        stages = rng.choices(known, k=rng.randint(2, 5))
        if rng.random() < 0.3:
            stages.insert(rng.randint(0, len(stages)), rng.choice(list(STAGES)))
        forward = _net(stages)
        try:
            field = _said(forward)
        except (RuntimeError, ValueError):  # Too small for what comes.
            continue
        _check(forward, field)
        said += field is not None and not field.is_whole
    assert said >= 60


class _Squeezed(nn.Module):
    """Two convolutions and a squeeze-and-excitation gate as people write it: a pooling as large as the map."""

    def __init__(self, *, is_gated: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.fc1, self.fc2, self.head = nn.Conv2d(2, 1, 1), nn.Conv2d(1, 2, 1), nn.Linear(2, 3)
        self.is_gated = is_gated

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x).relu())
        gate = self.fc2(self.fc1(F.avg_pool2d(x, x.shape[-1])).relu()).sigmoid()
        return self.head((x * gate if self.is_gated else x).mean((2, 3)) + 0 * gate.sum())


def test_after_a_gate_every_unit_sees_the_whole_image_and_the_gate_is_no_feature_map():
    size = net_size(_Squeezed(is_gated=True), (1, 32, 32))

    assert size.receptive_field_px == 32
    assert net_size(_Squeezed(is_gated=False), (1, 32, 32)).receptive_field_px == 7


class _TwoBranches(nn.Module):
    """The branch that is called last sees less than the one before it, as in an Inception block."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow, self.head = nn.Conv2d(1, 2, 7, padding=3), nn.Conv2d(1, 2, 1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([self.wide(x), self.narrow(x)], dim=1).mean((2, 3)))


def test_the_last_feature_map_is_the_widest_that_reaches_the_head_not_the_convolution_called_last():
    assert net_size(_TwoBranches(), (1, 16, 16)).receptive_field_px == 7


@pytest.mark.slow
def test_inception_sees_what_is_published_and_a_regnet_the_whole_image():
    from torchvision.models import inception_v3, regnet_y_400mf

    inception = net_size(inception_v3(weights=None, init_weights=False), (3, 299, 299))
    assert inception.receptive_field_px == 1311  # Araujo, Norris & Sim 2019, table 1
    assert inception.last_map is not None
    assert inception.last_map.name == "Mixed_7c"
    assert net_size(regnet_y_400mf(weights=None), (3, 64, 64)).receptive_field_px == 64
