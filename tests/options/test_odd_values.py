"""Every option of the Trainer at odd values: taken, or refused in one line before training; no traceback either way."""

from __future__ import annotations

import inspect
import math
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
from omegaconf import open_dict

from vision_baselines.config.checks import checked_config
from vision_baselines.config.trainer_options import check_trainer_options
from vision_baselines.errors import ConfigError
from vision_baselines.training import build
from vision_baselines.training.run import train

OPTIONS = [name for name in inspect.signature(pl.Trainer.__init__).parameters if name != "self"]
# Wrong types, negative, zero, null, empty, huge.
ODD = ("nonsense", "", -1, 0, None, 10**30, 1.5, -0.5, math.nan, math.inf, [], [1], {}, {"a": 1}, True, False)
# What these mean is said in docs/options.md or by Lightning; every other odd value is refused before data is read.
TAKEN = {
    "max_epochs": {10**30},
    "max_steps": {-1, 10**30},
    "num_sanity_val_steps": {-1, 0, 10**30},
    "log_every_n_steps": {10**30},
}

pytestmark = pytest.mark.filterwarnings("ignore:.*")


def with_option(cfg, option, value):
    changed = cfg.copy()
    with open_dict(changed):
        changed.trainer[option] = value
    return changed


def refusal(action) -> str | None:
    """The line with which something is refused; none where it is taken."""
    line: str | None = None
    try:
        action()
    except ConfigError as error:
        line = str(error)
    assert line is None or len(line.splitlines()) == 1
    return line


@pytest.mark.slow
@pytest.mark.parametrize("option", OPTIONS)
def test_an_odd_value_is_taken_or_refused_in_one_line_that_names_the_option(option, compose, tiny):
    cfg = compose(*tiny, "logger=none")
    for value in ODD:
        odd = with_option(cfg, option, value)
        line = refusal(lambda odd=odd: checked_config(odd))
        if line is None:
            line = refusal(lambda odd=odd: build.trainer(odd, callbacks=[], loggers=[]))
        assert line is None or option in line or "trainer cannot be built" in line


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("option", TAKEN)
def test_no_more_than_is_known_is_taken_of_numbers(option, compose, tiny):
    cfg = compose(*tiny, "logger=none")
    taken = [v for v in ODD if refusal(lambda v=v: checked_config(with_option(cfg, option, v))) is None]
    assert {v for v in taken if v is not None} == TAKEN[option]


@pytest.mark.parametrize("value", [-1, 0, 1, 1.5, [], [1], {}, {"a": 1}, {"hours": -1}, {"hours": "x"}], ids=str)
@pytest.mark.parametrize("option", ["deterministic", "profiler", "max_time"])
def test_what_lightning_would_take_for_something_else_is_refused(option, value):
    line = refusal(lambda: check_trainer_options({"trainer": {option: value}}))
    assert line is not None
    assert f"trainer.{option} is {value!r}; expected" in line


@pytest.mark.slow
@pytest.mark.parametrize("option", sorted({*OPTIONS} - {"max_epochs"}))
def test_a_run_with_an_odd_value_that_is_taken_ends_without_a_traceback(option, compose, tiny, tmp_path):
    for number, value in enumerate(ODD):
        folder = tmp_path / str(number)
        cfg = compose(*tiny, "logger=none", "callbacks.filters=null", "trainer.max_epochs=1", run_dir=folder)
        ended = SimpleNamespace(record=None)
        odd = with_option(cfg, option, value)
        refusal(lambda ended=ended, odd=odd: setattr(ended, "record", train(odd)))
        assert ended.record is None or ended.record.status == "finished"
