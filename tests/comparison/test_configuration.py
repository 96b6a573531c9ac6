"""What sets groups apart besides their names."""

from __future__ import annotations

from pathlib import Path

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.configuration import leaf, setting_differences
from vision_baselines.runs.fingerprint import is_irrelevant


def job(record):
    return Job(Path(record.name), record.name, record)


def test_settings_that_differ_between_groups_are_found_and_seeds_are_not(record):
    def made(model, lr, seed):
        return job(
            record(f"seed={seed}", config={"seed": seed, "model": {"name": model}, "optimizer": {"lr": lr, "m": 0.9}})
        )

    found = setting_differences({"a": [made("cnn", 0.1, s) for s in (0, 1)], "b": [made("fc", 0.2, s) for s in (0, 1)]})

    assert found == {"model.name": {"a": "cnn", "b": "fc"}, "optimizer.lr": {"a": "0.1", "b": "0.2"}}


def test_a_setting_that_only_one_group_has_is_a_difference(record):
    found = setting_differences(
        {
            "a": [job(record(config={"model": {"kernel_size": 3}, "seed": 0}))],
            "b": [job(record(config={"seed": 0}))],
        }
    )

    assert found == {"model.kernel_size": {"a": "3"}}


def test_bookkeeping_and_copies_of_a_setting_are_left_out(record):
    def made(value):
        return job(record(config={"paths": {"out": value}, "model": {"w": value}, "classifier": {"net": {"w": value}}}))

    assert list(setting_differences({"a": [made(1)], "b": [made(2)]})) == ["model.w"]


def test_a_leaf_is_found_by_its_dotted_key_and_a_branch_is_none():
    config = {"optimizer": {"lr": 0.01, "betas": [0.9, 0.99], "name": "adam", "extra": None}}

    assert leaf(config, "optimizer.lr") == "0.01"
    assert leaf(config, "optimizer.extra") == "null"
    assert leaf(config, "optimizer") is None
    assert leaf(config, "optimizer.lr.deeper") is None
    assert leaf(config, "optimizer.betas") == "[0.9,0.99]"


def test_what_a_fingerprint_leaves_out_is_bookkeeping():
    assert all(map(is_irrelevant, ["name", "paths.output_dir", "logger", "trainer.enable_progress_bar"]))
    assert not any(map(is_irrelevant, ["model", "optimizer.lr", "trainer.max_epochs", "seed"]))
