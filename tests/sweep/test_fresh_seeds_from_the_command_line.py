"""Fresh seeds from the command line: a job that fails, the same command again, a preview, a source of weights."""

from __future__ import annotations

import os

import pytest

from vision_baselines.config.restore import restored
from vision_baselines.runs import environment as environment_of_run
from vision_baselines.runs.record import FRESH_SEEDS, Status, read_record
from vision_baselines.training import build
from vision_baselines.training.pretrained import start_from

PLAIN = ["callbacks.filters=null", "callbacks.parameters=null", "logger=none", "callbacks.learning_rate=null"]

FAILS = """
from pytorch_lightning.callbacks import Callback


class Fails(Callback):
    def on_train_start(self, trainer, pl_module):
        if any(6 in parameter.shape for parameter in pl_module.parameters()):
            raise RuntimeError("the roof fell in")
"""


@pytest.fixture(scope="module")
def sweep(python, root, tiny, tmp_path_factory, environment):
    place = tmp_path_factory.mktemp("fresh")
    (place / "own_callbacks.py").write_text(FAILS)

    def run(name, *overrides):
        words = [*tiny, *PLAIN, f"paths.output_dir={place / 'outputs'}", "n_jobs=2", "trainer.max_epochs=1", *overrides]
        named = {word.split("=")[0].lstrip("+"): word for word in words}
        path = os.pathsep.join([str(place), environment["PYTHONPATH"]])
        script = str(root / "scripts" / "train.py")
        done = python(script, "-m", f"name={name}", *named.values(), cwd=place, PYTHONPATH=path)
        return done, place / "outputs" / name

    return run


def fresh(folder):
    return {path.parent: read_record(path.parent) for path in sorted(folder.glob(f"{FRESH_SEEDS}/*/run.json"))}


def written(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("run.json")}


def first_weights(record, folder, source):
    """SHA-256 of a run's net as its seed draws it, then filled from `source`: the head is new, for other classes."""
    cfg = restored(record.config, folder, writes=False)
    with environment_of_run.process_kept():
        environment_of_run.prepare_process(threads=cfg.threads)
        environment_of_run.seed_process(cfg.seed)
        return start_from(source, build.classifier(cfg).net, record.config)


@pytest.mark.slow
def test_after_a_sweep_with_a_failure_the_choice_is_trained_once_and_a_preview_trains_nothing(sweep):
    words = ["model.hidden_features=4,5,6", "seed=0,1", "comparison.fresh_seeds=2"]
    words += ["+callbacks.own._target_=own_callbacks.Fails", "trusted_packages=[own_callbacks]"]
    done, folder = sweep("jobs", *words)

    assert done.returncode == 4, done.stdout + done.stderr
    assert "the roof fell in" in done.stdout + done.stderr
    made = fresh(folder)
    assert {record.seed for record in made.values()} == {2, 3}
    assert all(record.status is Status.FINISHED and record.sweep == "jobs" for record in made.values())
    assert "on 2 seeds that chose nothing" in " ".join(done.stdout.split())

    failed = {path for path in written(folder) if read_record(path.parent).status is Status.FAILED}
    assert len(failed) == 2
    before = {path: at for path, at in written(folder).items() if path not in failed}
    again, _ = sweep("jobs", *words)
    assert again.returncode == 4
    assert {path: at for path, at in written(folder).items() if path in before} == before
    assert fresh(folder) == made

    everything = written(folder)
    preview, _ = sweep("jobs", *words, "preview=true")
    assert "up to 2 more jobs follow" in preview.stdout
    assert written(folder) == everything


@pytest.mark.slow
def test_what_a_chosen_job_starts_from_is_trained_on_the_fresh_seeds_too(sweep):
    words = ["transfer=pretrain,finetuned,frozen", "comparison.baseline=transfer=frozen", "comparison.fresh_seeds=1"]
    done, folder = sweep("chain", *words, "seed=0,1", "++data.source.train_size=600")

    assert done.returncode == 0, done.stdout + done.stderr
    made = fresh(folder)
    assert {record.seed for record in made.values()} == {2}
    assert len(made) == 2
    [chosen] = [path for path, record in made.items() if "transfer=pretrain" not in record.overrides]
    [source] = [path for path, record in made.items() if "transfer=pretrain" in record.overrides]
    assert made[chosen].init_weights_sha256 == first_weights(made[chosen], chosen, source)
    swept = [path.parent for path in folder.glob("*/run.json")]
    others = [path for path in swept if "transfer=pretrain" in read_record(path).overrides]
    assert len(others) == 2
    assert all(made[chosen].init_weights_sha256 != first_weights(made[chosen], chosen, other) for other in others)
