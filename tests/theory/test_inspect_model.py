"""scripts/inspect_model.py: the table of the CNN by hand, sums, JSON, pictures, and one clear line for bad input."""

import json
from pathlib import Path

import pytest
import torch
from matplotlib import image as pictures
from torch import nn

from vision_baselines.analysis.influence import Box
from vision_baselines.analysis.layer_trace import LayerInfo
from vision_baselines.cli.inspect_model import composed, main
from vision_baselines.inspection.model import inspect_model
from vision_baselines.inspection.pictures import growth_stages, seeing_layers
from vision_baselines.training import build

# Name, kind, output shape, parameters, multiply-adds, receptive field: 9·C_in·C_out (+ C_out) weights, used 28² and
# 14² times; the field grows by 2, 1, 4 and 2 px.
CNN_ON_MNIST = """
features.0.0 Conv2d      32×1×3×3 + 32   32×28×28     320   225,792  3 px
features.0.1 BatchNorm2d 32 + 32         32×28×28      64         0  3 px
features.0.2 MaxPool2d                        32×14×14       0         0  4 px
features.0.3 ReLU                             32×14×14       0         0  4 px
features.1.0 Conv2d      64×32×3×3 + 64  64×14×14  18,496 3,612,672  8 px
features.1.1 BatchNorm2d 64 + 64         64×14×14     128         0  8 px
features.1.2 MaxPool2d                        64×7×7         0         0 10 px
features.1.3 ReLU                             64×7×7         0         0 10 px
head.0       Flatten                          3136           0         0 whole image
head.1       Linear      128×3136 + 128  128      401,536   401,408 whole image
head.2       ReLU                             128            0         0 whole image
head.3       Dropout                          128            0         0 whole image
head.4       Linear      10×128 + 10     10         1,290     1,280 whole image
total                                                  421,834 4,241,152
"""
MNIST = ["model=cnn", "data=mnist"]


@pytest.fixture(autouse=True)
def _no_mnist_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VISION_BASELINES_DATA_DIR", str(tmp_path / "no data"))


def test_the_cnn_on_mnist_prints_as_by_hand(run, tmp_path):
    found = run(main, [*MNIST, "--out", str(tmp_path)])

    printed = [" ".join(line.split()) for line in found.out.splitlines()]
    table = [line.rsplit(" ", 1)[0] for line in printed if line.startswith(("features", "head"))]  # Without the jump.
    expected = [" ".join(line.split()) for line in CNN_ON_MNIST.strip().splitlines()]
    assert (found.code, found.err) == (0, "")
    assert table == expected[:-1]
    assert expected[-1] in printed
    for line in (
        "parameters 421,834, of them trainable 421,834",
        "FLOPs per image 8,482,304, two for each of 4,241,152 multiply-adds",
        "Against model=fc on the same images",
        "other sizes not taken: an image of 60×60 ends in layer 'head.1' (Linear): RuntimeError: mat1 and mat2 shapes "
        "cannot be multiplied (1x14400 and 3136x128)",
        "receptive field 8 px after the last convolution, features.1.0",
        "8×8 px have a gradient from its central unit, of 28×28",
        "parameters 421,834 535,818 0.79",
        "multiply-adds 4,241,152 535,040 7.93",
        "The first convolution, features.0.0 (1×28×28 → 32×28×28), as a dense layer",
        "weights 19,668,992 288 68,295",
        "with biases 19,694,080 320 61,544",
    ):
        assert line in printed


@pytest.mark.slow
@pytest.mark.ci
def test_json_is_all_that_is_printed_and_its_columns_sum_to_its_totals(run, tmp_path):
    found = json.loads(run(main, ["--json", *MNIST, "--out", str(tmp_path)]).out)

    totals = found["totals"]
    assert sum(layer["num_params"] for layer in found["layers"]) == totals["parameters"] == 421_834
    assert sum(layer["num_params_trainable"] for layer in found["layers"]) == totals["trainable"]
    assert sum(layer["flops"] for layer in found["layers"]) == totals["flops"] == 2 * totals["multiply_adds"]
    assert totals["measured_field_px"] == [totals["receptive_field_px"]] * 2 == [8, 8]
    assert found["against"]["fc"]["parameters"] == 535_818
    assert round(found["against"]["fc"]["parameter_ratio"], 2) == 0.79
    assert found["first_convolution"]["dense_weights"] == 784 * 32 * 784
    assert found["pictures"] == [str(tmp_path / "receptive_field.png"), str(tmp_path / "growth.png")]


