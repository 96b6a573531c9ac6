"""The head is found in any net, everything else is taken over or refused by name, and a frozen backbone stays put."""

from __future__ import annotations

import copy
import pickle
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
import torchvision
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from vision_baselines.models.cnn import CNN
from vision_baselines.models.fc import FC
from vision_baselines.models.residual_mlp import ResidualMLP
from vision_baselines.models.resnet import ResNet18
from vision_baselines.models.transfer import freeze_backbone, head_name, load_backbone
from vision_baselines.training.module import ImageClassifier

RARE = [pytest.mark.slow]
SHAPE = (1, 8, 8)
NETS = [partial(CNN, SHAPE), partial(FC, SHAPE), partial(ResidualMLP, SHAPE), partial(ResNet18, SHAPE)]
BACKBONES = [pytest.param(net, id=net.func.__name__) for net in NETS]

# Those whose last layers are not alike: a Linear, one in a Sequential, a 1×1 convolution, side heads, a token's head.
THEIRS = {
    "resnet18": {},
    "vgg11": {},
    "squeezenet1_1": {},
    "googlenet": {"init_weights": False},
    "inception_v3": {"init_weights": False},
    "densenet121": {},
    "mobilenet_v3_small": {},
    "mnasnet0_5": {},
    "convnext_tiny": {},
    "vit_b_32": {},
    "swin_t": {},
}


def last_called(net, images):
    """The last linear layer or convolution that the forward pass runs."""
    called = []
    for name, module in net.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.register_forward_hook(lambda module, args, output, name=name: called.append(name))
    net(images)
    return called[-1]


def tensors(net):
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def step(net, optimizer, images, target):
    net.train()  # as a trainer does, again and again
    optimizer.zero_grad()
    cross_entropy(net(images), target).backward()
    optimizer.step()


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "model", ["cnn", "cnn_gap", "fc", "linear", "fc_matched", "gated_mlp", "residual_mlp", "resnet18"]
)
def test_the_head_of_ours_is_the_layer_that_is_called_last_and_has_as_many_outputs_as_there_are_classes(net_of, model):
    net = net_of(model, SHAPE).eval()
    assert head_name(net) == last_called(net, torch.zeros(1, *SHAPE))
    assert net.get_submodule(head_name(net)).out_features == 7


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("resnet18", "squeezenet1_1", "mobilenet_v3_small") else RARE)
        for name in THEIRS
    ],
)
def test_the_head_of_torchvisions_is_the_layer_that_is_called_last(name):
    with torch.device("meta"), torch.no_grad():
        net = torchvision.models.get_model(name, num_classes=17, **THEIRS[name]).eval()
        side = 299 if name == "inception_v3" else 224
        assert head_name(net) == last_called(net, torch.zeros(1, 3, side, side))


def test_a_net_without_a_head_is_refused():
    with pytest.raises(ValueError, match="Sequential has no Linear and no Conv2d layer"):
        head_name(nn.Sequential(nn.Flatten()))


@pytest.mark.few(1)
@pytest.mark.parametrize("net", BACKBONES)
def test_everything_but_the_head_is_taken_over_from_a_net_with_other_classes(net):
    source, made = net(5), net(3)
    source(torch.randn(4, *SHAPE))  # so that running statistics are taken over too
    before = tensors(made)
    head = head_name(made)

    assert load_backbone(made, source.state_dict()) == (f"{head}.weight", f"{head}.bias")

    for name, tensor in made.state_dict().items():
        expected = before[name] if name.startswith(head) else source.state_dict()[name]
        assert torch.equal(tensor, expected)


def test_equally_many_classes_are_not_the_same_classes_unless_the_caller_says_so():
    source, made = FC(SHAPE, 5), FC(SHAPE, 5)
    load_backbone(made, source.state_dict())
    assert not torch.equal(made.layers[-1].weight, source.layers[-1].weight)
    assert load_backbone(made, source.state_dict(), with_head=True) == ()
    assert torch.equal(made.layers[-1].weight, source.layers[-1].weight)


