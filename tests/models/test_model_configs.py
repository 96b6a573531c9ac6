"""What holds for every conf/model/*.yaml: built for any image or refused, drawn by its seed, trained."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from vision_baselines.analysis.net_size import net_size
from vision_baselines.errors import ConfigError

MODELS = sorted(path.stem for path in (Path(__file__).parents[2] / "conf" / "model").glob("*.yaml"))
LARGE = {"lenet5": 12, "simple_cnn": 21}  # what takes no 8×8 image, and the smallest side that it takes
# in the default suite some of them
SAMPLED = [
    pytest.param(name, marks=[] if name in ("cnn", "fc", "gated_mlp", "residual_mlp") else [pytest.mark.slow])
    for name in MODELS
]
SMALL = [param for param in SAMPLED if param.values[0] not in LARGE]


def test_the_named_models_of_the_tutorial_are_there():
    assert {"cnn", "cnn_rgb", "cnn_stride", "cnn_gap", "fc", "fc_rgb", "linear", "fc_matched"} <= set(MODELS)
    assert {"gated_mlp", "residual_mlp", "resnet18"} <= set(MODELS)


@pytest.mark.few(2)
@pytest.mark.parametrize("model", SAMPLED)
@pytest.mark.parametrize(
    "image_shape",
    [
        (1, 8, 8),
        *(pytest.param(shape, marks=[pytest.mark.slow]) for shape in ((1, 28, 28), (3, 32, 32))),
    ],
)
def test_every_model_maps_these_images_to_logits_and_its_layers_sum_to_its_size(net_of, model, image_shape):
    if image_shape[1] < LARGE.get(model, 0):
        image_shape = (image_shape[0], LARGE[model], LARGE[model])
    net = net_of(model, image_shape)
    size = net_size(net, image_shape)
    assert size.layers[-1].output_shape == (7,)
    assert sum(layer.num_params for layer in size.layers) == size.num_params == sum(p.numel() for p in net.parameters())
    assert size.flops > 0
    assert all(layer.whole_image or layer.receptive_field for layer in size.layers)  # nothing the trace has no rule for
    with torch.no_grad():
        assert net.eval()(torch.zeros(2, *image_shape)).shape == (2, 7)


@pytest.mark.parametrize(
    "model",
    [
        *("fc", "gated_mlp", "residual_mlp"),
        *(pytest.param(name, marks=[pytest.mark.slow]) for name in ("fc_rgb", "linear", "resnet18")),
    ],
)
def test_a_point_in_the_plane_is_an_image_too(net_of, model):
    assert net_of(model, (2, 1, 1)).eval()(torch.zeros(2, 2, 1, 1)).shape == (2, 7)


@pytest.mark.parametrize(
    "model",
    [
        "cnn",
        *(pytest.param(name, marks=[pytest.mark.slow]) for name in ("cnn_rgb", "cnn_stride", "cnn_gap", "fc_matched")),
    ],
)
def test_a_point_in_the_plane_is_refused_in_one_line_where_something_halves_it(net_of, model):
    with pytest.raises(ConfigError, match=r"data\.image_shape is \[2, 1, 1\]: too small for the") as error:
        net_of(model, (2, 1, 1))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("model", SMALL)
def test_the_seed_alone_draws_the_weights(net_of, model):
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(torch.cat([p.detach().flatten() for p in net_of(model, (1, 8, 8)).parameters()]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.slow
@pytest.mark.parametrize("model", [name for name in MODELS if LARGE.get(name, 0) <= 12])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_step_reaches_every_parameter_in_full_and_in_mixed_precision(net_of, model, precision):
    torch.manual_seed(0)
    net = net_of(model, (2, 12, 12)).train()
    images, target = torch.randn(8, 2, 12, 12), torch.arange(8) % 7
    with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
        loss = cross_entropy(net(images), target)
    loss.backward()
    normalised = set(biases_before_batch_norm(net))
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert name in normalised or parameter.grad.any()


def biases_before_batch_norm(net):
    """Batch normalisation takes a constant out again, so these have no gradient but rounding."""
    rows = [(name, module) for name, module in net.named_modules() if not list(module.children())]
    for (name, module), (_, after) in itertools.pairwise(rows):
        if isinstance(module, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
            yield f"{name}.bias"


@pytest.mark.parametrize(
    ("model", "blocks", "field"),
    [
        ("cnn_rgb", [(32, 16, 16), (64, 8, 8), (128, 4, 4)], 18),
        ("cnn_stride", [(32, 16, 16), (64, 8, 8)], 7),
        ("cnn_gap", [(32, 16, 16), (64, 8, 8)], 8),
    ],
)
def test_the_shapes_after_each_block_and_the_receptive_field_are_those_by_hand(net_of, model, blocks, field):
    # the field grows by (3 - 1) · jump a convolution and by (2 - 1) · jump a pooling
    size = net_size(net_of(model, (3, 32, 32)), (3, 32, 32))
    after = {layer.name.split(".")[1]: layer.output_shape for layer in size.layers if layer.name.startswith("features")}
    assert list(after.values()) == blocks
    assert size.receptive_field_px == field


@pytest.mark.parametrize(
    ("model", "image_shape", "expected"),
    [
        ("cnn_rgb", (3, 32, 32), 28 * 32 + 289 * 64 + 577 * 128 + 2 * 224 + (128 * 16 + 1) * 128 + 129 * 7),
        ("cnn_stride", (1, 28, 28), 10 * 32 + 289 * 64 + 2 * 96 + (64 * 49 + 1) * 128 + 129 * 7),
        ("cnn_gap", (1, 28, 28), 10 * 32 + 289 * 64 + 2 * 96 + 65 * 7),
        ("fc_rgb", (3, 32, 32), 3073 * 1024 + 1025 * 512 + 513 * 256 + 257 * 7),
        ("linear", (1, 28, 28), 785 * 7),
    ],
)
def test_parameters_add_up_by_hand(net_of, model, image_shape, expected):
    assert sum(p.numel() for p in net_of(model, image_shape).parameters()) == expected


def test_the_default_cnn_keeps_the_names_of_the_published_weights(net_of):
    layers = ["features.0.0", "features.1.0", "head.1", "head.4"]
    norms = ["features.0.1", "features.1.1"]
    statistics = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {f"{layer}.{tensor}" for layer in layers for tensor in ("weight", "bias")}
    expected |= {f"{norm}.{tensor}" for norm in norms for tensor in statistics}
    assert set(net_of("cnn", (1, 16, 16)).state_dict()) == expected