# The tutorial says that at 224 pixels the CNN stays under 5 million parameters and the dense net has over 150.
AT_224 = ["model=cnn", "data.image_shape=[3,224,224]", "--against", "fc,cnn_gap"]


@pytest.mark.slow
@pytest.mark.ci
def test_several_nets_stand_beside_one_and_none_of_them_is_built(run, tmp_path):
    found = json.loads(run(main, [*AT_224, "--json", "--out", str(tmp_path)]).out)

    assert found["totals"]["parameters"] == 25_711_114
    assert {name: size["parameters"] for name, size in found["against"].items()} == {
        "fc": 77_204_746,
        "cnn_gap": 20_234,
    }
    assert found["layers"][0]["param_shapes"] == {"weight": [32, 3, 3, 3], "bias": [32]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "name", "parameters"),
    [
        (["model=cnn_rgb", "data=cifar10"], "fc_rgb", 3_805_450),
        (["model=cnn", "data=cifar10"], "fc", 1_707_274),
        (["model=cnn_rgb", "data=cifar10", "--against", "fc"], "fc", 1_707_274),
    ],
)
def test_a_net_for_colours_is_compared_with_the_fully_connected_net_for_colours(
    run, tmp_path, overrides, name, parameters
):
    found = json.loads(run(main, [*overrides, "--json", "--out", str(tmp_path)]).out)

    assert {name: size["parameters"] for name, size in found["against"].items()} == {name: parameters}


_SLOW = [("resnet18", True), ("cnn_stride", False)]


@pytest.mark.parametrize(
    ("model", "is_taken"),
    [("cnn_gap", True), ("fc", False), *(pytest.param(*case, marks=pytest.mark.slow) for case in _SLOW)],
)
def test_whether_a_net_takes_other_sizes_is_tried(model, is_taken):
    found = inspect_model(composed([f"model={model}", "data=mnist"])[0]).other_size

    assert found.image_shape == (1, 60, 60)
    assert found.output_shape == ((10,) if is_taken else None)
    assert (found.reason is None) is is_taken


@pytest.mark.few(1)
@pytest.mark.parametrize("names", ["fcc", "", "fc,", "os.system", "../model/fc", "model=fc"])
def test_a_net_to_compare_with_that_does_not_exist_is_refused_in_a_line(run, names):
    found = run(main, [*MNIST, "--against", names])

    assert (found.code, found.out, len(found.err.splitlines())) == (2, "", 1)
    assert found.err.startswith(f"error: --against is {names!r}; there is no model ")


@pytest.mark.slow
def test_overrides_reach_the_net_and_the_baseline_keeps_its_own(run, tmp_path):
    found = json.loads(run(main, [*MNIST, "model.channels=[16,32,64]", "--json", "--out", str(tmp_path)]).out)

    assert [layer["output_shape"] for layer in found["layers"] if layer["kind"] == "Conv2d"] == [
        [16, 28, 28],
        [32, 14, 14],
        [64, 7, 7],
    ]
    assert found["against"]["fc"]["parameters"] == 535_818


@pytest.mark.slow
def test_pictures_go_under_outputs_by_default_and_leave_no_folder_of_a_run(run, tmp_path):
    found = run(main, ["model=cnn", "data=digits", f"paths.output_dir={tmp_path}"])

    folder = tmp_path / "inspect" / "cnn_digits"
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == [
        folder / "growth.png",
        folder / "receptive_field.png",
    ]
    assert str(folder / "growth.png") in found.out
    for path in folder.iterdir():
        pixels = pictures.imread(path)
        assert min(pixels.shape[:2]) > 300
        assert pixels[..., :3].std() > 0.05


