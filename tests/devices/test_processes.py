"""One run of several processes on the CPU: the bits, the resume, and how it ends."""

from __future__ import annotations

import pytest

from vision_baselines.runs.record import Status

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*")]
TWO = ("trainer.devices=2", "checkpoint_every_n_steps=1", "model.dropout=0.2", "trainer.log_every_n_steps=1")


def outcome(record):
    kept = record.model_dump(include={"metrics", "best_epoch", "weights_sha256", "final_weights_sha256", "confusion"})
    kept["history"] = [row.model_dump() for row in record.history]
    return kept


@pytest.mark.ci
def test_two_processes_repeat_themselves_and_resume_bit_for_bit(run_tiny, resumed_after):
    whole = run_tiny("whole", *TWO)
    assert whole.status is Status.FINISHED
    assert whole.environment.processes == 2
    assert outcome(resumed_after(4, run_tiny, *TWO)) == outcome(whole)
