"""A run with a net of one's own: what each command says without its package, and that doing what it says works."""

from __future__ import annotations

import shlex
import shutil
import sys
from functools import partial
from pathlib import Path

import pytest
from tests.verbs.conftest import NEEDED, OF_SWEEPS, RUN

from vision_baselines.cli import VERBS
from vision_baselines.config import packages

PACKAGE = "lab_of_ones_own"
TARGET = f"model._target_={PACKAGE}.Net"
MODULE = """
from torch import nn


class Net(nn.Module):
    def __init__(self, image_shape, num_classes, **unused):
        super().__init__()
        channels, height, width = image_shape
        self.conv = nn.Conv2d(channels, 2, 3, padding=1)
        self.head = nn.Linear(2 * height * width, num_classes)

    def forward(self, images):
        return self.head(self.conv(images).flatten(1))
"""
WORDS = NEEDED | {
    "filters": [RUN, "--layer", "conv"],  # what a run left of its first layer needs no net
    "mistakes": [RUN, "--png", "{tmp}/mistakes.png"],
    "inspect": ["model=cnn", TARGET, "data=digits", "--out", "{tmp}/pictures"],
}
BUILDS = ["evaluate", "predict", "export", "reproduce", "filters", "mistakes", "inspect"]


def forget() -> None:
    """Make the package as unknown as it is to a new process."""
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
    packages._finder.folders.pop(PACKAGE, None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, train_tiny) -> tuple[Path, Path]:
    """A folder with the package, and a run whose net is its class and that kept no pictures of its mistakes."""
    place = tmp_path_factory.mktemp("lab")
    (place / f"{PACKAGE}.py").write_text(MODULE)
    folder = place / "outputs" / "seed=0"
    packages.find_in_start_folder([PACKAGE], place)
    train_tiny(folder, TARGET, "trainer.max_epochs=1", f"trusted_packages=[{PACKAGE}]")
    (folder / "mistakes.npz").unlink()
    forget()
    return place, folder


@pytest.fixture
def words(trained, tmp_path):
    """``words(verb)``: what is typed; the package lies where the command starts."""
    from PIL import Image

    place, folder = trained
    run = shutil.copytree(folder, tmp_path / "outputs" / "seed=0")
    (tmp_path / "here").mkdir()
    shutil.copy(place / f"{PACKAGE}.py", tmp_path / "here")
    Image.new("L", (8, 8), 128).save(tmp_path / "digit.png")
    place = lambda verb: run.parent if verb in OF_SWEEPS else run  # noqa: E731
    yield lambda verb: [w.format(run=place(verb), tmp=tmp_path, picture=tmp_path / "digit.png") for w in WORDS[verb]]
    forget()


def test_every_command_that_builds_what_a_config_names_can_be_told_whom_to_trust(parsers):
    told = [verb for verb in VERBS if verb != "train" and "--trust" in parsers(verb)._option_string_actions]
    assert sorted(told) == sorted(BUILDS)


@pytest.mark.few(1)
@pytest.mark.ci(every=2)
@pytest.mark.parametrize("verb", BUILDS)
def test_what_a_command_says_to_add_is_what_it_takes(verb, call, words):
    code, _, err = call(verb, words(verb))
    said = err.splitlines()[-1]
    assert code == 2, err
    assert f"{PACKAGE}.Net" in said
    assert PACKAGE not in sys.modules
    advice = said.rpartition("add ")[2]
    assert advice == f"--trust {PACKAGE}"
    found = call(verb, [*words(verb), *shlex.split(advice)])
    assert found.code in (0, 4), found.err  # noise is not learned: nothing here is wrong


@pytest.mark.few(1)
@pytest.mark.ci
@pytest.mark.parametrize("verb", BUILDS)
def test_what_training_takes_does_the_same_wherever_it_stands(verb, call, words):
    found = call(verb, [f"trusted_packages=[{PACKAGE}]", *words(verb)])
    assert found.code in (0, 4), found.err


@pytest.mark.parametrize("verb", BUILDS)
@pytest.mark.parametrize("value", [PACKAGE, "'a b", "[", "null"])
def test_what_names_no_package_is_refused_in_a_line_that_says_how(verb, value, call, tmp_path):
    code, out, err = call(verb, [*(["x"] if verb != "inspect" else []), f"trusted_packages={value}"])
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "--trust" in err


