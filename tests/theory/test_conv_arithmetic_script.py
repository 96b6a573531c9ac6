"""scripts/conv_arithmetic.py: hand arithmetic out, one clear line for bad input."""

import json

import pytest
from matplotlib import image as pictures

from vision_baselines.analysis import chain_check
from vision_baselines.analysis.chain_check import Measured
from vision_baselines.cli.conv_arithmetic import main

POOLED = ["--input-size", "32", "3,1,1", "2,2,0", "3,1,1", "2,2,0"]


def test_the_pooled_chain_prints_as_by_hand(run):
    found = run(main, POOLED)

    lines = [line.split() for line in found.out.splitlines()]
    assert (found.code, found.err) == (0, "")
    assert lines[3:7] == [
        ["1", "3", "1", "1", "1", "32", "1", "3", "0"],
        ["2", "2", "2", "0", "1", "16", "2", "4", "0.5"],
        ["3", "3", "1", "1", "1", "16", "2", "8", "0.5"],
        ["4", "2", "2", "0", "1", "8", "4", "10", "1.5"],
    ]
    assert "32 px become 8; each of them sees 10 px, 4 px from the next." in found.out


def test_json_is_all_that_is_printed_and_says_the_same(run):
    found = json.loads(run(main, [*POOLED, "--json"]).out)

    assert found["input_size"] == 32
    assert [layer["receptive_field"] for layer in found["layers"]] == [3, 4, 8, 10]
    assert [layer["output_size"] for layer in found["layers"]] == [32, 16, 16, 8]
    assert [layer["jump"] for layer in found["layers"]] == [1, 2, 2, 4]


def test_a_dilation_may_stand_fourth(run):
    found = json.loads(run(main, ["--input-size", "32", "3,1,2,2", "--json"]).out)

    assert (found["layers"][0]["dilation"], found["layers"][0]["receptive_field"]) == (2, 5)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["32", "3,2,1"], "layer 1: (32 − 3 + 2·1) / 2 + 1 = 16.5 → 16: the last padded column is not used"),
        (["7", "2,2,0"], "layer 1: (7 − 2) / 2 + 1 = 3.5 → 3: the last column is not used"),
        (["9", "1,1,0", "3,4,0,2"], "layer 2: (9 − 5) / 4 + 1 = 2 → 2"),
        (["10", "1,3,1"], "layer 1: (10 − 1 + 2·1) / 3 + 1 = 4.67 → 4: the last 2 columns are not used, "),
        (["11", "3,4,2"], "layer 1: (11 − 3 + 2·2) / 4 + 1 = 4 → 4"),
        (["14", "3,4,2"], "layer 1: (14 − 3 + 2·2) / 4 + 1 = 4.75 → 4: the last 3 columns are not used, 2 of padding"),
        (["13", "3,4,2"], "layer 1: (13 − 3 + 2·2) / 4 + 1 = 4.5 → 4: the last 2 padded columns are not used"),
    ],
)
def test_what_rounding_down_drops_is_said(run, arguments, line):
    found = run(main, ["--input-size", *arguments]).out

    is_exact = line.split(" = ")[1].split(" → ")[0] == line.rsplit(" → ")[1]
    assert ("not used" not in found) if is_exact else (line in found)


@pytest.mark.parametrize(
    "layers", ["(3,1,1), (2,2,0), (3,1,1), (2,2,0)", "[(3, 1, 1), (2, 2, 0), (3, 1, 1), (2, 2, 0)]", "(3,1,1) (2,2,0,)"]
)
def test_tuples_as_in_the_exercise_are_layers_too(run, layers):
    found = json.loads(run(main, ["--input-size", "32", layers, "--json"]).out)

    assert [layer["receptive_field"] for layer in found["layers"]] == [3, 4, 8, 10][: layers.count("(")]


def test_the_pooled_list_of_the_tutorial_as_it_is_right(run):
    chain = ["3,1,1", "3,1,1", "2,2,0"] * 5

    fields = [
        layer["receptive_field"]
        for layer in json.loads(run(main, ["--input-size", "224", *chain, "--json"]).out)["layers"]
    ]

    assert [field for field, text in zip(fields, chain, strict=True) if text == "3,1,1"] == [
        3, 5, 10, 14, 24, 32, 52, 68, 108, 140,
    ]  # fmt: skip


def test_check_compares_with_pytorch(run):
    found = run(main, [*POOLED, "--check"])

    assert found.code == 0
    assert "PyTorch agrees: its layers give 32, 16, 16, 8 px, and a gradient reaches 3, 4, 8, 10 px." in found.out
    assert json.loads(run(main, [*POOLED, "--check", "--json"]).out)["pytorch"][1] == {
        "output_size": 16,
        "receptive_field": 4,
    }


def test_check_ends_with_an_error_where_they_differ(run, monkeypatch):
    real = chain_check.measured_chain
    monkeypatch.setattr(chain_check, "measured_chain", lambda *given: [*real(*given)[:-1], Measured(8, 9)])

    found = run(main, [*POOLED, "--check"])

    assert (found.code, found.out) == (4, "")
    assert found.err == ("error: PyTorch differs at layer 4: 8 px that see 9 px, by arithmetic 8 that see 10\n")


