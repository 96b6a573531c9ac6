"""What was planned and has left no record yet counts as not finished, and no group is called otherwise for it."""

from __future__ import annotations

import itertools
import random
import shutil

import pytest
from tests.comparison.conftest import full_record

from vision_baselines.comparison.caveats import caveats
from vision_baselines.comparison.collection import Records, collect
from vision_baselines.comparison.table import tabulate
from vision_baselines.comparison.verdict import headline
from vision_baselines.report.checklist import checklist
from vision_baselines.report.page import page
from vision_baselines.runs.planned import PLANNED_FILE
from vision_baselines.sweep.planned import note_planned

AXES = {
    "model": ["cnn", "fc"],
    "optimizer.lr": [None, "0.1"],
    "trainer.max_epochs": ["3"],
    "data.classes": [None, "[0,1]"],
}


def planned(top, *, draws):
    """A sweep's jobs, a random part of all combinations, noted in its folder: folder and record of each."""
    combinations = list(itertools.product(*AXES.values()))
    jobs = []
    for values in draws.sample(combinations, draws.randint(2, len(combinations))):
        typed = {key: value for key, value in zip(AXES, values, strict=True) if value is not None}
        for seed in range(draws.randint(1, 3)):
            name = ",".join([*(f"{key}={value}" for key, value in typed.items()), f"seed={seed}"])
            model = typed["model"]
            jobs.append(
                (top / name, full_record(model, seed, {k: v for k, v in typed.items() if k != "model"}, 2, 0, "s"))
            )
    words = [[text for text in record.overrides if not text.startswith("name=")] for _, record in jobs]
    note_planned(top, [folder.absolute() for folder, _ in jobs], words)
    return jobs


def write(jobs):
    for folder, record in jobs:
        folder.mkdir(parents=True, exist_ok=True)
        record.write(folder)


def labels(table):
    return {job.folder.name: row.label for row in table.rows for job in row.jobs}


@pytest.mark.parametrize("seed", range(12))
def test_a_group_is_called_in_the_midst_of_its_sweep_what_it_is_called_in_the_end(tmp_path, seed):
    draws = random.Random(seed)
    jobs = planned(tmp_path / "s", draws=draws)
    draws.shuffle(jobs)
    records, begun = Records([tmp_path / "s"]), draws.randint(1, len(jobs))
    write(jobs[:begun])
    early = tabulate(records.collected())
    assert early.n_unfinished == early.n_not_begun == len(jobs) - begun
    said = [text for text in caveats(early) if "not finished" in text]
    assert [text.split()[0] for text in said] == ([str(len(jobs) - begun)] if begun < len(jobs) else [])
    from_above = tabulate(collect([tmp_path]))
    assert (from_above.n_unfinished, labels(from_above)) == (early.n_unfinished, labels(early))
    assert f"{len(jobs)} job{'s' * (len(jobs) > 1)}, of which {begun} stand in the numbers" in checklist(early)
    shown = page(early, None, tmp_path)
    assert (f"<b>{len(jobs) - begun}</b> not started" in shown) is (begun < len(jobs))
    write(jobs[begun:])
    late = tabulate(records.collected([folder for folder, _ in jobs[begun:]]))
    assert late.n_unfinished == 0
    assert labels(early).items() <= labels(late).items()
    (tmp_path / "s" / PLANNED_FILE).unlink()
    assert labels(tabulate(collect([tmp_path / "s"]))) == labels(late)


def test_a_plan_that_grows_is_read_again_and_a_run_that_is_gone_is_to_begin_again(tmp_path):
    jobs = planned(tmp_path / "s", draws=random.Random(3))
    records = Records([tmp_path / "s"])
    write(jobs)
    assert tabulate(records.collected()).n_not_begun == 0
    shutil.rmtree(jobs[0][0])
    assert tabulate(records.collected([jobs[0][0]])).n_not_begun == 1
    folders = [folder.absolute() for folder, _ in jobs]
    note_planned(tmp_path / "s", [*folders, (tmp_path / "s" / "model=x,seed=0").absolute()], [["model=x"]])
    assert tabulate(records.collected([])).n_not_begun == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"jobs": 3}', b'{"jobs": ["../x", "/y", ""]}', b"\xff"])
def test_a_plan_that_cannot_be_read_names_no_job(tmp_path, content):
    write(planned(tmp_path / "s", draws=random.Random(5)))
    assert not [text for text in caveats(tabulate(collect([tmp_path / "s"]))) if "cannot be read" in text]
    (tmp_path / "s" / PLANNED_FILE).write_bytes(content)
    for top in (tmp_path / "s", tmp_path):
        table = tabulate(collect([top]))
        assert table.n_not_begun == 0
        [said] = [text for text in caveats(table) if "cannot be read" in text]
        assert "the same command writes it again" in said


def test_trials_to_come_are_counted_and_name_no_setting(tmp_path):
    [one, *_] = planned(tmp_path / "s", draws=random.Random(7))
    write([one])
    names = [(tmp_path / "s" / f"trial={n},seed=0").absolute() for n in range(3)]
    note_planned(
        tmp_path / "s", [one[0].absolute(), *names], [["seed=0"], *([f"trial {n}", "seed=0"] for n in range(3))]
    )
    table = tabulate(collect([tmp_path / "s"]))
    assert table.n_not_begun == 3
    assert len(table.rows) == 1


def test_a_result_may_come_yet_where_jobs_are_to_begin(tmp_path):
    jobs = planned(tmp_path / "s", draws=random.Random(1))
    folder, record = jobs[0]
    write([(folder, record.model_copy(update={"metrics": {}, "history": []}))])
    assert " yet" in headline(tabulate(collect([tmp_path / "s"])))


def test_one_setting_typed_in_two_ways_is_told(tmp_path):
    def group(extra, folder, lr="0.001"):
        for seed in range(3):
            record = full_record("fc", seed, extra, 2, 0, "s")
            record.config["optimizer"] = {"lr": float(lr)}
            write([(tmp_path / "s" / f"{folder},seed={seed}", record)])

    group({}, "default")
    group({"optimizer.lr": "0.01"}, "other", lr="0.01")
    assert not [text for text in caveats(tabulate(collect([tmp_path / "s"]))) if "typed in" in text]
    group({"optimizer.lr": "1e-3"}, "again")
    table = tabulate(collect([tmp_path / "s"]))
    [said] = [text for text in caveats(table) if "typed in" in text]
    assert said.startswith("default, optimizer.lr=1e-3 are one setting, typed in 2 ways")
    assert not [
        text for text in caveats(tabulate(collect([tmp_path / "s"]), group_by=["optimizer.lr"])) if "typed" in text
    ]


def test_a_sweep_that_is_gone_has_no_plan_any_more(tmp_path):
    for name in ("a", "b"):
        write(planned(tmp_path / name, draws=random.Random(2)))
        (tmp_path / name / PLANNED_FILE).write_bytes(b"{")
    records = Records([tmp_path])
    assert len(records.collected().unread_plans) == 2
    shutil.rmtree(tmp_path / "b")
    assert len(records.collected().unread_plans) == 1
