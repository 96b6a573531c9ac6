"""Temperature scaling: the temperature against a search, the errors against torchmetrics, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch.nn.functional import cross_entropy
from torchmetrics.classification import MulticlassCalibrationError

from vision_baselines.analysis.calibration import BINS, calibration_error, equal_reliability, reliability
from vision_baselines.analysis.temperature import fitted_temperature, nll
from vision_baselines.errors import ConfigError
from vision_baselines.probes.calibration import _confidence
from vision_baselines.training.run import train


def answers(seed, count, classes, scale):
    """Logits that are calibrated when divided by `scale`: labels are drawn from them."""
    drawn = np.random.default_rng(seed)
    logits = drawn.normal(size=(count, classes)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    target = np.array([drawn.choice(classes, p=row) for row in shares])
    return logits * scale, target


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_a_net_that_is_too_sure_by_a_factor_is_divided_by_it(scale):
    logits, target = answers(0, 4000, 5, scale)
    found, reason = fitted_temperature(logits, target)
    assert found == pytest.approx(scale, rel=0.08)
    assert not reason


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**16), classes=st.integers(2, 5), scale=st.floats(0.2, 5))
def test_the_temperature_is_where_a_search_finds_the_smallest_loss(seed, classes, scale):
    logits, target = answers(seed, 60, classes, scale)
    found, _ = fitted_temperature(logits, target)
    assume(found is not None)
    search = minimize_scalar(lambda log_t: nll(logits, target, np.exp(log_t)), bounds=(-5, 5), method="bounded")
    assert nll(logits, target, found) <= search.fun + 1e-9
    assert nll(logits, target, found) <= nll(logits, target)
    loss = cross_entropy(torch.from_numpy(logits) / found, torch.from_numpy(target))
    assert nll(logits, target, found) == pytest.approx(float(loss))


def test_scaling_changes_no_answer():
    logits, target = answers(1, 500, 4, 3.0)
    right = [_confidence((logits, target), temperature)[1] for temperature in (0.1, 1.0, 7.0)]
    assert (right[0] == right[1]).all()
    assert (right[1] == right[2]).all()


@pytest.mark.parametrize(
    ("logits", "target", "reason"),
    [
        ([[2.0, 1.0], [0.0, 3.0]], [0, 1], "every validation image is classified rightly"),
        ([[2.0, 1.0], [0.0, 3.0]], [1, 0], "no better than guessing"),
        ([[0.0, 0.0], [0.0, 0.0]], [1, 0], "classified rightly"),
        ([[np.nan, 0.0]], [0], "not finite"),
        ([[1e-9, 0.0]] * 9, [0] * 8 + [1], "below 1/100"),
    ],
)
def test_where_no_temperature_is_best_none_is_given_and_why(logits, target, reason):
    found, said = fitted_temperature(np.array(logits), np.array(target))
    assert found is None
    assert reason in said


def test_the_error_is_that_of_torchmetrics():
    logits, target = answers(2, 700, 6, 2.0)
    sure, right = _confidence((logits, target), 1.0)
    metric = MulticlassCalibrationError(6, n_bins=BINS, norm="l1")
    expected = float(metric(torch.from_numpy(logits).softmax(1), torch.from_numpy(target)))
    assert calibration_error(reliability(sure, right)) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.7, 0.9, 1.0]), st.booleans()), max_size=80), st.integers(0, 99))
def test_equal_bins_hold_all_predictions_evenly_in_any_order(rows, seed):
    sure, right = (np.array(column) for column in zip(*rows, strict=True)) if rows else (np.zeros(0), np.zeros(0))
    bins = equal_reliability(sure, right)
    assert bins.sum(axis=1).tolist() == pytest.approx([len(rows), sure.sum(), right.sum()])
    assert bins[0].max() - bins[0].min() <= 1
    order = np.random.default_rng(seed).permutation(len(rows))
    np.testing.assert_allclose(equal_reliability(sure[order], right[order]), bins)
    if len(rows) and len(rows) % BINS == 0:  # against NumPy's own cut, where no confidence occurs twice
        distinct = np.linspace(0.1, 0.9, len(rows))
        parts = np.array_split(np.arange(len(rows)), BINS)
        expected = sum(abs(right[part].sum() - distinct[part].sum()) for part in parts) / len(rows)
        assert calibration_error(equal_reliability(distinct, right)) == pytest.approx(expected)


def test_a_run_s_numbers_are_those_of_its_net_s_logits(probed, rebuilt):
    record, folder = probed
    datamodule, classifier, best = rebuilt(record, folder)
    classifier.load_state_dict(best)
    with torch.no_grad():
        val, test = (
            (classifier.net(datamodule.normalize(split.images)).double(), split.target)
            for split in (datamodule.splits.val, datamodule.splits.test)
        )
    assert record.metrics["calibration/nll"] == pytest.approx(float(cross_entropy(*test)), abs=1e-6)
    assert record.metrics["calibration/nll"] == pytest.approx(record.metrics["test/loss"], abs=1e-6)
    found, _ = fitted_temperature(val[0].numpy(), val[1].numpy())
    assert record.metrics.get("calibration/temperature") == (None if found is None else pytest.approx(found, rel=1e-4))
    ece = float(MulticlassCalibrationError(10, n_bins=BINS, norm="l1")(test[0].softmax(1), test[1]))
    assert record.metrics["calibration/ece"] == pytest.approx(ece, abs=1e-5)


@pytest.mark.slow
@pytest.mark.ci
def test_data_without_validation_are_refused_before_training(run_tiny, tmp_path):
    with pytest.raises(
        ConfigError, match=r"^probe\.calibration fits a temperature on the validation split, and there is"
    ):
        run_tiny("run", "probe=calibration", "data.val_size=0", "checkpoint=last")
    assert not list((tmp_path / "outputs" / "run" / "checkpoints").glob("*.ckpt"))


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_that_can_be_scaled_has_curves_and_a_picture_of_both(compose):
    record = train(compose("data=digits", "model=linear", "probe=calibration", "trainer.max_epochs=2", "logger=none"))
    assert {"temperature", "nll", "nll_scaled", "ece", "ece_scaled", "ece_adaptive", "ece_adaptive_scaled"} == {
        name.removeprefix("calibration/") for name in record.metrics if name.startswith("calibration/")
    }
    assert {"calibration/gap", "calibration/gap_scaled"} <= set(record.curves)
    assert "calibration/reliability.png" in record.files
