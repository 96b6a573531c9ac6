"""What makes two runs the same, and what their folders are called."""

from __future__ import annotations

import copy
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_baselines.runs.fingerprint import differences, fingerprint, group_name, job_name, missing_probes, relevant

CONFIG = {
    "name": "demo",
    "seed": 0,
    "threads": 1,
    "data": {"batch_size": 64, "num_workers": 0, "mean": [0.5]},
    "model": {"_target_": "vision_baselines.models.cnn.CNN", "dropout": 0.5},
    "optimizer": {"lr": 1e-3},
    "scheduler": {"schedule": None},
    "trainer": {"max_epochs": 15, "enable_progress_bar": True, "log_every_n_steps": 10, "precision": "32-true"},
    "callbacks": {"history": {"log_every_n_steps": 10}, "checkpoints": {"monitor": "val/acc", "every_n_steps": 500}},
    "logger": {"tensorboard": {"save_dir": "x"}},
}


def changed(key, value):
    config = copy.deepcopy(CONFIG)
    *parents, last = key.split(".")
    node = config
    for parent in parents:
        node = node[parent]
    node[last] = value
    return config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "other"),
        ("logger", {}),
        ("data.num_workers", 2),
        ("trainer.enable_progress_bar", False),
        ("trainer.log_every_n_steps", 1),
        ("callbacks.history", None),
        ("callbacks.checkpoints.every_n_steps", 1),
    ],
)
def test_what_cannot_change_a_result_is_ignored(key, value):
    assert fingerprint(changed(key, value)) == fingerprint(CONFIG)
    assert not differences(CONFIG, changed(key, value))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 1),
        ("threads", 2),
        ("data.batch_size", 32),
        ("data.mean", [0.4]),
        ("model.dropout", 0.4),
        ("model._target_", "vision_baselines.models.fc.FC"),
        ("optimizer.lr", 2e-3),
        ("scheduler.schedule", {"factor": 0.1}),
        ("trainer.max_epochs", 16),
        ("trainer.precision", "bf16-mixed"),
        ("callbacks.checkpoints.monitor", "val/loss"),
    ],
)
def test_what_can_change_a_result_counts_and_is_listed(key, value):
    other = changed(key, value)
    assert fingerprint(other) != fingerprint(CONFIG)
    assert any(line.startswith(key) and " → " in line for line in differences(CONFIG, other))


def test_the_order_of_keys_does_not_count():
    assert fingerprint(dict(reversed(CONFIG.items()))) == fingerprint(CONFIG)


def test_a_difference_shows_both_values_and_what_is_absent():
    one, other = {"a": 1, "b": {"c": 2}}, {"a": 3, "d": 4}
    assert differences(one, other) == ["a: 1 → 3", "b.c: 2 → (absent)", "d: (absent) → 4"]


def test_what_is_null_or_empty_says_nothing():
    assert relevant({"a": {}, "b": [], "c": None, "d": 0, "e": False}) == {"d": 0, "e": False}


overrides = st.lists(
    st.builds(
        "{}={}".format,
        st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,5})?", fullmatch=True),
        st.text(st.characters(blacklist_categories=["Cs"]), max_size=20),
    ),
    max_size=6,
)


@given(overrides, st.randoms())
def test_the_same_job_gets_the_same_folder_whatever_the_order(texts, random):
    shuffled = list(texts)
    random.shuffle(shuffled)
    assert job_name(shuffled) == job_name(texts)


@given(overrides)
def test_every_job_name_is_one_safe_folder_name(texts):
    name = job_name(texts)
    assert re.fullmatch(r"[A-Za-z0-9_=,.+-]+", name)
    assert not name.startswith(".")
    assert name not in ("comparison", "multirun.yaml")
    assert len(name) <= 130


kept = st.lists(st.sampled_from(["a", "b", "c"]).map("key.{}".format), unique=True, min_size=1)
values = st.text(st.characters(blacklist_categories=["Cs"]), max_size=8)


@given(
    kept.flatmap(lambda keys: st.tuples(st.just(keys), *[st.lists(values, min_size=len(keys), max_size=len(keys))] * 2))
)
def test_different_jobs_get_different_folders(drawn):
    keys, first, second = drawn
    one = [f"{key}={value}" for key, value in zip(keys, first, strict=True)]
    other = [f"{key}={value}" for key, value in zip(keys, second, strict=True)]
    assert (job_name(one) == job_name(other)) == (one == other)


def test_a_comma_inside_a_value_is_reported_from_two_overrides():
    assert job_name(["a='1,b=2'"]) != job_name(["a=1", "b=2"])


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (["model=cnn", "seed=0"], "model=cnn,seed=0"),
        (["seed=0", "model=cnn", "name=demo"], "model=cnn,seed=0"),
        (["+trainer.limit_train_batches=2"], "trainer.limit_train_batches=2"),
        (["++seed=1"], "seed=1"),
        ([], "default"),
        (["name=x", "paths.output_dir=/tmp/a", "hydra/launcher=basic", "n_jobs=2", "logger=none"], "default"),
        (["hydra.launcher.n_jobs=3", "data.num_workers=2", "trainer.enable_progress_bar=false"], "default"),
    ],
)
def test_a_folder_reads_like_the_command_that_made_it(texts, name):
    assert job_name(texts) == name


def test_long_names_are_cut_and_kept_apart():
    one, other = ([f"model.key{i}={'x' * 20}" for i in range(9)] + [f"seed={seed}"] for seed in (0, 1))
    assert job_name(one) != job_name(other)
    assert len(job_name(one)) <= 130


def test_a_group_is_the_job_without_its_seed_however_it_is_written():
    names = {group_name(["model=cnn", seed]) for seed in ("seed=0", "seed=1", "++seed=2", "+seed=3")}
    assert names == {"model=cnn"}


def test_a_key_that_only_ends_in_seed_stays_in_the_group():
    assert group_name(["data.source.split_seed=3"]) == "data.source.split_seed=3"


def test_a_key_that_says_nothing_makes_no_other_run():
    assert fingerprint({"seed": 1}) == fingerprint({"seed": 1, "freeze": None, "transfer": {}, "later": []})
    assert fingerprint({"seed": 1}) != fingerprint({"seed": 1, "freeze": "backbone"})
    assert fingerprint({"seed": 0}) != fingerprint({})


def test_how_often_a_probe_logs_is_no_reason_to_ask_it_again():
    had = {"probe": {"depth": {"blocks": None, "log_every_n_steps": 50}}}
    assert missing_probes(had, {"probe": {"depth": {"blocks": None, "log_every_n_steps": 10}}}) == {}
    assert missing_probes(had, {"probe": {"depth": {"blocks": ["a"], "log_every_n_steps": 50}}})