@pytest.mark.slow
def test_a_net_without_convolutions_sees_the_whole_image_and_has_no_growth_to_draw(run, tmp_path):
    found = json.loads(run(main, ["model=fc", "data=digits", "--json", "--out", str(tmp_path)]).out)

    assert found["first_convolution"] is None
    assert found["totals"]["last_convolution"] is None
    assert found["against"]["fc"]["parameter_ratio"] == 1
    assert found["pictures"] == [str(tmp_path / "receptive_field.png")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=cn"], "model=cn does not exist; did you mean cnn?"),
        (["modle=cnn"], "there is no key 'modle' in the config; did you mean model?"),
        (["model=cnn,fc"], "model=cnn,fc lists several values"),
        (["model"], "'model' cannot be read; expected key=value"),
        (["model=null"], "'model=null' chooses nothing"),
        (["model=true"], "'model=true' chooses nothing"),
        (["~model"], "the config has no model"),
        (["~data"], "the config has no data"),
        (["seed=-1"], "seed is -1; expected a whole number"),
        (["model.kernel_size=4"], "model cannot be built: model.kernel_size is 4; expected an odd number"),
        (["model._target_=os.system"], "model._target_ is 'os.system', which is not among the classes"),
        (["data.image_shape=[1,28]"], "data.image_shape is [1, 28]; expected [channels, height, width]"),
        (["data.image_shape=[0,28,28]"], "data.image_shape is [0, 28, 28]; expected"),
        (["data.image_shape=7"], "data.image_shape is 7; expected"),
        (["--depth"], "unrecognized arguments: --depth"),
    ],
)
def test_bad_input_gets_a_line_or_two_and_exit_code_2(run, tmp_path, overrides, message):
    found = run(main, [*overrides, "--out", str(tmp_path / "none")])

    assert (found.code, found.out) == (2, "")
    assert found.err.startswith(f"error: {message}")
    assert len(found.err.splitlines()) <= 2
    assert not (tmp_path / "none").exists()


class _Raising(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, images):
        raise RuntimeError("no\nsecond line")


def test_a_net_that_raises_in_forward_gets_one_line_and_exit_code_2(run, monkeypatch, tmp_path):
    monkeypatch.setattr(build, "net", lambda cfg: _Raising())

    found = run(main, [*MNIST, "--out", str(tmp_path)])

    assert (found.code, found.out) == (2, "")
    assert "_Raising raised in forward on one image of shape (1, 28, 28)" in found.err
    assert len(found.err.splitlines()) == 1


def test_a_convolution_behind_a_crop_has_no_dense_equivalent_rather_than_a_wrong_one(monkeypatch):
    cropped = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(1, 4, 3, padding=1))
    built = build.net
    monkeypatch.setattr(build, "net", lambda cfg: cropped if "seed" in cfg else built(cfg))

    found = inspect_model(composed(MNIST)[0])

    assert (found.first_conv, found.dense) == (None, None)
    assert found.measured_field == Box(top=12, left=12, height=6, width=6)


@pytest.mark.slow
@pytest.mark.ci
def test_inspecting_draws_the_weights_of_the_seed_and_leaves_the_random_state_alone():
    before = torch.get_rng_state()

    one, two, other = (inspect_model(composed([*MNIST, f"seed={seed}"])[0]).net for seed in (3, 3, 4))

    assert torch.equal(torch.get_rng_state(), before)
    for (name, a), b, c in zip(one.named_parameters(), two.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert "features.0.0" not in name or not torch.equal(a, c)


def test_the_layers_that_are_drawn_leave_out_shortcuts_and_end_with_the_last():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.block, self.shortcut = nn.Conv2d(1, 1, 3, 2, 1), nn.Conv2d(1, 1, 1, 2)

        def forward(self, images):
            return self.block(images) + self.shortcut(images)

    net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), *(Residual() for _ in range(6)))
    config = composed(MNIST)[0]
    config.data.image_shape = [1, 64, 64]
    with pytest.MonkeyPatch.context() as patch:
        built = build.net
        patch.setattr(build, "net", lambda cfg: net if "seed" in cfg else built(cfg))
        found = inspect_model(config)

    assert [layer.name for layer in seeing_layers(found)][-1] == "6.shortcut"
    fields = [stage.receptive_field for stage in growth_stages(found.size.layers)]
    assert fields == sorted(fields)
    assert len(seeing_layers(found)) <= 5


def test_growth_names_each_change_once():
    def layer(name: str, side: int, field: int) -> LayerInfo:
        return LayerInfo(name, "", (1, side, side), 0, 0, 0, 0, field, False, 1)

    stages = growth_stages([layer("a", 8, 3), layer("relu", 8, 3), layer("pool", 4, 4), layer("shortcut", 4, 1)])

    assert [(stage.label, stage.output_size, stage.receptive_field) for stage in stages] == [
        ("a", 8, 3),
        ("pool", 4, 4),
    ]


@pytest.mark.slow
def test_the_command_works_in_a_process_of_its_own(python, root, tmp_path):
    found = python(str(root / "scripts" / "inspect_model.py"), "model=cn", cwd=tmp_path, fresh=True)

    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("loading …\nerror: model=cn does not exist; did you mean cnn? (there are: cnn, ")
    assert found.stderr.count("\n") == 2
