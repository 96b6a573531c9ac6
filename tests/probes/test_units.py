"""Gates that close, ReLUs that never fire, and the plane of two-dimensional data, against plain passes."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from vision_baselines.errors import ConfigError
from vision_baselines.models.gated_mlp import GatedMLP
from vision_baselines.probes.unit_watch import UnitWatch, gates_of
from vision_baselines.probes.units import Units, _Gate

CIRCLES = [
    "data=circles",
    "++data.source.train_size=120",
    "++data.source.val_size=40",
    "++data.source.test_size=50",
    "data.batch_size=16",
    "++data.eval_batch_size=7",
    "model=gated_mlp",
    "model.hidden_features=[6,5]",
    "trainer.max_epochs=2",
    "logger=none",
    "callbacks.filters=null",
    "callbacks.learning_rate=null",
    "callbacks.parameters=null",
]


@pytest.fixture
def circles(compose, tmp_path):
    """``circles(*overrides)``: a tiny gated net on points of the plane: record and folder."""

    def run(*overrides, name="run"):
        from vision_baselines.training.run import train

        folder = tmp_path / "outputs" / name
        return train(compose(*CIRCLES, *overrides, run_dir=folder)), folder

    return run


def watched(net, images, gates=()):
    """Gates' values and ReLUs' outputs of one pass, by name."""
    found, relus = {}, {}
    watch = UnitWatch(net, [net.get_submodule(name) for name in gates], found.__setitem__, relus.__setitem__)
    outputs = net(images)
    watch.close()
    assert not [m for m in net.modules() if m._forward_hooks or m._forward_pre_hooks]
    return outputs, found, relus


class Twice(nn.Module):
    """Calls one ReLU module twice, a function in between, and has a gate over channels."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.relu = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)
        self.gate = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Sigmoid())

    def forward(self, images):
        x = self.relu(self.one(images))
        x = torch.relu(self.two(x) - 0.1)
        return self.relu(x - 0.5) * self.gate(x)


def test_every_relu_is_seen_in_order_whether_module_or_function_and_gates_through_their_sigmoid_once():
    torch.manual_seed(0)
    net, images = Twice().eval(), torch.randn(5, 1, 8, 8)
    with torch.no_grad():
        expected = net(images)
        outputs, gates, relus = watched(net, images, ["gate", "gate.1"])
        x = torch.relu(net.one(images))
        y = torch.relu(net.two(x) - 0.1)

    assert torch.equal(outputs, expected)
    assert list(relus) == ["relu", "(net)", "relu #2"]
    torch.testing.assert_close(relus["(net)"], y)
    torch.testing.assert_close(gates[1], net.gate(y))
    torch.testing.assert_close(gates[0], net.gate(y).sigmoid())  # a Sequential is what a sigmoid is applied to


def test_a_pass_that_fails_leaves_nothing_behind():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(4, 1))
    seen = []
    watch = UnitWatch(net, [], lambda *_: None, lambda name, _: seen.append(name))
    with pytest.raises(RuntimeError):
        net(torch.zeros(1, 2))
    torch.relu(torch.ones(2, 2))
    assert seen == ["1"]
    watch.close()


@pytest.mark.parametrize(("gates", "found"), [(True, ["layers.1.gate", "layers.3.gate"]), (False, [])])
def test_gates_of_gated_layers_are_found(gates, found):
    assert gates_of(GatedMLP((2, 1, 1), 2, hidden_features=[3, 3], gates=gates)) == found


