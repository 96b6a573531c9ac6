"""A control says whether its data leaks: it passes, it shows a leak, or it could not have shown one."""

from __future__ import annotations

import pytest

import vision_baselines as vb
from vision_baselines.comparison.control import share_interval
from vision_baselines.config.comparison_options import check_comparison
from vision_baselines.errors import ConfigError
from vision_baselines.report.console import rich_table


def _trained(folder, *overrides):
    sizes = ["data.source.train_size=80", "data.source.val_size=16", "data.source.test_size=200"]
    net = ["model=fc", "model.hidden_features=[64]", "model.dropout=0.0", "optimizer.lr=0.01", "checkpoint=last"]
    common = [
        f"paths.output_dir={folder}",
        "data=noise",
        "data.image_shape=[1,8,8]",
        "data.batch_size=16",
        "logger=none",
        "name=control",
    ]
    return vb.train([*common, *sizes, *net, "probe=train_split", "trainer.max_epochs=15", *overrides])


def _control(run):
    comparison = vb.compare(run.folder.parent, chance_level="uniform")
    [found] = comparison.content.controls
    return found, comparison


@pytest.mark.slow
@pytest.mark.ci
def test_an_honest_control_passes_because_the_net_has_memorised_its_labels(tmp_path):
    run = _trained(tmp_path)
    found, comparison = _control(run)
    assert run.metrics["train_split/acc"] == 1
    assert found.outcome == "at chance"
    assert comparison.headline.startswith("The control passes")
    assert "contains 10.00%; train accuracy 100.00%" in found.reason
    assert comparison.table["control"].tolist() == ["at chance"]
    assert "at chance" in [cell for column in rich_table(comparison.content).columns for cell in map(str, column.cells)]
    assert "The control passes" in comparison.page.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.ci
def test_a_leak_is_caught_and_the_images_are_named(tmp_path):
    run = _trained(tmp_path, "data.source.leak=0.2")
    found, comparison = _control(run)
    assert run.metrics["test/acc"] > 0.2
    assert run.record.copies_of_test == 40
    assert found.outcome == "above chance"
    assert "40 test images are in train too" in found.reason
    assert comparison.headline.startswith("The control shows a leak")
    page = comparison.page.read_text(encoding="utf-8")
    assert "the test labels were seen in training" in page
    assert "40 test images are in train too" in page


@pytest.mark.slow
@pytest.mark.ci
def test_a_net_that_has_memorised_nothing_is_no_control(tmp_path):
    found, comparison = _control(_trained(tmp_path, "trainer.max_epochs=1", "optimizer.lr=1e-5"))
    assert found.outcome == "cannot fail"
    assert comparison.headline.startswith("The control shows nothing")


@pytest.mark.slow
@pytest.mark.ci
def test_without_the_accuracy_on_the_training_split_nothing_is_claimed(tmp_path):
    found, _ = _control(_trained(tmp_path, "probe=none"))
    assert found.outcome == "unknown"
    assert "probe=train_split" in found.reason


@pytest.mark.parametrize("level", [0, 1, -0.1, 2.0, "half", True, [0.1]])
def test_a_level_that_is_no_share_is_refused(level):
    with pytest.raises(ConfigError, match=r"comparison\.chance_level is .*; expected uniform, a share between 0 and 1"):
        check_comparison({"comparison": {"chance_level": level}})


def test_the_interval_holds_chance_for_an_honest_control_and_not_for_a_leak():
    low, high = share_interval(0.1, 1000)
    assert low < 0.1 < high
    assert share_interval(0.28, 1000)[0] > 0.1
    assert share_interval(0.0, 10)[0] == 0
    assert share_interval(1.0, 10)[1] == 1
