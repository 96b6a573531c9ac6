"""A net as a graph of calls."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch
from torch import nn

from vision_baselines.analysis.call_graph import call_graph
from vision_baselines.models.cnn import CNN
from vision_baselines.models.residual_mlp import ResidualMLP


def reached(nodes):
    """Names of all nodes that the output is made from."""
    inputs, found, todo = {node.name: node.inputs for node in nodes}, set(), ["output"]
    while todo:
        name = todo.pop()
        found.add(name)
        todo += [source for source in inputs[name] if source not in found]
    return found


def test_a_chain_is_followed_with_its_modules_and_shapes():
    nodes = call_graph(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)), (1, 8, 8))
    assert [(node.name, node.inputs, node.shapes) for node in nodes] == [
        ("image", (), ((1, 8, 8),)),
        ("Conv2d[0]/conv2d", ("image",), ((2, 6, 6),)),
        ("ReLU[1]/relu", ("Conv2d[0]/conv2d",), ((2, 6, 6),)),
        ("Flatten[2]/flatten", ("ReLU[1]/relu",), ((72,),)),
        ("Linear[3]/linear", ("Flatten[2]/flatten",), ((3,),)),
        ("output", ("Linear[3]/linear",), ((3,),)),
    ]


@pytest.mark.parametrize("net", [CNN((1, 8, 8), 3, channels=[2, 3]), ResidualMLP((1, 8, 8), 3)])
def test_names_are_unique_and_the_output_is_made_from_the_image(net):
    nodes = call_graph(net, (1, 8, 8))
    names = [node.name for node in nodes]
    assert len(set(names)) == len(names)
    assert "image" in reached(nodes)
    assert len(reached(nodes)) == len(nodes)


class Odd(nn.Module):
    """Two branches, a property that gives a tensor, writing in place, a layer that is used twice, a list of outputs."""

    def __init__(self):
        super().__init__()
        self.image = nn.Linear(4, 4)

    def forward(self, x):
        left, right = x.flatten(1).chunk(2, dim=1)
        made = self.image(left) + self.image(right).mul_(2).T.T
        made[:, 0] = 0
        return made


def test_branches_properties_and_writing_in_place_are_followed():
    nodes = call_graph(Odd(), (1, 2, 4))
    assert reached(nodes) == {node.name for node in nodes}
    assert {node.name for node in nodes} >= {"chunk", "Linear[image]/linear", "Linear[image]/linear_2", "setitem"}
    assert next(node for node in nodes if node.kind == "add").inputs == ("Linear[image]/linear", "get_2")


def test_the_net_is_left_as_it_was():
    net = CNN((1, 8, 8), 3, channels=[2, 3]).train()
    before, state = {name: value.clone() for name, value in net.state_dict().items()}, torch.get_rng_state()
    call_graph(net, (1, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert net.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_a_net_that_raises_is_named():
    with pytest.raises(ValueError, match="Sequential raised in forward: RuntimeError"):
        call_graph(nn.Sequential(nn.Linear(3, 3)), (1, 8, 8))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_twenty_nets_in_one_process_leave_no_memory_behind():
    def traced():
        call_graph(CNN((1, 16, 16), 10, channels=[32, 64], hidden_features=128), (1, 16, 16))
        gc.collect()

    def resident_mb():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

    for _ in range(5):
        traced()
    before = resident_mb()
    for _ in range(20):
        traced()
    assert resident_mb() - before < 4  # torch.jit.trace: 38
