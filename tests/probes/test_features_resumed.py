"""The hierarchy of a run that was killed, evaluated later or compiled is the hierarchy of the plain run."""

from __future__ import annotations

import pytest
from pytorch_lightning import Callback

from vision_baselines.evaluation.evaluate import evaluate

ASKED = ["probe=features", "probe.features.ascent_steps=2", "probe.features.max_channels=2"]
TINY = [*ASKED, "trainer.max_epochs=2"]


class FallsOver(Callback):
    """Ends the run after a training step; None: never."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, *rest):
        if trainer.global_step == self.step:
            raise RuntimeError("the roof fell in")


@pytest.fixture(scope="module")
def whole(train_tiny, tmp_path_factory):
    """An uninterrupted run of two epochs with the probe: its record and its folder."""
    folder = tmp_path_factory.mktemp("features") / "run"
    return train_tiny(folder, *TINY), folder


def pictures(folder):
    return {f"features/{path.name}": path.read_bytes() for path in (folder / "features").iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("every", "step"), [pytest.param(3, 8, marks=[pytest.mark.ci]), *((1, 1), (1, 7), (2, 3), (1000, 8))]
)
def test_a_run_that_was_killed_and_resumed_has_the_same_pictures_and_numbers(
    whole, train_tiny, tmp_path, with_callback, every, step
):
    more = [*TINY, f"checkpoint_every_n_steps={every}"]
    with_callback(FallsOver(step))
    with pytest.raises(RuntimeError, match="the roof fell in"):
        train_tiny(tmp_path / "run", *more)
    with_callback(FallsOver(None))
    resumed = train_tiny(tmp_path / "run", *more)

    assert resumed.attempts == 2
    assert pictures(tmp_path / "run") == pictures(whole[1])
    assert (resumed.curves, resumed.metrics) == (whole[0].curves, whole[0].metrics)


@pytest.mark.slow
@pytest.mark.ci
def test_evaluating_a_finished_run_later_draws_the_same_trained_and_untrained_net(whole):
    record, folder = whole
    found = evaluate(folder, overrides=ASKED)

    assert found.pictures == pictures(folder)
    assert found.curves == record.curves


@pytest.mark.slow
def test_a_compiled_net_is_looked_at_through_a_copy_that_is_not_compiled(whole, train_tiny, tmp_path):
    compiled = train_tiny(tmp_path / "run", *TINY, "classifier.compile={backend: eager}")

    assert compiled.curves.keys() == whole[0].curves.keys()
    assert pictures(tmp_path / "run").keys() == pictures(whole[1]).keys()
