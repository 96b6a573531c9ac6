"""What probes do to a run: they add to its record, and change nothing else."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytorch_lightning import Callback

from vision_baselines.comparison.formatting import number
from vision_baselines.config.compose import conf_dir
from vision_baselines.errors import DataError, StorageError
from vision_baselines.probes.probe import Probe
from vision_baselines.runs.fingerprint import fingerprint, job_name
from vision_baselines.runs.record import read_record
from vision_baselines.training import build, history
from vision_baselines.training.results import probe_lines


class FallsOver(Callback):
    def on_train_batch_end(self, trainer, *rest):
        if trainer.global_step == 8:
            raise RuntimeError("the roof fell in")


@pytest.fixture(scope="module")
def plain(train_tiny, tmp_path_factory, everything):
    """The run that `probed` is without its probes: its record and its folder."""
    folder = tmp_path_factory.mktemp("plain") / "run"
    return train_tiny(folder, *everything[2:]), folder


def test_a_probed_run_ends_with_the_weights_and_the_metrics_of_the_run_without(probed, plain):
    (with_probes, _), (without, _) = probed, plain

    assert with_probes.final_weights_sha256 == without.final_weights_sha256
    assert without.metrics.items() <= with_probes.metrics.items()
    assert with_probes.history == without.history
    assert without.curves == {}
    kinds = {f"corruptions/acc_{kind}" for kind in ("noise", "blur", "contrast", "occlusion")}
    one_each = {"shift/acc", "edges/similarity", "depth/activation", "units/dead"}
    assert set(with_probes.curves) - {"calibration/gap", "calibration/gap_scaled"} == one_each | kinds


def test_a_run_without_probes_has_none_among_its_callbacks(compose):
    assert not [c for c in build.callbacks(compose("probe=none")) if isinstance(c, Probe)]
    every = {path.stem for path in (Path(conf_dir()) / "probe").glob("*.yaml")} - {"all", "none", "features"}
    assert len([c for c in build.callbacks(compose("probe=all")) if isinstance(c, Probe)]) == len(every)


def test_a_probe_is_no_part_of_what_makes_a_run_the_same(probed, plain):
    assert probed[0].fingerprint == plain[0].fingerprint
    assert fingerprint({**plain[0].config, "probe": {}}) == fingerprint(
        {key: value for key, value in plain[0].config.items() if key != "probe"}
    )
    assert job_name(["probe=shift", "probe.shift.max_px=2", "model=cnn"]) == "model=cnn"


def test_pictures_and_numbers_reach_tensorboard(probed, events, scalars):
    record, folder = probed

    drawn = {"shift/acc", "edges/similarity", "depth/activation", "units/dead"}
    drawn |= {"corruptions/curves", "corruptions/pictures", "saliency/attributions"}
    assert drawn <= set(events(folder).Tags()["images"])
    assert scalars(folder)["shift/acc_1px"] == [(record.history[-1].step, record.metrics["shift/acc_1px"])]


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_that_was_interrupted_is_probed_as_the_uninterrupted_one(
    probed, everything, train_tiny, tmp_path, with_callback, scalars
):
    record, folder = probed
    more = [*everything, "checkpoint_every_n_steps=3"]
    with_callback(FallsOver())
    with pytest.raises(RuntimeError, match="the roof fell in"):
        train_tiny(tmp_path / "run", *more)
    with_callback()
    resumed = train_tiny(tmp_path / "run", *more)

    assert resumed.attempts == 2
    assert (resumed.metrics, resumed.curves) == (record.metrics, record.curves)
    depth = [{k: v for k, v in scalars(f).items() if k.startswith("depth/")} for f in (tmp_path / "run", folder)]
    assert depth[0] == depth[1]
    assert len(resumed.timings.epoch_fit_s) == len(resumed.history)


@pytest.mark.slow
@pytest.mark.ci
def test_a_finished_run_is_probed_and_not_trained_again(probed, everything, train_tiny, tmp_path):
    first = train_tiny(tmp_path / "run", *everything[2:])
    weights = (tmp_path / "run" / "checkpoints" / "best.ckpt").stat().st_mtime_ns
    found = train_tiny(tmp_path / "run", *everything)

    assert found.timings == first.timings
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").stat().st_mtime_ns == weights
    assert (found.metrics, found.curves) == (probed[0].metrics, probed[0].curves)
    assert found.config["probe"] == probed[0].config["probe"]
    assert read_record(tmp_path / "run") == found


@pytest.mark.slow
@pytest.mark.ci
def test_a_probe_that_was_asked_once_is_asked_again_only_otherwise(train_tiny, tmp_path):
    train_tiny(tmp_path / "run", "probe=shift")
    written = (tmp_path / "run" / "run.json").stat().st_mtime_ns
    assert train_tiny(tmp_path / "run", "probe=shift") == train_tiny(tmp_path / "run", "probe=none")
    assert (tmp_path / "run" / "run.json").stat().st_mtime_ns == written

    found = train_tiny(tmp_path / "run", "probe=shift", "probe.shift.max_px=1")
    assert {name for name in found.metrics if name.startswith("shift/")} == {"shift/acc_0px", "shift/acc_1px"}
    assert found.curves["shift/acc"].x == [0, 1]


@pytest.mark.slow
@pytest.mark.ci
def test_a_finished_run_whose_data_or_weights_are_others_is_not_probed(train_tiny, tmp_path):
    record = train_tiny(tmp_path / "run")
    record.data_sha256, data_sha256 = "0" * 64, record.data_sha256
    record.write(tmp_path / "run")
    with pytest.raises(DataError, match="the data is not what this run was tested on"):
        train_tiny(tmp_path / "run", "probe=shift")

    record.data_sha256, record.weights_sha256 = data_sha256, "0" * 64
    record.write(tmp_path / "run")
    with pytest.raises(StorageError, match="does not hold the weights of this run's record"):
        train_tiny(tmp_path / "run", "probe=shift")


def test_a_record_from_before_there_were_probes_still_loads(plain, tmp_path):
    content = json.loads((plain[1] / "run.json").read_text())
    del content["curves"], content["timings"]["epoch_fit_s"], content["config"]["probe"]
    (tmp_path / "run.json").write_text(json.dumps(content))
    found = read_record(tmp_path)

    assert found.curves == {}
    assert found.fingerprint == fingerprint(found.config)


def test_seconds_by_epoch_rise_to_the_whole_of_the_fit(train_tiny, tmp_path, monkeypatch):
    ticks = itertools.count(1)
    monkeypatch.setattr(history, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks)), time=lambda: 0.0))
    record = train_tiny(tmp_path / "run")
    seconds = record.timings.epoch_fit_s

    assert len(seconds) == len(record.history)
    assert all(later > earlier > 0 for earlier, later in itertools.pairwise(seconds))
    assert seconds[-1] < record.timings.fit_s


@pytest.mark.slow
@pytest.mark.ci
def test_no_hook_is_left_on_the_net(train_tiny, tmp_path, with_callback):
    class Looks(Callback):
        def on_test_end(self, trainer, pl_module):
            self.hooks = [m for m in pl_module.net.modules() if m._forward_hooks]

    looks = Looks()
    with_callback(looks)
    train_tiny(tmp_path / "run", "probe=all")

    assert looks.hooks == []


def test_the_end_of_a_run_names_each_probe_s_first_numbers_and_its_pictures_in_a_line(probed):
    record, _ = probed
    lines = {line.split("  ")[0]: line for line in probe_lines(record)}
    metrics = record.metrics

    assert list(lines) == sorted(lines)
    assert (
        f"block 0 {number(metrics['depth/block_0'], 4)} · block 1 {number(metrics['depth/block_1'], 4)}"
        in lines["depth"]
    )
    assert f"accuracy 1px {metrics['shift/acc_1px']:.2%}" in lines["shift"]
    assert lines["units"].endswith("pictures units/dead.png")

    record = record.model_copy(update={"metrics": {f"depth/block_{i}": 1.0 for i in range(50)}, "files": []})
    assert probe_lines(record) == [f"depth  {' · '.join(f'block {i} 1.000' for i in range(8))} · 42 more"]
    assert probe_lines(record.model_copy(update={"metrics": {"test/acc": 1.0, "val/acc": 1.0}})) == []


def test_a_single_run_prints_them_and_a_job_of_a_sweep_does_not(probed, monkeypatch, caplog, compose):
    from hydra.types import RunMode

    from vision_baselines.cli import entry
    from vision_baselines.training import run as run_module

    monkeypatch.setattr(entry, "planned", lambda cfg: SimpleNamespace(folder=probed[1]))
    monkeypatch.setattr(run_module, "run", lambda plan, callbacks: probed[0])
    cfg, typed = compose("probe=all"), SimpleNamespace(task=["probe=all"], hydra=[])
    for mode, printed in ((RunMode.RUN, True), (RunMode.MULTIRUN, False)):
        told = SimpleNamespace(mode=mode, overrides=typed)
        monkeypatch.setattr(entry.HydraConfig, "get", lambda told=told: told)
        caplog.clear()
        with caplog.at_level("INFO"):
            entry.train_task(cfg)
        assert ("depth  block 0" in caplog.text) == printed
