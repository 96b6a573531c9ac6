"""Every experiment runs from its one command, in seconds with debug=quick, and compares itself."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import OmegaConf, open_dict, read_write
from PIL import Image

from vision_baselines.evaluation.receipt import read_receipt
from vision_baselines.evaluation.references import published
from vision_baselines.runs.dotted import walk
from vision_baselines.runs.fingerprint import job_name
from vision_baselines.runs.record import Status
from vision_baselines.training.run import train

CONF = Path(__file__).resolve().parents[1] / "conf"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
RECEIPTS = sorted(path.stem for path in (CONF / "experiment").glob("*.json"))
# Made-up images of the same shape, where the files are not at hand.
STAND_INS = {
    "mnist": ["data=noise", "++data.source.train_size=8000"],  # of which 1 % is more than a batch
    "cifar10": [
        "data=noise",
        "data.image_shape=[3,32,32]",
        "data.mean=[0.5,0.5,0.5]",
        "data.std=[0.13,0.13,0.13]",
        "++data.source.image_shape=[3,32,32]",
    ],
}


def data_of(experiment):
    chosen = yaml.safe_load((CONF / "experiment" / f"{experiment}.yaml").read_text()).get("defaults", [])
    return next((entry["override /data"] for entry in chosen if "override /data" in entry), "digits")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_opens_with_its_command_and_has_its_own_name(experiment):
    text = (CONF / "experiment" / f"{experiment}.yaml").read_text()
    assert f"# python scripts/train.py -m experiment={experiment}\n" in text
    assert yaml.safe_load(text)["name"] == experiment


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_has_its_numbers_in_the_docs(experiment):
    assert f"experiment={experiment}`" in (CONF.parent / "docs" / "experiments.md").read_text()


@pytest.fixture(scope="module")
def expected_of():
    return {baseline.name: baseline for baseline in published()}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_what_an_experiment_expects_stands_in_its_header_or_its_receipt(experiment, expected_of):
    text = (CONF / "experiment" / f"{experiment}.yaml").read_text()
    expected = expected_of.get(experiment)
    assert ("Nothing is expected yet" in text) is (expected is None)
    if experiment in RECEIPTS:  # its figures stand there, and in the page that is made of them
        assert f"python scripts/reproduce.py --baselines {experiment}\n" in text
        assert "expected" not in yaml.safe_load(text)
        assert " ± " not in text
    if expected is None or experiment in RECEIPTS:
        return
    header = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    for group in expected.groups.values():
        assert f"{group['mean']:.2%}".replace("%", " %") in header
        assert f"± {group['std'] * 100:.2f}" in header
    for package in ("torch", "torchvision", "pytorch-lightning"):
        assert f"{package} {expected.environment.versions[package].split('+')[0]}" in header


@pytest.mark.parametrize("experiment", RECEIPTS)
def test_a_receipt_has_every_run_of_its_experiment_and_names_no_path(experiment):
    path = CONF / "experiment" / f"{experiment}.json"
    found = read_receipt(path)
    assert found.sweep == experiment
    seeds = list(values(OverridesParser.create().parse_override(f"seed={sweeper_of(experiment)['params']['seed']}")))
    wanted = {
        job_name([f"experiment={experiment}", *(f"seed={seed}" if text == "seed=0" else text for text in overrides)])
        for overrides in jobs_of(experiment)
        for seed in seeds
    }
    assert {record.name for record in found.records.values()} == wanted
    assert all(record.environment.git_dirty is False for record in found.records.values())
    assert not [value for _, value in walk(json.loads(path.read_text())) if str(value).startswith(("/", "~"))]


def options_of(experiment, tmp_path):
    """What is given beside debug=quick: where the data lies, or what stands in for it."""
    data = data_of(experiment)
    folder = {"mnist": "MNIST", "image_folder": "cifar10_subset"}.get(data)
    if folder and (SHARED / folder).is_dir():
        return [f"paths.data_dir={SHARED}"]
    return [f"data.source.root={pictures(tmp_path)}"] if data == "image_folder" else STAND_INS.get(data, [])


def pictures(folder):
    """Ten classes of plain pictures, enough for a training batch."""
    for label, number in itertools.product(range(10), range(12)):
        part = folder / "pictures" / ("train" if number < 10 else "test") / str(label)
        part.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (25 * label, 20 * number, 9)).save(part / f"{number}.png")
    return folder / "pictures"


def sweeper_of(experiment):
    return yaml.safe_load((CONF / "experiment" / f"{experiment}.yaml").read_text())["hydra"]["sweeper"]


def jobs_of(experiment):
    """The overrides of every job with seed 0: the grid of `params`, for each of `groups`, and without each part."""
    content = yaml.safe_load((CONF / "experiment" / f"{experiment}.yaml").read_text())
    sweeper, parts = content["hydra"]["sweeper"], dict(content.get("ablate", {}))
    left_out = [(), *([part] if isinstance(part, str) else part for part in parts.values() if part is not False)]
    grid = [f"{key}={values}" for key, values in {**sweeper["params"], "seed": "0"}.items()]
    for group in sweeper.get("groups", [[]]):
        parsed = OverridesParser.create().parse_overrides([*grid, *group])
        axes = [[f"{axis.get_key_element()}={v}" for v in values(axis)] for axis in parsed]
        yield from ((*job, *part) for part in left_out for job in itertools.product(*axes))


def values(axis):
    return axis.sweep_string_iterator() if axis.is_sweep_override() else [axis.get_value_element_as_str()]


@pytest.mark.parametrize("experiment", ["kernel_size", "depth_and_width"])
def test_nets_of_an_experiment_at_equal_parameters_are_within_two_percent_of_their_mean(experiment, compose):
    cfg = compose(f"experiment={experiment}")
    counts = []
    for group in sweeper_of(experiment)["groups"]:
        job = OmegaConf.merge(cfg, OmegaConf.from_dotlist([text.replace('"', "") for text in group]))
        counts.append(sum(weights.numel() for weights in instantiate(job.model).parameters()))
    mean = sum(counts) / len(counts)
    assert len(counts) == 4
    assert all(abs(count - mean) <= 0.02 * mean for count in counts), counts


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_job_of_an_experiment_runs_in_seconds_with_debug_quick(experiment, compose, tmp_path):
    """Job by job in this process; the command itself is run below."""
    for overrides in jobs_of(experiment):
        jobs = [f"experiment={experiment}", "debug=quick", *options_of(experiment, tmp_path), *overrides, "logger=none"]
        cfg = compose(*jobs, run_dir=tmp_path / job_name(jobs), name=experiment)
        with read_write(HydraConfig.get()), open_dict(HydraConfig.get()):
            HydraConfig.get().overrides.task = jobs
        record = train(cfg)
        assert record.status is Status.FINISHED
        assert record.metrics[cfg.comparison.metric or record.headline_metric] >= 0
        assert set(cfg.probe) <= {name.partition("/")[0] for name in record.metrics}


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiments_command_compares_itself(experiment, cli, tmp_path):
    ended = cli("-m", f"experiment={experiment}", "debug=quick", *options_of(experiment, tmp_path))
    assert ended.returncode == 0, ended.stderr
    folder = tmp_path / "outputs" / experiment
    runs = list(folder.glob("*/run.json"))
    assert len(runs) >= 2
    assert {json.loads(run.read_text())["seed"] for run in runs} == {0}
    assert (folder / "comparison" / "comparison.html").is_file()
