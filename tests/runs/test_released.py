"""Records and checkpoints of every released schema stay readable: skipped, resumed, evaluated, reproduced."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

from vision_baselines.config.checks import checked_config
from vision_baselines.config.restore import restored
from vision_baselines.evaluation.evaluate import evaluate
from vision_baselines.evaluation.reproduce import manifest_differences, reproduce
from vision_baselines.runs import environment
from vision_baselines.runs.fingerprint import differences, fingerprint
from vision_baselines.runs.migrations import MOVED_MODULES, SCHEMA_VERSION, current_target
from vision_baselines.runs.record import RunRecord, Status, read_record
from vision_baselines.runs.resumption import Action, decide
from vision_baselines.training.load import load_classifier
from vision_baselines.training.run import train

RELEASED = Path(__file__).parent / "released"
SCHEMAS = sorted(path.name for path in RELEASED.iterdir())


@pytest.fixture(params=SCHEMAS)
def kept(request, tmp_path):
    """``kept(name)``: a copy of the folder of a run that was recorded under that schema."""

    def copy(name):
        return Path(shutil.copytree(RELEASED / request.param / name, tmp_path / "outputs" / name))

    return copy


@pytest.fixture
def same_command(compose):
    """``same_command(folder)``: today's config of the command that made the run in a folder."""

    def config(folder):
        overrides = [text for text in read_record(folder).overrides if not text.startswith("name=")]
        return compose(*overrides, run_dir=folder)

    return config


def same_bits_promised(record):
    return not list(manifest_differences(record.environment, environment.observe("cpu")))


@pytest.mark.parametrize("name", ["finished", "interrupted"])
def test_a_released_record_is_read_and_is_the_run_that_the_same_command_makes_today(kept, same_command, name):
    folder = kept(name)
    record, config = read_record(folder), checked_config(same_command(folder))
    assert record.schema_version == SCHEMA_VERSION
    assert differences(record.config, config) == []
    assert record.fingerprint == fingerprint(config)


def test_a_finished_run_is_skipped(kept, same_command):
    folder = kept("finished")
    before = (folder / "run.json").read_bytes()
    assert decide(folder, checked_config(same_command(folder))).action is Action.SKIP
    assert train(same_command(folder)).status is Status.FINISHED
    assert (folder / "run.json").read_bytes() == before


def test_an_interrupted_run_is_resumed_to_the_end_it_would_have_had(kept, same_command, request):
    folder = kept("interrupted")
    recorded = read_record(folder)
    found = train(same_command(folder))
    assert (found.status, found.attempts) == (Status.FINISHED, 2)
    if same_bits_promised(recorded):
        schema = request.node.callspec.params["kept"]
        raw = json.loads((RELEASED / schema / "uninterrupted.json").read_text())
        for key in ("final_weights_sha256", "weights_sha256", "metrics", "confusion", "history"):
            assert json.loads(found.model_dump_json())[key] == raw[key], key


def test_its_checkpoint_gives_its_net_and_its_figures(kept):
    folder = kept("finished")
    assert evaluate(folder).metrics["test/acc"] == pytest.approx(read_record(folder).metrics["test/acc"])
    assert load_classifier(folder / "checkpoints" / "best.ckpt")[0].net is not None


def test_it_is_reproduced(kept):
    folder = kept("finished")
    found = reproduce(folder)
    assert found.passed or not same_bits_promised(read_record(folder)), found


def test_a_record_written_back_is_of_todays_schema(kept):
    folder = kept("finished")
    record = read_record(folder)
    record.write(folder)
    assert read_record(folder) == record
    assert json.loads((folder / "run.json").read_text())["schema_version"] == SCHEMA_VERSION


def test_a_newer_schema_and_an_unknown_field_are_refused_clearly(kept):
    folder = kept("finished")
    raw = json.loads((folder / "run.json").read_text())
    for change, words in (({"schema_version": SCHEMA_VERSION + 1}, "this version reads 1 to"), ({"new": 1}, "new")):
        (folder / "run.json").write_text(json.dumps({**raw, **change}))
        with pytest.raises(ValueError, match=words):
            read_record(folder)


def test_every_field_that_came_after_the_first_schema_has_a_default():
    raw = json.loads((RELEASED / "1" / "finished" / "run.json").read_text())
    later = set(RunRecord.model_fields) - set(raw)
    assert [name for name in later if RunRecord.model_fields[name].is_required()] == []


@pytest.mark.parametrize(("old", "new"), MOVED_MODULES.items())
def test_a_module_that_moved_is_found_under_its_old_name_with_a_warning(old, new):
    tree = ast.parse(Path(importlib.util.find_spec(new).origin).read_text())
    public = [n.name for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name[0] != "_"]
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
        module = importlib.import_module(old)
    for name in public:
        assert getattr(module, name) is getattr(importlib.import_module(new), name)
    sys.modules.pop(old)
    vars(importlib.import_module(old.rpartition(".")[0])).pop(old.rpartition(".")[2], None)


def test_functions_of_the_api_can_be_called_after_their_old_modules_were_imported(monkeypatch):
    import vision_baselines
    from vision_baselines import api

    monkeypatch.setattr(api, "train", lambda overrides: overrides)
    monkeypatch.delitem(sys.modules, "vision_baselines.train", raising=False)
    with pytest.warns(DeprecationWarning, match="vision_baselines.train is now"):
        old = importlib.import_module("vision_baselines.train")
    assert vision_baselines.train is old
    assert vision_baselines.train(["model=fc"]) == ["model=fc"]
    del vision_baselines.train


def test_a_config_that_names_an_old_class_is_run_with_a_warning(compose, tiny, caplog):
    cfg = compose(*tiny, "classifier._target_=vision_baselines.classifier.ImageClassifier")
    assert fingerprint(checked_config(cfg)) == fingerprint(checked_config(compose(*tiny)))
    assert "vision_baselines.classifier.ImageClassifier is now vision_baselines.training.module" in caplog.text
    assert cfg.classifier._target_ == "vision_baselines.training.module.ImageClassifier"


def test_every_class_that_a_released_config_names_exists_today(kept, tmp_path):
    targets = set()

    def collect(node):
        if isinstance(node, dict):
            targets.update({node["_target_"]} if "_target_" in node else ())
            node = list(node.values())
        for value in node if isinstance(node, list) else ():
            collect(value)

    folder = kept("finished")
    for name in ("run.json", "../../missing"):
        if (folder / name).is_file():
            collect(json.loads((folder / name).read_text())["config"])
    assert len(targets) > 5
    for target in map(current_target, targets):
        module, _, name = target.rpartition(".")
        assert hasattr(importlib.import_module(module), name), target
    assert restored(read_record(folder).config, tmp_path).classifier._target_ in map(current_target, targets)
