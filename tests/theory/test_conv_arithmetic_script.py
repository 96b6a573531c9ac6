"""scripts/conv_arithmetic.py: hand arithmetic out, one clear line for bad input."""

import json

import pytest
from matplotlib import image as pictures

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
    found = python(str(root / "scripts" / "conv_arithmetic.py"), *POOLED, "--json")

    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["layers"][-1]["receptive_field"] == 10
