"""docs/tutorial_errata.md: its arithmetic recomputed, its measured figures those of docs/experiments.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from vision_baselines.analysis.conv_arithmetic import output_size, receptive_field
from vision_baselines.analysis.dense_equivalent import dense_equivalent
from vision_baselines.analysis.layer_trace import num_parameters
from vision_baselines.models.cnn import CNN
from vision_baselines.models.fc import FC

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "tutorial_errata.md").read_text(encoding="utf-8")
EXPERIMENTS = (DOCS / "experiments.md").read_text(encoding="utf-8")


def _count(net: nn.Module) -> str:
    return f"{num_parameters(net)[0]:,}"


def _two(*layers: nn.Module) -> str:
    return _count(nn.Sequential(*layers))


def _pooled() -> str:
    chain: list[tuple[int, int, int]] = []
    fields = []
    for layer in range(1, 11):
        chain.append((3, 1, 1))
        fields.append(str(receptive_field(chain)))
        if layer % 2 == 0:
            chain.append((2, 2, 0))
    return " ".join(fields)


def _fewer(side: int) -> str:
    shape = (1, side, side)
    return f"{num_parameters(FC(shape, 10))[0] - num_parameters(CNN(shape, 10))[0]:,}"


def _ratio(shape: tuple[int, int, int]) -> str:
    with torch.device("meta"):
        return f"{num_parameters(CNN(shape, 10))[0] / num_parameters(FC(shape, 10))[0]:.2f}"


def _claims() -> dict[str, str]:
    photo, digit = (3, 224, 224), (1, 28, 28)
    with torch.device("meta"):
        nets = {
            "fc": FC(photo, 10),
            "cnn": CNN(photo, 10),
            "gap": CNN(photo, 10, head="global_avg_pool", hidden_features=None),
            "deep": CNN(photo, 10, channels=(32, 64, 128, 256, 512)),
        }
    twin = dense_equivalent(nn.Conv2d(3, 16, 3, padding=1), (3, 32, 32))
    hidden = [nn.Linear(2, 32), nn.Linear(32, 32), nn.Linear(32, 32)]
    plain = num_parameters(nn.Sequential(*hidden))[0]
    return {
        "floor": f"The formula gives {(32 - 3 + 2) / 2 + 1}",
        "stride 2": f"stride 2 see {receptive_field([(3, 2, 1)] * 3)} pixels, the function says {1 + 3 * 2 * 2}",
        "pooled": _pooled(),
        "area": f"{101**2 / 224**2:.0%} of its area".replace("%", " %"),
        "stack": f"two 3×3 have {_two(nn.Conv2d(32, 64, 3), nn.Conv2d(64, 64, 3))} parameters and one 5×5 has "
        f"{_two(nn.Conv2d(32, 64, 5))}",
        "fc": f"512 and 256 units, has {_count(nets['fc'])}. {3 * 224 * 224 * 1000:,} are",
        "cnn": f"Its own net has {_count(nets['cnn'])}",
        "gap": f"With global average pooling it has {_count(nets['gap'])}; with five blocks (32 to 512 channels) and "
        f"flattening, {_count(nets['deep'])}",
        "ratio": f"{_count(CNN(digit, 10))} against {_count(FC(digit, 10))}, a ratio of "
        f"{num_parameters(CNN(digit, 10))[0] / num_parameters(FC(digit, 10))[0]:.2f}",
        "same": f"the same {_fewer(28)} at every size (a ratio of {_ratio((1, 56, 56))} at 56 pixels)",
        "two sizes": f"{_count(CNN(digit, 10))} is for 28×28 in grey, {3 * 224 * 224 * 1000:,} for one layer",
        "dense": f"{twin.weight_ratio:,.0f} compares the weights alone, with biases it is "
        f"{twin.dense_params / twin.conv_params:,.0f}",
        "channels": f"{9 * 3} on a colour picture, {9 * 32} in the tutorial's second layer",
        "gates": f"have {plain:,} parameters, with gates {2 * plain:,}",
    }


@pytest.mark.parametrize(("name", "claim"), list(_claims().items()))
def test_the_arithmetic_is_what_is_computed_now(name, claim):
    assert claim in PAGE


@pytest.mark.parametrize("side", [16, 28, 56, 112, 224])
def test_on_grey_pictures_the_cnn_is_smaller_by_as_much_at_every_size(side):
    with torch.device("meta"):
        assert _fewer(side) == "113,984"


def test_in_colour_the_cnn_has_a_third_of_the_parameters():
    assert _ratio((3, 224, 224)) == "0.33"


def test_the_rounded_size_is_the_formula_rounded_down():
    assert output_size(32, 3, stride=2, padding=1) == 16


def test_every_measured_figure_is_one_of_the_experiments():
    measured = PAGE[PAGE.index("## What experiments say") :]
    rows = [line.split("|")[2] for line in measured.splitlines() if line.startswith("| ")][1:]
    figures = {figure for row in rows for figure in re.findall(r"\d+\.\d+", row)}
    known = set(re.findall(r"\d+\.\d+", EXPERIMENTS))
    assert figures
    assert sorted(figures - known) == []


def test_every_experiment_it_names_is_there():
    named = set(re.findall(r"experiment=(\w+)", PAGE))
    assert named
    assert [name for name in named if not (DOCS.parent / "conf" / "experiment" / f"{name}.yaml").exists()] == []