@pytest.mark.parametrize(
    ("layers", "channels", "lines"),
    [
        (
            ["3,1,1", "3,1,1"],
            "32,64,64",
            [
                "Parameters, biases included: 18,496 + 36,928 = 55,424.",
                "One 5×5 layer from 32 to 64 channels sees the same 5 px with 51,264: "
                "the chain has 1.08 times as many.",
            ],
        ),
        (["3,1,1", "3,1,1"], "64,64,64", ["with 102,464: the chain has 0.72 times as many."]),
        (["3,1,1"] * 3, "64,64,64,64", ["One 7×7 layer from 64 to 64", "the chain has 0.55 times as many."]),
        (["3,1,1", "2,2,0"], "3,16,-", ["Parameters, biases included: 448."]),
        (["2,2,0"], "3,-", ["No layer has parameters."]),
    ],
)
def test_a_stack_is_compared_with_one_layer_of_the_same_field(run, layers, channels, lines):
    found = run(main, ["--input-size", "32", *layers, "--channels", channels]).out

    for line in lines:
        assert line in found


@pytest.mark.parametrize("depth", [4, 60])
def test_the_picture_is_drawn_however_deep_the_chain(run, tmp_path, depth):
    path = tmp_path / "new folder" / "chain.png"

    found = run(main, ["--input-size", "200", *["3,1,1"] * depth, "--out", str(path)])

    pixels = pictures.imread(path)
    assert (found.code, str(path) in found.out) == (0, True)
    assert pixels.shape[0] > 300
    assert 500 <= pixels.shape[1] <= 1000
    assert pixels[..., :3].std() > 0.05  # Something stands on the paper.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input-size", "2", "5,1,0"], "layer 1 (kernel_size=5, stride=1, padding=0, dilation=1) leaves no pixel"),
        (["--input-size", "8", "3,1,1", "3,0,1"], "layer 2: stride: expected an integer >= 1, got 0"),
        (["--input-size", "8", "3,1,-1"], "layer 1: padding: expected an integer >= 0, got -1"),
        (["--input-size", "8", "-3,1,1"], "layer '-3,1,1' begins with a negative number"),
        (["--input-size", "8", "a,1,1"], "layer 1 is 'a,1,1'; expected KERNEL,STRIDE,PADDING"),
        (["--input-size", "8", "3.0,1,1"], "layer 1 is '3.0,1,1'; expected KERNEL,STRIDE,PADDING"),
        (["--input-size", "8", "3,1"], "layer 1 is '3,1'; expected KERNEL,STRIDE,PADDING"),
        (["--input-size", "8", "3,1,1,1,1"], "layer 1 is '3,1,1,1,1'; expected KERNEL,STRIDE,PADDING"),
        (["--input-size", "8", ""], "layer 1 is ''; expected KERNEL,STRIDE,PADDING"),
        (["--input-size", "eight", "3,1,1"], "argument --input-size: invalid int value: 'eight'"),
        (["--input-size", "0", "3,1,1"], "input_size: expected an integer >= 1, got 0"),
        (["--input-size", "8"], "the following arguments are required: LAYER"),
        (["3,1,1"], "the following arguments are required: --input-size"),
        (["--input-size", "8", "3,1,1", "--out", "x.jpg"], "--out is 'x.jpg'; expected the name of a PNG file"),
        (["--input-size", "8", "(3,1,1"], "layer 1 is '(3,1,1'; expected KERNEL,STRIDE,PADDING"),
        (["--input-size", "8", "()"], "layer 1 is ''; expected KERNEL,STRIDE,PADDING"),
        (["--input-size", "8", "3,1,1", "--channels", "3"], "--channels has 1 entries; expected 2"),
        (["--input-size", "8", "3,1,1", "--channels", "3,x"], "--channels is '3,x'; expected whole numbers"),
        (["--input-size", "8", "3,1,1", "--channels", ""], "--channels is ''; expected whole numbers"),
        (
            ["--input-size", "32", "2,2,2", "--channels", "3,-", "--check"],
            "--check: layer 1 is a pooling with padding 2; PyTorch takes at most half the kernel, 1",
        ),
        (
            ["--input-size", "32", "3,1,1", "--channels", "0,4"],
            "--channels is '0,4'; expected whole numbers from 1 to 999999",
        ),
        (["--input-size", "2000000", "3,1,1", "--check"], "--check: expected a chain on at most 1,000,000 pixels"),
        (["--input-size", "8", "3,1,1", "--depth"], "unrecognized arguments: --depth"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(run, arguments, message):
    found = run(main, arguments)

    assert (found.code, found.out) == (2, "")
    assert found.err.startswith(f"error: {message}")
    assert len(found.err.splitlines()) == 1


@pytest.mark.slow
def test_the_command_works_in_a_process_of_its_own(python, root):
    found = python(str(root / "scripts" / "conv_arithmetic.py"), *POOLED, "--json", fresh=True)

    assert (found.returncode, found.stderr) == (0, "loading …\n")
    assert json.loads(found.stdout)["layers"][-1]["receptive_field"] == 10