@pytest.mark.parametrize("verb", BUILDS)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nosuchpackage", "neither installed nor in"),
        ("lab.nets", "expected its name alone, such as lab"),
        ("./lab.py", "such as lab"),
        ("pictures", "without Python files"),
    ],
)
def test_a_package_that_is_none_is_refused_before_anything_is_read(verb, name, said, call, tmp_path):
    (tmp_path / "here" / "pictures").mkdir(parents=True)
    words = [word.format(run=tmp_path / "none", tmp=tmp_path, picture=tmp_path) for word in WORDS[verb]]
    code, out, err = call(verb, [*words, "--trust", name])
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert f"--trust names {name!r}" in err
    assert said in err


@pytest.mark.parametrize("sweeps", [(), ("-m",)])
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["trusted_packages=[nosuchpackage]"], "trusted_packages names 'nosuchpackage', which is neither"),
        (
            ["trusted_packages=[subprocess]", "+callbacks.x={_target_:subprocess.Popen}"],
            "Hydra instantiates for nobody",
        ),
        (["trusted_packages=[os]", "+hydra.callbacks.x={_target_:os.system}"], "Hydra instantiates for nobody"),
    ],
)
def test_training_refuses_what_can_never_be_built_before_anything_is_spent(sweeps, typed, said, tmp_path, monkeypatch):
    from tests.faults.conftest import ask

    monkeypatch.chdir(tmp_path)
    answer = ask("train", [*sweeps, *typed, f"paths.output_dir={tmp_path / 'outputs'}"])
    assert answer.code == 2
    assert said in answer.message
    assert not (tmp_path / "outputs").exists()


def test_a_notebook_is_told_of_a_package_that_is_none(tmp_path):
    import vision_baselines as vb
    from vision_baselines.errors import ConfigError

    with pytest.raises(ConfigError, match="trusted_packages names 'nosuchpackage'"):
        vb.train(["model=cnn", f"paths.output_dir={tmp_path}", "trusted_packages=[nosuchpackage]"])


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("verb", [verb for verb in NEEDED if RUN in NEEDED[verb] and verb not in BUILDS])
def test_a_command_that_builds_nothing_needs_no_trust(verb, call, words):
    found = call(verb, words(verb))
    assert found.code == 0, found.err
    assert PACKAGE not in sys.modules


@pytest.mark.few(1)
@pytest.mark.parametrize("sweeps", [(), ("-m",)])
def test_training_says_it_as_training_takes_it(sweeps, words, tmp_path, monkeypatch):
    from tests.faults.conftest import ask

    monkeypatch.chdir(tmp_path / "here")
    typed = [*sweeps, TARGET, "preview=true", f"paths.output_dir={tmp_path}"]
    answer = ask("train", typed)
    advice = answer.message.rpartition("add ")[2]
    assert (answer.code, advice) == (2, f"'trusted_packages=[{PACKAGE}]'")
    assert ask("train", [*typed, *shlex.split(advice)]).code == 0


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (packages.OVERRIDE, "'trusted_packages=[ours,lab_a,lab_b]'"),
        (packages.OPTION, "--trust lab_a --trust lab_b"),
        (packages.KEYWORD, 'trusted_packages=["ours", "lab_a", "lab_b"]'),
    ],
)
def test_what_is_trusted_already_is_named_again_where_a_list_is_replaced(form, said):
    before = packages.told_by.set(form)
    assert packages.how_to_trust(["lab_a", "os", "lab_b", "lab_a"], ["ours"]).endswith(f"of your own, add {said}")
    packages.told_by.reset(before)


@pytest.mark.parametrize("library", ["os", "builtins", "numpy", "torch", "vision_baselines", "5", ""])
def test_nobody_is_told_to_trust_a_library(library):
    assert "its_name" in packages.how_to_trust([library, "lab_a"])
    assert library + "]" not in packages.how_to_trust([library]) or not library


@pytest.mark.slow
@pytest.mark.ci
def test_a_notebook_is_told_the_argument_of_its_functions(words, monkeypatch, tmp_path):
    import vision_baselines as vb
    from vision_baselines.errors import ConfigError

    monkeypatch.chdir(tmp_path / "here")
    run = vb.load_run(words("evaluate")[0])
    mine = [TARGET, "data=digits", "trainer.max_epochs=1", "name=mine", f"paths.output_dir={tmp_path}"]
    with pytest.raises(ConfigError, match=rf"add 'trusted_packages=\[{PACKAGE}\]'$"):
        vb.train(mine)
    assert vb.train([*mine, f"trusted_packages=[{PACKAGE}]"]).status == "finished"
    forget()
    for ask in (run.net, partial(run.filters, "conv"), partial(vb.evaluate, run)):
        with pytest.raises(ConfigError, match=rf'add trusted_packages=\["{PACKAGE}"\]$'):
            ask()
        assert PACKAGE not in sys.modules
        ask(trusted_packages=[PACKAGE])
        forget()
