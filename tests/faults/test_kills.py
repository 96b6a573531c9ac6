"""Rows 5 to 11 and 49: real SIGKILLs at every moment we could think of, and then the same command again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

PLAIN = ["callbacks.filters=null", "trainer.log_every_n_steps=1", "trainer.max_epochs=3"]
OFTEN = "checkpoint_every_n_steps=3"
SCHEDULES = {
    "cosine": ["scheduler=cosine"],
    "one_cycle": ["scheduler=one_cycle"],
    "plateau": ["scheduler=plateau", "scheduler.schedule.patience=0", "+scheduler.schedule.threshold=1.0"],
}
# Row, and the moment's name in killing.py.
MOMENTS = [
    (5, "in mid-epoch"),
    (5, "in the first step after a state"),
    (5, "while testing"),
    (5, "as training ends"),
    (6, "at an epoch's last batch"),
    (6, "at an epoch's end"),
    (6, "at an epoch's start"),
    (7, "as validation starts"),
    (7, "in validation"),
    (7, "as validation ends"),
    (8, "between flushing the log and a checkpoint"),
    (8, "after a checkpoint"),
    (8, "while the record is written"),
    (8, "after the result is logged"),
    (11, "while a checksum is written"),
    (11, "between a checksum and its checkpoint"),
    (11, "while a checkpoint is written"),
    (11, "while the best weights are written"),
    (11, "before outdated checkpoints are removed"),
]


# Always run; the others are marked slow.
COMMON = {"in mid-epoch", "at an epoch's end", "in validation", "after a checkpoint", "after the result is logged",
          "while a checkpoint is written"}  # fmt: skip


def cases(folder, tiny, moments):
    """Each case: overrides, moments, and the case that it must equal."""
    found = {}
    for schedule, words in SCHEDULES.items() if not COMMON & set(moments) else [("plateau", SCHEDULES["plateau"])]:
        common = [*tiny[:-1], *PLAIN, *words]
        found[f"whole {schedule}"] = {"overrides": common, "moments": []}
        found[f"killed {schedule}"] = {
            "overrides": [*common, OFTEN], "moments": ["in mid-epoch", "in the first step after a state"],
            "against": f"whole {schedule}",
        }  # fmt: skip
    common = [*tiny[:-1], *PLAIN, *SCHEDULES["plateau"]]
    for moment in moments:
        found[moment] = {"overrides": [*common, OFTEN], "moments": [moment], "against": "whole plateau"}
    found["twice over"] = {
        "overrides": [*common, OFTEN, "data.num_workers=2"],
        "moments": ["as validation starts", "while old events are put away", 0.4, "while testing"],
        "against": "whole plateau",
    }
    shared = Path("/dev/shm")
    if shared.is_dir():
        other = f"callbacks.checkpoints.dirpath={shared / f'faults-{folder.parent.name}-{folder.name}'}"
        found["elsewhere"] = {
            "overrides": [*common, OFTEN, other],
            "moments": ["while a checkpoint is written", "in mid-epoch"],
            "against": "whole plateau",
        }
    for name, case in found.items():
        case["folder"] = str(folder / name.replace(" ", "-"))
    return found


@pytest.fixture(scope="module")
def results(tiny, python, tmp_path_factory, selected):
    moments = selected("moment", COMMON)
    return ends(tmp_path_factory.mktemp("kills"), python, lambda folder: cases(folder, tiny, moments))


@pytest.fixture(scope="module")
def rarer_results(tiny, python, tmp_path_factory, selected):
    rarer = selected("moment", [moment for _, moment in MOMENTS if moment not in COMMON])
    return ends(tmp_path_factory.mktemp("kills"), python, lambda folder: cases(folder, tiny, rarer))


def ends(folder, python, make):
    todo = make(folder)
    (folder / "cases.json").write_text(json.dumps(todo))
    try:
        script = str(Path(__file__).with_name("killing.py"))
        done = python(script, str(folder / "cases.json"), str(folder / "results.json"), timeout=550)
        assert done.returncode == 0, done.stderr
    finally:
        shutil.rmtree(f"/dev/shm/faults-{folder.parent.name}-{folder.name}", ignore_errors=True)
    return json.loads((folder / "results.json").read_text())


def check(result, kills):
    assert result["ends"].count(-9) >= kills, result
    assert result["last"] == 0, result
    assert result["differences"] == []


def some(common):
    return [pytest.param(row, m, id=f"row {row}: {m}") for row, m in MOMENTS if (m in COMMON) == common]


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize(("row", "moment"), some(common=True))
def test_rows_5_6_7_8_11_49_a_kill_at_any_moment_costs_nothing(results, row, moment):
    check(results[moment], 1)


@pytest.mark.slow
@pytest.mark.parametrize(("row", "moment"), some(common=False))
def test_rows_5_6_7_8_11_49_a_kill_at_any_other_moment_costs_nothing(rarer_results, row, moment):
    check(rarer_results[moment], 1)


@pytest.mark.slow
@pytest.mark.ci
def test_row_10_a_schedule_that_looks_at_the_validation_loss_goes_on_as_if_nothing_had_been(results):
    check(results["killed plateau"], 2)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_row_10_every_schedule_goes_on_as_if_nothing_had_been(rarer_results, schedule):
    check(rarer_results[f"killed {schedule}"], 2)


@pytest.mark.slow
@pytest.mark.ci
def test_row_9_one_run_may_be_killed_again_and_again_with_two_workers(results):
    check(results["twice over"], 3)


@pytest.mark.slow
@pytest.mark.ci
def test_row_9_a_killed_run_is_free_at_once_though_its_workers_may_outlive_it(results):
    assert all(result["free"] for result in results.values())


@pytest.mark.slow
@pytest.mark.ci
def test_row_11_checkpoints_on_another_file_system_are_as_safe(results):
    if "elsewhere" not in results:
        pytest.skip("there is no other file system here")
    check(results["elsewhere"], 2)


@pytest.mark.slow
@pytest.mark.ci
def test_row_11_what_a_kill_had_staged_is_swept_away(results):
    assert {name: result["left"] for name, result in results.items() if result["left"]} == {}


@pytest.mark.slow
@pytest.mark.ci
def test_row_8_a_killed_run_is_on_record_as_running_until_it_is_resumed(results):
    assert {results[moment]["state"] for moment in COMMON if moment in results} == {"running"}


@pytest.mark.slow
def test_row_5_a_hundred_kills_at_random_moments_cost_nothing(python, root):
    done = python(str(root / "scripts/stress_resume.py"), "--kills", "100", timeout=3000)
    assert done.returncode == 0, done.stdout
    assert "100 kills" in done.stdout