@pytest.mark.parametrize(
    ("made", "source", "words"),
    [
        (
            FC(SHAPE, 3, hidden_features=[4, 5]),
            FC(SHAPE, 3, hidden_features=[4, 6]),
            "expected the same backbones (all but layers.7), but these tensors differ: layers.4.weight (6×4 there, "
            "5×4 here), layers.4.bias (6 there, 5 here)",
        ),
        (FC(SHAPE, 3), FC((1, 9, 8), 3), "layers.1.weight (512×72 there, 512×64 here)"),
        (CNN(SHAPE, 3), CNN(SHAPE, 3, norm="none"), "features.0.1.weight (absent there, 32 here)"),
        (CNN(SHAPE, 3, norm="none"), CNN(SHAPE, 3), "(32 there, absent here)"),
        (FC(SHAPE, 3), CNN(SHAPE, 3), " more"),
    ],
)
def test_another_backbone_is_refused_in_one_line_with_names_and_shapes_and_nothing_is_copied(made, source, words):
    before = tensors(made)
    with pytest.raises(ValueError, match="weights to start from do not fit") as error:
        load_backbone(made, source.state_dict())
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.state_dict().items())


def test_a_head_that_is_asked_for_and_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"same nets, .* layers\.7\.weight \(5×256 there, 3×256 here\)"):
        load_backbone(FC(SHAPE, 3), FC(SHAPE, 5).state_dict(), with_head=True)


@pytest.mark.parametrize("net", BACKBONES)
def test_training_steps_move_the_head_and_leave_every_tensor_of_the_backbone_bit_for_bit(net):
    torch.manual_seed(0)
    made = net(3)
    head = freeze_backbone(made)
    before = tensors(made)
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        step(made, optimizer, torch.randn(6, *SHAPE), torch.tensor([0, 1, 2, 0, 1, 2]))

    after = made.state_dict()
    assert head == head_name(made)
    assert {name for name in after if not torch.equal(after[name], before[name])} == {f"{head}.weight", f"{head}.bias"}


def test_without_freezing_the_same_steps_move_the_statistics_too():
    made = CNN(SHAPE, 3)
    before = tensors(made)
    step(made, torch.optim.AdamW(made.parameters()), torch.randn(6, *SHAPE), torch.tensor([0, 1, 2, 0, 1, 2]))
    assert not torch.equal(made.state_dict()["features.0.1.running_mean"], before["features.0.1.running_mean"])


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # Lightning's own use of torch
def test_lightning_trains_the_head_and_leaves_the_backbone_bit_for_bit():
    torch.manual_seed(0)
    made = ResidualMLP(SHAPE, 3, hidden_features=8, num_blocks=2)
    head = freeze_backbone(made)
    before = tensors(made)
    data = DataLoader(TensorDataset(torch.randn(24, *SHAPE), torch.arange(24) % 3), batch_size=8)
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    classifier = ImageClassifier(made, num_classes=3, optimizer=partial(torch.optim.AdamW, lr=0.1))
    trainer.fit(classifier, data, data)

    after = made.state_dict()
    assert {name for name in after if not torch.equal(after[name], before[name])} == {f"{head}.weight", f"{head}.bias"}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"])
def test_a_copy_of_a_frozen_net_is_frozen_too(copied):
    made = CNN(SHAPE, 3)
    freeze_backbone(made)
    made = copied(made)
    before = tensors(made)
    made.train()(torch.randn(4, *SHAPE))
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.state_dict().items())
    assert [name for name, p in made.named_parameters() if p.requires_grad] == ["head.4.weight", "head.4.bias"]


def test_a_frozen_backbone_is_one_fixed_function_in_training_and_drops_nothing():
    made = FC(SHAPE, 3)
    images = torch.randn(4, *SHAPE)
    expected = made.eval()(images)
    freeze_backbone(made)
    assert torch.equal(made.train()(images), expected)
