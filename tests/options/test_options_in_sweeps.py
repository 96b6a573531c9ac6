"""Options hold in the jobs of a sweep as in a single run, with loaders that have workers."""

from __future__ import annotations

import pytest

from vision_baselines.runs.record import Status, read_record


@pytest.mark.slow
def test_jobs_with_workers_and_options_end_as_the_same_runs_alone(cli, tiny, run_tiny, tmp_path):
    own = ["data.num_workers=2", "+trainer.accumulate_grad_batches=2", "+trainer.gradient_clip_val=0.5"]
    chosen = {
        word.split("=", 1)[0].lstrip("+"): word for word in [*tiny, *own, "logger=none", "callbacks.filters=null"]
    }
    done = cli("-m", "name=sweep", "n_jobs=2", *chosen.values(), "trainer.precision=32-true,64-true,bf16-mixed")
    assert done.returncode == 0, done.stdout + done.stderr
    folders = sorted(path.parent for path in (tmp_path / "outputs" / "sweep").glob("*/run.json"))
    assert len(folders) == 3
    for folder in folders:
        record = read_record(folder)
        alone = run_tiny(f"alone {record.precision}", *own, f"trainer.precision={record.precision}")
        assert record.status is Status.FINISHED
        assert record.final_weights_sha256 == alone.final_weights_sha256
