"""A number of epochs that is not whole: how many steps that is, and what is refused beside it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from vision_baselines.errors import ConfigError
from vision_baselines.training.run_length import length_options


def options(batches: int = 6, **trainer) -> dict[str, int]:
    module = SimpleNamespace(train_dataloader=lambda: [None] * batches)
    return length_options(OmegaConf.create({"trainer": trainer}), module)


@pytest.mark.parametrize(
    ("trainer", "epochs", "steps"),
    [
        ({"max_epochs": 2.5}, 3, 15),
        ({"max_epochs": 0.25}, 1, 2),
        ({"max_epochs": 0.01}, 1, 1),
        ({"max_epochs": 2.5, "accumulate_grad_batches": 4}, 3, 5),
        ({"max_epochs": 2.5, "limit_train_batches": 4}, 3, 10),
        ({"max_epochs": 2.5, "limit_train_batches": 0.5}, 3, 8),
        ({"max_epochs": 2.5, "max_steps": 9}, 3, 9),
        ({"max_epochs": 2.5, "max_steps": -1}, 3, 15),
    ],
)
def test_a_part_of_an_epoch_is_that_part_of_its_steps(trainer, epochs, steps):
    assert options(**trainer) == {"max_epochs": epochs, "max_steps": steps}


def test_a_whole_number_of_epochs_is_left_to_lightning():
    assert options(max_epochs=3) == {}


@pytest.mark.few(2)
@pytest.mark.parametrize("value", ["3.0", "0", "-1.5", ".nan", "0.0"])
def test_other_numbers_are_refused(value, compose):
    from vision_baselines.config.checks import checked_config

    with pytest.raises(ConfigError, match=r"trainer\.max_epochs is"):
        checked_config(compose(f"trainer.max_epochs={value}", "checkpoint=last"))


def test_a_part_that_is_not_validated_cannot_be_best(compose):
    from vision_baselines.config.checks import checked_config

    with pytest.raises(ConfigError, match="expected checkpoint=last") as caught:
        checked_config(compose("trainer.max_epochs=2.5"))
    assert len(str(caught.value).splitlines()) == 1
    assert checked_config(compose("trainer.max_epochs=2.5", "checkpoint=last"))["trainer"]["max_epochs"] == 2.5


@pytest.mark.slow
def test_the_run_ends_after_its_part_of_an_epoch(run_tiny, scalars, tmp_path):
    record = run_tiny("run", "trainer.max_epochs=1.5", "checkpoint=last", "logger=csv", "trainer.log_every_n_steps=1")
    steps = [line.split(",") for line in (tmp_path / "outputs/run/csv/metrics.csv").read_text().splitlines()]
    at = steps[0].index("step")
    assert max(int(line[at]) for line in steps[1:]) in (8, 9)
    assert record.finished
