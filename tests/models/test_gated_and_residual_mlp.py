"""The gate and the skip are the formulas they are said to be, by NumPy, and the sizes add up by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vision_baselines.models.fc import FC
from vision_baselines.models.gated_mlp import GatedLayer, GatedMLP
from vision_baselines.models.residual_mlp import ResidualMLP


def affine(layer, x):
    bias = 0 if layer.bias is None else layer.bias.detach().double().numpy()
    return x @ layer.weight.detach().double().numpy().T + bias


def normalised(layer, x):
    """Batch normalisation in training, from its definition (biased variance over the batch)."""
    scale, shift = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    return scale * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + layer.eps) + shift


def relu(x):
    return np.maximum(x, 0)


@pytest.mark.parametrize("image_shape", [(2, 1, 1), (1, 5, 4)])
def test_each_hidden_layer_is_multiplied_by_a_sigmoid_of_its_own_input(image_shape):
    torch.manual_seed(0)
    net = GatedMLP(image_shape, 3, hidden_features=[6, 4])
    images = torch.randn(5, *image_shape)

    x = images.flatten(1).double().numpy()
    for layer in (net.layers[1], net.layers[3]):
        x = relu(affine(layer.linear, x)) / (1 + np.exp(-affine(layer.gate, x)))
    expected = affine(net.layers[-1], x)

    np.testing.assert_allclose(net(images).detach().numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("skip", [True, False])
def test_each_block_adds_its_input_before_its_last_relu_or_does_not(skip):
    torch.manual_seed(0)
    net = ResidualMLP((1, 4, 5), 3, hidden_features=6, num_blocks=2, skip=skip).train()
    with torch.no_grad():
        for parameter in net.parameters():  # fresh normalisations scale by one and shift by nothing
            parameter.uniform_(-1, 1)
    images = torch.randn(9, 1, 4, 5)

    x = relu(normalised(net.stem[2], affine(net.stem[1], images.flatten(1).double().numpy())))
    outputs = []
    for block in net.blocks:
        first, norm, _, second, last_norm = block.layers
        change = normalised(last_norm, affine(second, relu(normalised(norm, affine(first, x)))))
        x = relu(x + change if skip else change)
        outputs.append(x)
    seen = []
    for block in net.blocks:
        block.register_forward_hook(lambda module, args, output: seen.append(output.detach().numpy()))

    np.testing.assert_allclose(net(images).detach().numpy(), affine(net.head, x), rtol=1e-3, atol=1e-4)
    for ours, expected in zip(seen, outputs, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)


def test_without_the_skip_it_is_the_same_layers_with_the_same_weights():
    made = []
    for skip in (True, False):
        torch.manual_seed(3)
        made.append(ResidualMLP((1, 4, 4), 3, skip=skip).state_dict())
    assert made[0].keys() == made[1].keys()
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


def count(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize(
    ("norm", "normalise"),
    [("layer", lambda x: (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)), ("none", None)],
)
def test_each_norm_is_the_formula_it_is_said_to_be(norm, normalise, skip):
    torch.manual_seed(0)
    net = ResidualMLP((1, 4, 5), 3, hidden_features=6, num_blocks=2, skip=skip, norm=norm)
    images = torch.randn(9, 1, 4, 5)
    normalise = normalise or (lambda x: x)

    x = relu(normalise(affine(net.stem[1], images.flatten(1).double().numpy())))
    for block in net.blocks:
        first, second = (layer for layer in block.layers if isinstance(layer, torch.nn.Linear))
        assert (first.bias is not None) == (norm == "none")
        change = normalise(affine(second, relu(normalise(affine(first, x)))))
        x = relu(x + change if skip else change)
    np.testing.assert_allclose(net(images).detach().numpy(), affine(net.head, x), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.ci
def test_without_gates_it_is_a_plain_net_of_the_same_widths_or_of_the_same_size(net_of):
    plain = GatedMLP((2, 1, 1), 2, hidden_features=[6, 4], gates=False)
    twin = FC((2, 1, 1), 2, hidden_features=[6, 4], dropout=0)
    twin.load_state_dict(dict(zip(twin.state_dict(), plain.state_dict().values(), strict=True)))
    points = torch.randn(5, 2, 1, 1)
    assert torch.equal(plain(points), twin(points))
    for widths in ("[64,64]", "[32,32,32]"):
        gated = net_of("gated_mlp", (2, 1, 1), f"model.hidden_features={widths}")
        ungated = net_of("ungated_mlp", (2, 1, 1), f"model.match.hidden_features={widths}")
        assert not any(isinstance(module, GatedLayer) for module in ungated.modules())
        assert count(ungated) == pytest.approx(count(gated), rel=0.02)


def test_parameters_add_up_by_hand():
    assert count(GatedMLP((2, 1, 1), 2)) == 2 * (2 + 1) * 64 + 2 * (64 + 1) * 64 + (64 + 1) * 2 == 8_834
    stem, block = 784 * 128 + 2 * 128, 2 * 128 * 128 + 4 * 128
    assert count(ResidualMLP((1, 28, 28), 10)) == stem + 8 * block + (128 + 1) * 10 == 368_138
    assert count(ResidualMLP((1, 28, 28), 10, num_blocks=3)) == stem + 3 * block + (128 + 1) * 10


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GatedMLP((2, 1, 1), 2, hidden_features=[]), r"model\.hidden_features is \[\]; expected a list"),
        (lambda: ResidualMLP((1, 4, 4), 2, num_blocks=0), r"model\.num_blocks is 0; expected a whole number"),
        (lambda: ResidualMLP((1, 4, 4), 2, hidden_features=[8]), r"model\.hidden_features is \[8\]; expected a whole"),
        (lambda: ResidualMLP((1, 4, 4), 2, skip="no"), r"model\.skip is 'no'; expected true or false"),
        (lambda: ResidualMLP((1, 4, 4), 2, norm="bach"), r"model\.norm is 'bach'; expected .*did you mean batch"),
        (lambda: GatedMLP((2, 1, 1), 2, gates="no"), r"model\.gates is 'no'; expected true or false"),
    ],
)
def test_what_they_cannot_be_made_of_is_refused_with_its_key(make, words):
    with pytest.raises(ValueError, match=words):
        make()
