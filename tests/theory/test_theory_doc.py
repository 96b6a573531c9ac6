"""docs/theory.md held to account: numbers recomputed, commands run, output compared, pictures redrawn."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import image as pictures
from torch import nn

from vision_baselines.analysis.conv_arithmetic import output_size, receptive_field
from vision_baselines.analysis.dense_equivalent import dense_equivalent
from vision_baselines.analysis.net_size import net_size
from vision_baselines.cli import conv_arithmetic, edge_demo, inspect_model
from vision_baselines.cli.edge_demo import bright_top_half, responses
from vision_baselines.models.cnn import CNN
from vision_baselines.models.fc import FC

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
MAINS = {
    "scripts/conv_arithmetic.py": conv_arithmetic.main,
    "scripts/inspect_model.py": inspect_model.main,
    "scripts/edge_demo.py": edge_demo.main,
}
POOLED = [(3, 1, 1), (2, 2, 0), (3, 1, 1), (2, 2, 0)]

# Conditions of a statement rather than results of it: sizes and settings that were chosen, not measured.
GIVEN = (
    r"28×28|224×224|32×32|3×3|2×2|8×8 image|1,000 units|from 3 to 16|padding 1|stride 2|stride is 1|500 random|k − 1"
)


def _dense_layers() -> Iterator[str]:
    with torch.device("meta"):  # 600 MB of weights need not exist to be counted.
        digit, photo = nn.Linear(28 * 28, 1000), nn.Linear(224 * 224 * 3, 1000)
    digit_weights, photo_weights = digit.weight.numel(), photo.weight.numel()
    digit_params = digit_weights + digit.bias.numel()
    yield f"has {digit_weights:,} weights | {digit_weights:,}; with the bias {digit_params:,} parameters"
    yield f"it has {photo_weights:,} | {photo_weights:,} |"


def _convolution() -> Iterator[str]:
    conv = nn.Conv2d(3, 16, kernel_size=3, padding=1)
    twin = dense_equivalent(conv, (3, 32, 32))
    biases = twin.dense_params - twin.dense_weights
    conv_biases, weights = twin.conv_params - twin.conv_weights, twin.conv_weights
    yield f"has {twin.conv_params} parameters | {twin.conv_params}: {weights} weights and {conv_biases} biases"
    yield f"has {twin.dense_params:,} | {twin.dense_params:,}: {twin.dense_weights:,} weights and {biases:,} biases"
    ratio, with_biases = f"{twin.weight_ratio:,.0f}", f"{twin.dense_params / twin.conv_params:,.0f}"
    yield f"{ratio} times as much | {ratio} times the weights; {with_biases} times with"


def _sizes() -> Iterator[str]:
    yield f"keeps 32 pixels at {output_size(32, kernel_size=3, padding=1)}"
    assert output_size(32, kernel_size=3, stride=2, padding=1) == output_size(32, kernel_size=2, stride=2)
    yield f"it makes {output_size(32, kernel_size=2, stride=2)} of them"


def _fields() -> Iterator[str]:
    assert receptive_field([(3, 1, 1)]) - receptive_field([]) == 2  # One on each side, two in all.
    depths = (1, 3, 5, 10, 20, 50)
    yield f"| layers | {' | '.join(map(str, depths))} |"
    yield f"| pixels | {' | '.join(str(receptive_field([(3, 1, 1)] * depth)) for depth in depths)} |"
    stride_2 = [(3, 2, 1)] * 3
    own_strides = 1 + sum((kernel_size - 1) * stride for kernel_size, stride, _ in stride_2)
    yield f"stride 2 see {receptive_field(stride_2)} pixels, and the function would say {own_strides}"
    chain, right, without_window = [], [], []
    for layer in range(1, 11):
        chain.append((3, 1, 1))
        right.append(receptive_field(chain))
        without_window.append(
            1 + sum((kernel_size - 1) * 2**at for kernel_size, at in _jumps(chain) if kernel_size == 3)
        )
        if layer % 2 == 0:
            chain.append((2, 2, 0))
    yield f"| 3×3 layers | {' | '.join(str(layer) for layer in range(1, 11))} |"
    yield f"| the tutorial's loop | {' | '.join(map(str, without_window))} |"
    yield f"| so it is | {' | '.join(map(str, right))} |"
    last = net_size(CNN((1, 16, 16), 10), (1, 16, 16)).receptive_field_px
    yield f"last convolution sees {last} pixels, and {last}×{last} pixels move it"


def _jumps(chain: list[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    """Each layer's kernel, and how many poolings lie before it."""
    poolings = 0
    for kernel_size, stride, _ in chain:
        yield kernel_size, poolings
        poolings += stride == 2


def _vector(net: nn.Module) -> torch.Tensor:
    return nn.utils.parameters_to_vector(net.parameters())


