"""callbacks=…: what each adds to what every run has, and that a kill changes nothing."""

from __future__ import annotations

import pytest

from vision_baselines.analysis.learning_rate_range import has_left, smoothed, steepest_rate
from vision_baselines.config.checks import checked_config
from vision_baselines.errors import ConfigError
from vision_baselines.runs.fingerprint import fingerprint

NEEDED = {"history", "divergence", "checkpoints"}
LOOKS_ON = ["none", "model_checkpoint", "model_summary", "rich_progress_bar", "lr_finder"]
CHANGES = ["early_stopping", "ema", "swa"]


@pytest.mark.few(2)
@pytest.mark.parametrize("chosen", [*LOOKS_ON, *CHANGES])
def test_whatever_is_chosen_a_run_has_what_its_record_needs(chosen, compose):
    callbacks = compose(f"callbacks={chosen}").callbacks
    assert all(callbacks[key] is not None for key in NEEDED)
    if chosen not in ("none", "rich_progress_bar"):
        assert set(callbacks) - set(compose().callbacks) == {chosen}


def test_several_are_chosen_as_a_list_and_both_are_there(compose):
    both = set(compose("callbacks=[early_stopping,ema]").callbacks)
    assert both == set(compose("callbacks=early_stopping").callbacks) | {"ema"}
    assert both == set(compose("callbacks=[default,early_stopping,ema]").callbacks)


def test_what_only_looks_on_makes_no_other_run(compose, tmp_path):
    plain = fingerprint(checked_config(compose()))
    for chosen in LOOKS_ON:
        assert fingerprint(checked_config(compose(f"callbacks={chosen}"))) == plain, chosen
    for chosen in CHANGES:
        assert fingerprint(checked_config(compose(f"callbacks={chosen}"))) != plain, chosen


def test_two_averages_at_once_are_refused_in_a_line(compose):
    with pytest.raises(ConfigError, match=r"callbacks\.ema and callbacks\.swa both average") as caught:
        checked_config(compose("callbacks=[ema,swa]"))
    assert len(str(caught.value).splitlines()) == 1


def test_a_loss_that_never_falls_has_no_steepest_rate():
    rates = [10.0**exponent for exponent in range(-9, 1)]
    assert steepest_rate(rates, [1.0] * 10) is None
    assert steepest_rate(rates, [float(number) for number in range(10)]) is None
    assert steepest_rate(rates[:3], [3.0, 2.0, 1.0]) is None  # too few


def test_the_moving_average_is_that_of_its_definition():
    losses = [3.0, 1.0, 4.0, 1.0, 5.0]
    for number, value in enumerate(smoothed(losses, 0.7), 1):
        weights = [0.7 ** (number - 1 - index) for index in range(number)]
        expected = sum(w * loss for w, loss in zip(weights, losses, strict=False)) / sum(weights)
        assert value == pytest.approx(expected)


@pytest.mark.parametrize(("losses", "left"), [([1.0, 3.9], False), ([1.0, 4.1], True), ([1.0, float("nan")], True)])
def test_the_test_ends_where_the_loss_has_left(losses, left):
    assert has_left(losses) is left


@pytest.mark.slow
@pytest.mark.ci
def test_the_finder_of_rates_leaves_no_trace_in_the_run(run_tiny, tmp_path):
    plain = run_tiny("plain", "model.norm=batch", "trainer.max_epochs=1")
    found = run_tiny("found", "model.norm=batch", "trainer.max_epochs=1", "callbacks=lr_finder")
    assert found.final_weights_sha256 == plain.final_weights_sha256
    assert [row.metrics for row in found.history] == [row.metrics for row in plain.history]
    assert found.config["optimizer"]["lr"] == plain.config["optimizer"]["lr"]
    assert len(found.curves["lr_finder/loss"].x) > 10
    assert "lr_finder/loss.png" in found.files
    assert (tmp_path / "outputs" / "found" / "lr_finder" / "loss.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(("chosen", "words"), [("ema", "moving average"), ("swa", "stochastic average")])
def test_the_record_says_that_an_average_was_tested(chosen, words, run_tiny):
    record = run_tiny("average", f"callbacks={chosen}", "trainer.max_epochs=3")
    assert words in record.averaged
    assert record.weights_sha256 != run_tiny("plain", "trainer.max_epochs=3").weights_sha256
