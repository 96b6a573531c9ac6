"""The filters command: a run's weights in numbers, what each filter resembles, and one line for what cannot be."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from vision_baselines.analysis.filter_grid import edge_bank, edge_similarity, resemblances
from vision_baselines.api import load_run
from vision_baselines.cli.filters import main
from vision_baselines.plots.filters import labelled_mosaic
from vision_baselines.runs.record import Status, read_record


@pytest.fixture(scope="module")
def run(train_tiny, tmp_path_factory):
    """A finished tiny CNN: its folder, and the weights of its best checkpoint."""
    folder = tmp_path_factory.mktemp("filters") / "model=cnn,seed=0"
    train_tiny(folder, "model.channels=[5,6]")
    return folder, torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]


@pytest.fixture
def filters(called):
    """``filters(*words)``: exit code, what was printed and what was complained of."""
    return called(main)


def test_the_first_four_filters_are_printed_in_signed_numbers_under_their_mean_and_deviation(run, filters):
    code, out, err = filters(run[0])
    weights = run[1]["net.features.0.0.weight"].numpy()

    assert (code, err) == (0, "")
    mean = f"{weights.mean(dtype=float):+.4f}".replace("-", "−")
    assert f"shape (5, 1, 3, 3), mean {mean}, standard deviation {weights.std(dtype=float):.4f}" in out
    assert [f"filter {index}" in out for index in range(5)] == [True, True, True, True, False]
    for line in weights[3, 0]:
        assert " ".join(f"{value:+.2f}" for value in line).replace("-", "−") in out
    assert "4 of 5 filters; --all prints all" in out
    assert "filter 4" in filters(run[0], "--all")[1]


def test_json_holds_what_is_in_the_file_and_the_api_gives_it_too(run, filters):
    found = json.loads(filters(run[0], 4, 1, "--json")[1])
    weights = np.load(run[0] / "filters.npy")

    assert [row["index"] for row in found["filters"]] == [4, 1]
    np.testing.assert_array_equal(np.array(found["filters"][0]["weights"], dtype=np.float32), weights[4])
    assert found["resemblance"] == pytest.approx(float(edge_similarity(torch.from_numpy(weights)).mean()))
    np.testing.assert_array_equal(load_run(run[0]).filters(), weights)


def test_all_filters_of_a_wide_layer_are_drawn_on_request_and_64_else(train_tiny, filters, tmp_path, monkeypatch):
    monkeypatch.setattr("vision_baselines.cli.filters._MOST_DRAWN", 4)
    monkeypatch.setattr("vision_baselines.probes.filters.MOST_FILTERS", 4)
    folder = train_tiny(tmp_path / "run", "model.channels=[11,6]", pictures=True) and tmp_path / "run"
    sizes = {}
    for words in ((), ("--all",)):
        assert filters(folder, *words, "--out", tmp_path / "drawn.png")[0] == 0
        with Image.open(tmp_path / "drawn.png") as picture:
            sizes[words] = picture.size
    weights = np.load(folder / "filters.npy")
    assert sizes["--all",] == labelled_mosaic(weights, "all").shape[1::-1] != sizes[()]
    with Image.open(folder / "filters.png") as picture:  # the run's own is of the first ones alone
        assert picture.size == labelled_mosaic(weights[:4], "some").shape[1::-1] != sizes["--all",]


@pytest.mark.slow
@pytest.mark.ci
def test_deeper_convolutions_come_from_the_checkpoint_with_their_strongest_channels(run, filters, tmp_path):
    weights = run[1]["net.features.1.0.weight"].numpy()
    code, out, _ = filters(run[0], "--layer", "features.1.0", 2, "--out", tmp_path / "a.png")
    shares = (weights[2] ** 2).sum(axis=(1, 2))
    first = int(shares.argmax())

    assert code == 0
    assert "shape (6, 5, 3, 3)" in out
    assert f"filter 2 of input channels {first} ({shares[first] / shares.sum():.0%}), " in out
    assert "and 2 more" in out
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    np.testing.assert_array_equal(load_run(run[0]).filters("features.1.0"), weights)


@pytest.mark.slow
@pytest.mark.ci
def test_the_weights_before_training_are_those_the_seed_draws(run, filters, rebuilt_first):
    found = json.loads(filters(run[0], "--before", "--all", "--json")[1])
    before = [row["before_training"]["weights"] for row in found["filters"]]
    np.testing.assert_array_equal(np.array(before, dtype=np.float32), rebuilt_first(run[0]))
    assert "and before training" in filters(run[0], "--before", 0)[1]


@pytest.fixture
def rebuilt_first():
    def first(folder):
        from vision_baselines.config.restore import restored
        from vision_baselines.training import build

        record = read_record(folder)
        torch.manual_seed(record.seed)
        return build.classifier(restored(record.config, folder)).net.features[0][0].weight.detach().numpy()

    return first


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["5"], 2, "there is no filter 5; first layer has 5, numbered from 0"),
        (["-1"], 2, "'-1' is not the number of a filter"),
        (["one"], 2, "'one' is not the number of a filter"),
        (["²"], 2, "is not the number of a filter"),
        (["0", "--all"], 2, "--all goes with no numbers"),
        (["--out", "a.jpg"], 2, "PNG"),
        (["--layer", "features.1"], 2, "features.1 is a Sequential and filters are of convolutions: features.1.0"),
        (["--layer", "head.1"], 2, "head.1 is a Linear, whose inputs are no places"),
        (["--layer", "nope"], 2, "no layer 'nope' and filters are of convolutions: features.0.0, features.1.0"),
    ],
)
def test_what_cannot_be_shown_is_one_line_and_a_code(run, filters, words, code, message):
    found, out, err = filters(run[0], *words)
    assert (found, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("status", [Status.RUNNING, Status.FAILED])
def test_a_run_that_is_not_finished_or_not_there_is_refused(run, filters, tmp_path, status):
    record = read_record(run[0])
    record.status = status
    record.write(tmp_path)
    assert filters(tmp_path)[0] == filters(tmp_path / "none")[0] == 3


@pytest.mark.slow
def test_a_damaged_array_is_not_needed_and_a_lost_checkpoint_is_named(run, filters, tmp_path):
    import shutil

    folder = shutil.copytree(run[0], tmp_path / "run")
    expected = filters(folder, "--json")[1]
    (folder / "filters.npy").write_bytes(b"damaged")
    assert filters(folder, "--json")[1].replace('"first layer"', "") == expected.replace('"first layer"', "")
    (folder / "checkpoints" / "best.ckpt").unlink()
    code, _, err = filters(folder)
    assert (code, err.count("\n")) == (5, 1)


@pytest.mark.parametrize("size", [(2, 2), (3, 3), (5, 4), (28, 28)])
def test_each_kernel_of_the_bank_resembles_itself_and_its_negative_with_a_minus(size):
    bank = edge_bank(size)
    for sign in (1.0, -1.0):
        found = resemblances(sign * bank[:, None])
        signs = [kind.cosine if size != (2, 2) else abs(kind.cosine) * sign for kind in found]  # 2×2 has one bar
        assert signs == pytest.approx([sign] * len(bank), abs=1e-5)
    names = [kind.name for kind in resemblances(bank[:, None])]
    assert {"vertical edge", "horizontal edge", "edge 45°"} <= set(names)


def test_names_are_of_the_line_as_it_is_seen():
    rising = torch.tensor([[0.0, 1, 2], [-1, 0, 1], [-2, -1, 0]])  # bright on the upper right of a falling line
    cases = {
        "horizontal edge": [[-1.0] * 3, [0.0] * 3, [1.0] * 3],
        "vertical edge": [[-1.0, 0, 1]] * 3,
        "edge 45°": rising.flip(0).tolist(),
        "horizontal bar": [[-1.0] * 3, [2.0] * 3, [-1.0] * 3],
        "vertical bar": [[-1.0, 2, -1]] * 3,
    }
    found = resemblances(torch.tensor(list(cases.values()))[:, None])
    assert [kind.name for kind in found] == list(cases)
    assert all(kind.cosine > 0.8 for kind in found)
    assert resemblances(rising[None, None])[0].name == "edge 135°"
    colours = torch.tensor(cases["vertical edge"])[None, None] * torch.tensor([1.0, -0.5, 0.25])[None, :, None, None]
    assert (resemblances(colours)[0].name, resemblances(-colours)[0].cosine < 0) == ("vertical edge", True)


@pytest.mark.parametrize(
    ("shape", "there", "not_there"),
    [
        ((3, 1, 12, 12), "12×12 numbers: --json prints them", "+1.00 +1.00"),
        ((2, 2, 1, 1), "+1.00", "cosine"),
        ((1, 3, 2, 5), "filter 0 of input channels 0 (33%), 1 (33%), 2 (33%)\n", "more"),
    ],
)
def test_filters_that_are_large_of_one_pixel_or_of_colours_have_numbers_or_a_word_for_them(
    run, filters, tmp_path, shape, there, not_there
):
    read_record(run[0]).write(tmp_path)
    np.save(tmp_path / "filters.npy", np.ones(shape, dtype=np.float32))
    code, out, _ = filters(tmp_path, "--out", tmp_path / "drawn.png")
    assert (code, there in out, not_there in out) == (0, True, False)
    assert (tmp_path / "drawn.png").exists()