@pytest.mark.parametrize("shape", [(20, 6, 1), (20, 6, 9)])
def test_a_gate_s_shares_are_those_counted_at_once(shape):
    value = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    target = torch.arange(20) % 3
    gate = _Gate()
    for part in (slice(0, 7), slice(7, 20)):
        gate.add(value[part], nn.functional.one_hot(target[part], 4).T.double(), 0.1)
    closed = (value < 0.1).double().mean(dim=2)

    assert gate.closed == pytest.approx(float(closed.mean()))
    torch.testing.assert_close(gate.closed_by_unit, closed.mean(dim=0))
    for label in range(3):
        torch.testing.assert_close(gate.closed_by_class[label], closed[target == label].mean(dim=0))
        torch.testing.assert_close(gate.mean_by_class[label], value[target == label].double().mean(dim=(0, 2)))
    assert gate.closed_by_class[3].tolist() == [0] * 6  # a class without an image
    switching = [bool((value[:, unit] < 0.1).any() and (value[:, unit] >= 0.5).any()) for unit in range(6)]
    assert gate.switching == pytest.approx(sum(switching) / 6)


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_on_the_plane_has_the_numbers_of_a_plain_pass_and_its_pictures(circles, rebuilt):
    record, folder = circles("probe=units", "probe.units.closed_below=0.45")
    without, _ = circles("probe=none", name="without")
    datamodule, classifier, best = rebuilt(record, folder)
    classifier.load_state_dict(best)
    layers, images = classifier.net.layers, datamodule.normalize(datamodule.splits.test.images)
    with torch.no_grad():
        flat = images.flatten(1)
        gate, fired = layers[1].gate(flat).sigmoid(), layers[1].linear(flat).relu()

    assert record.final_weights_sha256 == without.final_weights_sha256
    assert without.metrics.items() <= record.metrics.items()
    assert record.metrics["units/closed_0"] == pytest.approx(float((gate < 0.45).double().mean()), abs=1e-6)
    assert record.metrics["units/dead_0"] == pytest.approx(float((fired.amax(dim=0) <= 0).double().mean()))
    assert record.curves["units/dead"].x == [0, 1]
    assert len(record.curves["units/by_class_closed_1"].y) == 2
    names = ["units/dead.png", "units/gate_0.png", "units/gate_1.png", "units/plane.png"]
    assert [name for name in record.files if name.startswith("units/")] == names
    for name in names:
        assert min(Image.open(io.BytesIO((folder / name).read_bytes())).size) > 100


@pytest.mark.slow
def test_a_finished_run_that_is_probed_has_the_same_pictures_bit_for_bit(circles):
    record, folder = circles("probe=units")
    first = {name: (folder / name).read_bytes() for name in record.files if name.startswith("units/")}
    again, other = circles("probe=none", name="later")
    assert not [name for name in again.files if name.startswith("units/")]
    again, _ = circles("probe=units", name="later")
    assert {name: (other / name).read_bytes() for name in again.files if name.startswith("units/")} == first
    assert (again.metrics, again.curves) == (record.metrics, record.curves)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "dead", "pictures"),
    [
        (["model=cnn", "model.channels=[2,3]", "model.hidden_features=4"], 3, ["units/dead.png"]),
        (["model=linear"], 0, []),
        (["model=residual_mlp", "model.hidden_features=4", "model.num_blocks=2"], 5, ["units/dead.png"]),
        (["model=resnet18"], 17, ["units/dead.png"]),
    ],
)
def test_nets_with_and_without_relus_are_measured_or_passed_over_with_a_line(
    compose, tiny, tmp_path, caplog, model, dead, pictures
):
    from vision_baselines.training.run import train

    data = [text for text in tiny if not text.startswith("model")]
    with caplog.at_level("INFO"):
        record = train(compose(*data, *model, "trainer.max_epochs=1", "probe=units", "logger=none"))
    assert len([name for name in record.metrics if name.startswith("units/dead_")]) == dead
    assert [name for name in record.files if name.startswith("units/")] == pictures
    assert ("probe.units: nothing to measure" in caplog.text) == (dead == 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gates": "layers.1.gate"}, "expected a list of module names"),
        ({"gates": [3]}, "expected a list of module names"),
        *(
            ({"closed_below": value}, "expected a number between 0 and 0.5")
            for value in (0, 0.5, 1.0, -0.1, True, "a", None)
        ),
        ({"closed_below": float("nan")}, "expected a number between 0 and 0.5"),
    ],
)
def test_arguments_that_cannot_be_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Units(**options)


def test_a_module_that_is_not_there_is_refused_before_training(circles, tmp_path):
    with pytest.raises(ConfigError, match=r"probe\.units\.gates names 'layers\.9'; expected modules"):
        circles("probe=units", "probe.units.gates=[layers.9]")
    assert not list((tmp_path / "outputs").rglob("*.ckpt"))


@pytest.mark.slow
@pytest.mark.ci
def test_pictures_are_drawn_for_one_class_many_classes_and_one_unit():
    from vision_baselines.plots.export import png
    from vision_baselines.plots.units import dead_figure, gate_figure

    for classes, units in ((1, 1), (100, 300), (21, 2)):
        means = np.random.default_rng(0).random((classes, units))
        assert png(gate_figure("gate", means, [f"class {i}" for i in range(classes)], 0.5, 0.5))
    assert png(dead_figure({f"layer{i}": 1.0 for i in range(60)}, [3] * 60))