def _cnn_and_fc() -> Iterator[str]:
    shape = (1, 28, 28)
    cnn, fc = net_size(CNN(shape, 10), shape), net_size(FC(shape, 10), shape)
    sides = (16, 28, 56, 112, 224)
    with torch.device("meta"):
        nets = [[net((1, side, side), 10) for net in (FC, CNN)] for side in sides]
    [fewer] = {fc.numel() - cnn.numel() for fc, cnn in [[_vector(net) for net in pair] for pair in nets]}
    yield f"every size from {sides[0]} to {sides[-1]} pixels, on grey images by the same {fewer:,}:"
    by_kind = {kind: sum(x.num_params for x in cnn.layers if x.kind == kind) for kind in ("Linear", "Conv2d")}
    yield f"CNN has {cnn.num_params:,} parameters and its fully connected net {fc.num_params:,}"
    yield f"a ratio of {cnn.num_params / fc.num_params:.2f}"
    yield f"{by_kind['Linear']:,} of the CNN's parameters, {by_kind['Linear'] / cnn.num_params:.0%}, are in"
    yield f"the two convolutions hold {by_kind['Conv2d']:,}"
    times = f"{cnn.multiply_adds / fc.multiply_adds:.2f} times as many"
    yield f"{cnn.multiply_adds:,} multiply-adds per image against {fc.multiply_adds:,}, that is {times}"


def _edges() -> Iterator[str]:
    horizontal, vertical = responses(bright_top_half()).values()
    along, elsewhere = horizontal[2:4], horizontal[[0, 1, 4, 5]]
    assert along.min() == along.max()
    assert not elsewhere.any()
    assert not vertical.any()
    yield f"horizontal kernel answers {along.max():.0f} along the edge and {elsewhere.max():.0f} elsewhere".replace(
        "-", "−"
    )
    yield f"vertical kernel {vertical.max():.0f} everywhere"


CLAIMS = [*_dense_layers(), *_convolution(), *_sizes(), *_fields(), *_cnn_and_fc(), *_edges()]


def _flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("claim", CLAIMS)
def test_each_statement_on_the_page_is_what_is_computed_now(claim):
    assert claim in _flat(PAGE)


def test_no_number_on_the_page_goes_unchecked():
    prose = re.sub(r"^```.*?^```", "", PAGE, flags=re.M | re.S)  # Commands and their output have tests of their own.
    prose = _flat(re.sub(r"`[^`]*`|\]\([^)]*\)", "", prose))
    for claim in CLAIMS:
        prose = prose.replace(claim, "")

    left = re.sub(GIVEN, "", prose)
    assert re.findall(r".{0,20}\d.{0,20}", left) == []


def _commands() -> list[str]:
    lines = re.findall(r"^(?:\$ )?(python scripts/.*)$", PAGE, flags=re.M)
    return list(dict.fromkeys(lines))


def _arguments(command: str) -> tuple[str, list[str]]:
    spelled_out = re.sub(r"\$\(yes (\S+) \| head -(\d+)\)", lambda found: f"{found[1]} " * int(found[2]), command)
    _, script, *arguments = shlex.split(spelled_out)
    return script, arguments


# Its 150 million weights take 600 MB and seconds; the same count is made above without them.
HEAVY = "[3,224,224]"


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in _commands() if HEAVY not in command])
def test_each_command_on_the_page_runs_and_redraws_the_pictures_stored(run, command, tmp_path, monkeypatch):
    monkeypatch.setenv("VISION_BASELINES_DATA_DIR", str(tmp_path / "no data"))
    script, arguments = _arguments(command)
    stored = None
    if "--out" in arguments:
        stored = ROOT / arguments[arguments.index("--out") + 1]
        arguments[arguments.index("--out") + 1] = str(tmp_path / stored.name)
    elif "inspect_model" in script:
        arguments += ["--out", str(tmp_path)]

    found = run(MAINS[script], arguments)

    assert (found.code, found.err) == (0, "")
    if stored:
        names = [stored.name] if stored.suffix else [f"{stored.name}/{path.name}" for path in stored.iterdir()]
        assert names
        for name in names:
            _assert_alike(stored.parent / name, tmp_path / name)


def _assert_alike(stored: Path, redrawn: Path) -> None:
    """The same picture, save for how another version of Matplotlib smooths the letters."""
    before, now = pictures.imread(stored), pictures.imread(redrawn)
    assert before.shape == now.shape
    assert np.abs(before - now).mean() < 0.01
    assert stored.stat().st_size < 100_000


def test_the_output_on_the_page_is_what_is_printed(run):
    blocks = re.findall(r"^```console\n\$ (.*?)\n(.*?)^```", PAGE, flags=re.M | re.S)
    assert blocks
    for command, output in blocks:
        script, arguments = _arguments(command)

        printed = run(MAINS[script], arguments).out

        assert [line.rstrip() for line in printed.strip("\n").splitlines() if line.strip()] == [
            line.rstrip() for line in output.splitlines() if line.strip()
        ]


def test_each_picture_stored_is_on_the_page_and_drawn_by_a_command_on_it():
    stored = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs" / "pictures").rglob("*.png")}
    outs = [
        arguments[arguments.index("--out") + 1] for _, arguments in map(_arguments, _commands()) if "--out" in arguments
    ]

    assert set(re.findall(r"\]\((pictures/[^)]*)\)", PAGE)) == stored
    assert all(any(f"docs/{path}".startswith(out) for out in outs) for path in stored)


def test_the_tests_the_page_names_are_there():
    for path in re.findall(r"`(tests/[^`]*)`", PAGE):
        assert (ROOT / path).is_file(), path
