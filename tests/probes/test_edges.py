"""Edges in filters: trained ones beside those the run began with."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from vision_baselines.analysis.filter_grid import edge_bank, edge_similarity
from vision_baselines.probes.edges import ordered, random_filters
from vision_baselines.training.run import train


def mean_similarity(filters):
    return float(edge_similarity(torch.as_tensor(filters)).mean())


def test_trained_and_untrained_figures_are_those_of_the_best_and_of_the_seeds_own_filters(probed, rebuilt):
    record, folder = probed
    _, classifier, best = rebuilt(record, folder)
    trained = np.load(folder / "filters.npy")
    np.testing.assert_array_equal(trained, best["net.features.0.0.weight"])

    assert record.metrics["edges/trained"] == pytest.approx(mean_similarity(trained))
    assert record.metrics["edges/untrained"] == pytest.approx(
        mean_similarity(classifier.net.features[0][0].weight.detach())
    )
    assert record.metrics["edges/trained"] != record.metrics["edges/untrained"]


def test_the_random_figure_is_what_gaussian_filters_of_that_shape_come_to(probed):
    others = torch.randn(4000, 1, 3, 3, generator=torch.Generator().manual_seed(7))

    assert probed[0].metrics["edges/random"] == pytest.approx(mean_similarity(others), abs=0.02)


def test_a_bank_of_edges_scores_one_and_random_filters_less():
    assert mean_similarity(edge_bank((5, 5))[:, None]) == pytest.approx(1.0)
    assert mean_similarity(random_filters(torch.zeros(2, 1, 5, 5))) < 0.7


def test_random_filters_of_a_large_image_stay_few():
    assert random_filters(torch.zeros(1, 3, 224, 224)).numel() < 2**25
    assert torch.equal(random_filters(torch.zeros(9, 1, 3, 3)), random_filters(torch.zeros(2, 1, 3, 3)))


def test_the_curve_holds_numpys_quantiles():
    values = torch.rand(37, generator=torch.Generator().manual_seed(0))
    curve = ordered(values)

    np.testing.assert_allclose(curve.y, np.percentile(values.double().numpy(), curve.x))
    assert (curve.x[0], curve.x[-1]) == (0, 100)


@pytest.mark.slow
@pytest.mark.ci
def test_a_fully_connected_net_is_measured_by_its_rows_as_images(compose, tiny, tmp_path):
    data = [text for text in tiny if not text.startswith("model")]
    record = train(compose(*data, "model=fc", "model.hidden_features=[6]", "probe=edges", "logger=none"))
    filters = np.load(tmp_path / "outputs" / "run" / "filters.npy")

    assert filters.shape == (6, 1, 8, 8)
    assert record.metrics["edges/trained"] == pytest.approx(mean_similarity(filters))


@pytest.mark.slow
@pytest.mark.ci
def test_filters_of_one_pixel_are_passed_over_with_a_line(run_tiny, caplog):
    with caplog.at_level(logging.INFO):
        record = run_tiny("run", "probe=edges", "model.kernel_size=1")

    assert record.finished
    assert "edges/trained" not in record.metrics
    assert record.curves == {}
    assert "probe.edges: nothing to measure" in caplog.text


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_that_starts_from_anothers_weights_has_no_untrained_figure(run_tiny, probed):
    record = run_tiny("run", "probe=edges", f"init_from={probed[1] / 'checkpoints' / 'best.ckpt'}")

    assert {name for name in record.metrics if name.startswith("edges/")} == {"edges/trained", "edges/random"}
