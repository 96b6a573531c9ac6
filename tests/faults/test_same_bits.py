"""Rows 1 to 4: what may differ between two runs of one seed, and what then may not."""

from __future__ import annotations

import json
import re

import pytest
import pytorch_lightning as pl
import torch


@pytest.fixture(scope="module")
def first(train_tiny, tmp_path_factory):
    """A run that others are held against, and its folder."""
    folder = tmp_path_factory.mktemp("first") / "job"
    return train_tiny(folder), folder


def same(record, expected):
    assert record.final_weights_sha256 == expected.final_weights_sha256
    assert record.weights_sha256 == expected.weights_sha256
    assert record.metrics == expected.metrics
    assert record.history == expected.history


def test_row_1_the_same_seed_twice_gives_the_same_weights_and_metrics(run_tiny, first):
    same(run_tiny("again"), first[0])


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("workers", [1, 2])
def test_row_2_loading_workers_change_nothing(run_tiny, first, workers):
    same(run_tiny("workers", f"data.num_workers={workers}"), first[0])


class Draw(pl.Callback):
    """Draws from every global generator, as somebody else's code may."""

    def draw(self, *ignored):
        import random

        import numpy as np

        torch.rand(7), np.random.rand(3), random.random()

    on_train_batch_start = on_train_batch_end = on_validation_start = on_train_epoch_start = on_fit_start = draw


@pytest.mark.slow
@pytest.mark.ci
def test_row_3_draws_from_the_global_generators_change_nothing(run_tiny, with_callback, first):
    with_callback(Draw())
    same(run_tiny("draws"), first[0])


def test_row_3_validation_may_be_off(run_tiny, first):
    off = run_tiny("off", "+trainer.limit_val_batches=0")
    assert off.final_weights_sha256 == first[0].final_weights_sha256


@pytest.mark.slow
@pytest.mark.ci
def test_row_4_under_another_number_of_threads_metrics_are_held_to_their_interval(command_line, first, noted):
    answer = command_line(str(first[1]), "threads=2", verb="reproduce")
    assert answer.code == 0, answer
    assert "bits are not comparable: threads 1 ≠ 2" in answer.out
    assert "test/acc" in answer.out
    noted(4, "`reproduce.py RUN threads=2`", (answer.out.splitlines()[-1], answer.code))


def test_row_4_metrics_outside_their_interval_are_a_failure(command_line, first, tmp_path, noted):
    content = json.loads((first[1] / "run.json").read_text())
    content["environment"]["cpu_capability"] = "SSE9"
    content["metrics"]["test/acc"] = 0.95
    (tmp_path / "run.json").write_text(json.dumps(content))
    answer = command_line(str(tmp_path), verb="reproduce")
    assert answer.code == 4, answer
    assert "bits are not comparable: cpu_capability SSE9" in answer.message
    assert "is outside" in answer.message
    message = answer.message.replace(f"≠ {torch.backends.cpu.get_cpu_capability()}", "≠ AVX2")
    message = re.sub(r"test/acc .* is outside .*", "test/acc … is outside …", message)
    noted(4, "a record of another instruction set and other metrics", (message, answer.code))


def test_row_1_a_run_is_reproduced_bit_for_bit_from_its_record(command_line, first):
    answer = command_line(str(first[1]), verb="reproduce")
    assert answer.code == 0, answer
    assert "is reproduced bit for bit" in answer.out


def test_row_4_a_record_whose_weights_were_other_ones_is_not_reproduced(command_line, first, tmp_path, noted):
    content = json.loads((first[1] / "run.json").read_text())
    content["weights_sha256"] = "0" * 64
    (tmp_path / "run.json").write_text(json.dumps(content))
    answer = command_line(str(tmp_path), verb="reproduce")
    assert answer.code == 4
    assert "DIFFERENT  weights, best epoch" in answer.out
    noted(4, "a record whose weights were other ones", answer)


def test_row_4_a_folder_without_a_finished_run_cannot_be_reproduced(command_line, tmp_path, noted):
    answer = command_line(str(tmp_path), verb="reproduce")
    assert answer.code == 3
    noted(4, "reproducing a folder without a run", answer)
