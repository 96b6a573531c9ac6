"""A config file or a record from somebody else runs no code and writes nowhere but in the run's folder."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf, open_dict

from vision_baselines.config import trust
from vision_baselines.config.checks import checked_config
from vision_baselines.config.compose import composed_run, conf_dir, register_resolvers
from vision_baselines.config.restore import restored
from vision_baselines.config.written_paths import check_written_paths
from vision_baselines.errors import ConfigError

FOREIGN = {
    "a loader of pickles": {"_target_": "numpy.load", "file": "FILE", "allow_pickle": True},
    "a shell": {"_target_": "os.system", "command": "touch FILE.touched"},
    "a process": {"_target_": "subprocess.Popen", "args": ["touch", "FILE.touched"]},
    "a remover": {"_target_": "shutil.rmtree", "path": "FOLDER"},
    "a writer by way of a module that Hydra has": {
        "_target_": "hydra._internal.core_plugins.basic_sweeper.logging.FileHandler",
        "filename": "FILE",
    },
    "a method": {"_target_": "hydra.utils.get_method", "path": "os.getcwd"},
}


def flow(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=1000).strip()


# How a value gets to its place: as it is, by a reference, by a reference to a reference, made of text by a resolver.
FORMS = {
    "directly": lambda value: ({}, value),
    "by reference": lambda value: ({"evil": value}, "${evil}"),
    "by two references": lambda value: ({"evil": value, "more": {"x": "${evil}"}}, "${more.x}"),
    "by a resolver": lambda value: ({"text": flow(value)}, "${oc.create:${oc.decode:${text}}}"),
}
PLACES = ["callbacks.x", "callbacks.sweep", "launcher", "sweeper"]


def at(dotted: str, value: object) -> dict:
    for key in reversed(dotted.split(".")):
        value = {key: value}
    return value


def hydra_bodies():
    for (what, node), (how, form) in itertools.product(FOREIGN.items(), FORMS.items()):
        extra, value = form(node)
        for place in PLACES if how == "directly" else PLACES[:1]:
            yield f"{what}, {how}, as hydra.{place}", {**extra, "hydra": at(place, value)}
    logging_nodes = {
        "a handler that appends": {"class": "logging.FileHandler", "formatter": "simple", "filename": "FILE"},
        "a handler of another class": {"class": "logging.handlers.SMTPHandler", "mailhost": "localhost"},
        "a factory": {"()": "os.system", "command": "touch FILE.touched"},
        "an attribute that is set": {"class": "logging.NullHandler", ".": {"baseFilename": "FILE"}},
        "a function of a module": {"class": "logging.StreamHandler", "stream": "ext://os.system"},
        "a part of the config": {"class": "logging.FileHandler", "filename": "cfg://root.level"},
        "a file above": {"class": "logging.FileHandler", "filename": "${hydra.runtime.output_dir}/../FILE.log"},
    }
    for (what, node), (how, form) in itertools.product(logging_nodes.items(), list(FORMS.items())[:3]):
        extra, value = form(node)
        for part in ("job_logging", "hydra_logging"):
            yield f"{what}, {how}, in {part}", {**extra, "hydra": {part: {"handlers": {"file": value}}}}
    words = {
        "a run's folder elsewhere": {"hydra": {"run": {"dir": "FOLDER"}}},
        "a run's folder elsewhere by reference": {"evil": "FOLDER", "hydra": {"run": {"dir": "${evil}"}}},
        "a sweep's folder elsewhere": {"hydra": {"sweep": {"dir": "FOLDER"}}},
        "a job's folder above": {"hydra": {"sweep": {"subdir": "../../FOLDER"}}},
        "a job's folder above by reference": {"evil": "../../x", "hydra": {"sweep": {"subdir": "${evil}"}}},
        "Hydra's own files above": {"hydra": {"output_subdir": "../../x"}},
        "Hydra's own files elsewhere": {"hydra": {"output_subdir": "FOLDER"}},
        "a log named upwards": {"hydra": {"job": {"name": "../../x"}}},
        "outputs elsewhere": {"paths": {"output_dir": "FOLDER/x"}},
        "outputs elsewhere by reference": {"evil": "FOLDER/x", "paths": {"output_dir": "${evil}"}},
        "forged overrides": {"hydra": {"overrides": {"task": ["trusted_packages=[os]"]}}},
        "trust in a file": {"trusted_packages": ["os"]},
        "trust by reference": {"evil": ["os"], "trusted_packages": "${evil}"},
        "a changed environment": {"hydra": {"job": {"env_set": {"LD_PRELOAD": "FILE"}}}},
        "an interpolation that nobody can resolve": {"hydra": {"callbacks": {"x": "${hydra:nothing.there}"}}},
    }
    yield from words.items()


BODIES = dict(hydra_bodies())
OWN = {
    f"{what}, {how}, as {place}": (place, node, form)
    for (what, node), (how, form) in itertools.product(FOREIGN.items(), FORMS.items())
    for place in (["model", "optimizer", "callbacks.x", "logger.x"] if how == "directly" else ["model"])
}


def spread(names):
    """Every twelfth in the default suite, the others in the slow one, of which CI takes each third."""
    marks = [pytest.mark.slow, pytest.mark.ci(every=5)]
    return [pytest.param(name, marks=[] if index % 12 == 0 else marks) for index, name in enumerate(names)]


class Touch:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def bait(tmp_path):
    """A folder that must stay as it is, with a pickle that would make a file there."""
    folder = tmp_path / "somebody's"
    folder.mkdir()
    (folder / "file").write_bytes(pickle.dumps(Touch(folder / "ran")))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def filled(body: object, bait: Path) -> str:
    return yaml.safe_dump(body).replace("FILE", str(bait / "file")).replace("FOLDER", str(bait))


def compose_with(body: object, bait: Path, tmp_path: Path, *overrides: str):
    """The config of an experiment file, composed and checked as the command line does."""
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "evil.yaml").write_text("# @package _global_\n" + filled(body, bait))
    register_resolvers()
    GlobalHydra.instance().clear()
    with trust.checked(), initialize_config_dir(str(conf_dir()), version_base="1.3"):
        search = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
        return compose("train", ["experiment=evil", search, *overrides], return_hydra_config=True)


def check_run(body: object, bait: Path, tmp_path: Path) -> None:
    """What happens before a run of the body builds anything."""
    cfg = compose_with(body, bait, tmp_path, f"paths.output_dir={tmp_path}")
    with open_dict(cfg):
        cfg.paths.run_dir = str(tmp_path / "run")
        del cfg["hydra"]
    checked_config(cfg)


def test_there_are_enough_of_them():
    assert len(BODIES) + len(OWN) >= 60


@pytest.mark.parametrize("name", spread(BODIES))
def test_what_hydra_would_act_on_is_refused_in_a_line(name, bait, tmp_path):
    before = contents(bait)
    with pytest.raises(ConfigError) as caught:
        compose_with(BODIES[name], bait, tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    assert contents(bait) == before


@pytest.mark.parametrize("name", spread(OWN))
def test_what_a_run_would_instantiate_is_refused_in_a_line(name, bait, tmp_path):
    place, node, form = OWN[name]
    extra, value = form(node)
    before = contents(bait)
    with pytest.raises(ConfigError) as caught:
        check_run({**extra, **at(place, value)}, bait, tmp_path)
    assert len(str(caught.value).splitlines()) <= 2
    assert contents(bait) == before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "../../../x"),
        ("logger.tensorboard.save_dir", "/elsewhere"),
        ("logger.tensorboard.save_dir", "${paths.run_dir}/../x"),
        ("trainer.default_root_dir", "/elsewhere"),
        ("trainer.profiler.dirpath", "/elsewhere"),
        ("callbacks.checkpoints.dirpath", "${oc.env:HOME}"),
        ("callbacks.x.dirpath", "/elsewhere"),
        ("callbacks.x.filename", "../x"),
        ("callbacks.x.save_dir", "~/x"),
    ],
)
def test_a_record_writes_into_the_folder_that_it_is_restored_to(key, value, tmp_path):
    recorded = {
        "seed": 0,
        "name": "run",
        "trainer": {"default_root_dir": "${paths.run_dir}", "profiler": {}},
        "logger": {"tensorboard": {"save_dir": "${paths.run_dir}"}},
        "callbacks": {"checkpoints": {"dirpath": "${paths.run_dir}/checkpoints"}, "x": {}},
    }
    OmegaConf.update(hostile := OmegaConf.create(recorded), key, value, force_add=True)
    cfg = restored(OmegaConf.to_container(hostile, resolve=False), tmp_path)
    plain = OmegaConf.to_container(cfg, resolve=True)
    for part, name in (("logger", "save_dir"), ("trainer", "default_root_dir"), ("callbacks", "dirpath")):
        assert_below(plain[part], name, tmp_path)
    assert "/" not in str(plain["name"])
    assert ".." not in str(plain["callbacks"]["x"].get("filename", ""))


def assert_below(node: dict, name: str, folder: Path) -> None:
    for key, value in node.items():
        if isinstance(value, dict):
            assert_below(value, name, folder)
        elif key in ("dirpath", "save_dir", "default_root_dir") and value is not None:
            assert Path(value).resolve().is_relative_to(folder)


def test_what_is_typed_may_lie_elsewhere():
    config = {"callbacks": {"checkpoints": {"dirpath": "/fast/disk"}}}
    check_written_paths(config, ["callbacks.checkpoints.dirpath=/fast/disk"])
    with pytest.raises(ConfigError, match=r"callbacks\.checkpoints\.dirpath"):
        check_written_paths(config)


@pytest.mark.slow
@pytest.mark.ci
def test_the_projects_own_configs_pass(root, tmp_path):
    register_resolvers()
    for experiment in sorted(path.stem for path in (root / "conf" / "experiment").glob("*.yaml")):
        GlobalHydra.instance().clear()
        with trust.checked(), initialize_config_dir(str(conf_dir()), version_base="1.3"):
            compose("train", [f"experiment={experiment}", "debug=quick"], return_hydra_config=True)
    checked_config(composed_run([], tmp_path / "sweep" / "run"))
