"""Rows 29 to 36: what is typed, and what stands in files that are read as config."""

from __future__ import annotations

import os
import sys
import time

import pytest

# Row, what is typed, and what the answer must name.
REFUSED = [
    (29, "modle=cnn", ["did you mean model?"]),
    (29, "trainer.max_epoch=3", ["did you mean trainer.max_epochs?"]),
    (29, "model=cn", ["did you mean cnn?", "fc"]),
    (29, "data=mnits", ["did you mean mnist?"]),
    (29, "experiment=cnn_vs_fc_digit", ["did you mean cnn_vs_fc_digits?"]),
    (29, "model=fc model.channels=[8]", ["it belongs to model=cnn"]),
    (30, "trainer.max_epochs=0", ["trainer.max_epochs is 0", "at least 1"]),
    (30, "trainer.max_epochs=abc", ["'abc'", "a whole number"]),
    (30, "data.batch_size=-64", ["data.batch_size is -64"]),
    (30, "optimizer.lr=nan", ["optimizer.lr is nan"]),
    (30, "model.dropout=1.5", ["from 0 to 1"]),
    (30, "seed=4294967296", ["seed is 4294967296"]),
    (30, "threads=0", ["threads is 0"]),
    (31, "-m seed=0,1,-1", ["seed is -1"]),
    (31, "-m model=cnn,cnnn", ["model=cnnn does not exist"]),
    (31, "-m optimizer.lr=1e-3,1e-2,fast", ["optimizer.lr is 'fast'"]),
    (32, "name=😀", ['name="😀"']),
    (32, "name=", ["name is ''"]),
    (32, "name='a", ["cannot be read"]),
    (32, "=3", ["has no key"]),
    (32, "seed", ["key=value"]),
    (32, "name=caf\udce9", ["not valid UTF-8"]),
    (33, "name=../x", ["without /"]),
    (33, "name=/tmp/x", ["without /"]),
    (33, "name=..", ["not starting with a dot"]),
    (33, "hydra.run.dir=../x", ["below paths.output_dir"]),
    (33, "-m seed=0,1 hydra.sweep.dir=/tmp/x", ["below paths.output_dir"]),
    (33, "-m seed=0,1 hydra.sweep.subdir=../../x", ["one folder"]),
    (35, "model._target_=os.system", ["'os.system'"]),
    (35, "optimizer._target_=torch.load", ["'torch.load'"]),
    (35, "optimizer._target_=torch.hub.load", ["'torch.hub.load'"]),
    (35, "data.source._target_=numpy.load", ["'numpy.load'"]),
    (35, "data.source._target_=joblib.load", ["'joblib.load'"]),
    (35, "+callbacks.x={_target_:shutil.copy,src:/etc/hosts,dst:stolen}", ["'shutil.copy'"]),
    (35, "+callbacks.x={_target_:builtins.open,file:written,mode:w}", ["'builtins.open'"]),
    (35, "+callbacks.x={_target_:vision_baselines.runs.record.write_atomically}", ["write_atomically"]),
    (35, "+hydra.callbacks.x={_target_:os.mkdir,path:written}", ["'os.mkdir'", "Hydra would run it"]),
    (35, "hydra.launcher._target_=os.mkdir", ["'os.mkdir'"]),
    (35, "hydra.job_logging.handlers.file.class=os.mkdir", ["'os.mkdir'"]),
    (35, "hydra.job_logging.handlers.file.filename=/tmp/written.log", ["/tmp/written.log"]),
]


# Of a kind with another that is always run; tests/test_cli.py has them too.
_RARER = {
    "trainer.max_epoch=3",
    "data=mnits",
    "trainer.max_epochs=abc",
    "data.batch_size=-64",
    "model.dropout=1.5",
    "seed=4294967296",
    "threads=0",
    "name=",
    "name='a",
    "seed",
    "name=/tmp/x",
    "name=..",
    "-m seed=0,1 hydra.sweep.dir=/tmp/x",
    "-m seed=0,1,-1",
    "optimizer._target_=torch.hub.load",
    "data.source._target_=numpy.load",
    "data.source._target_=joblib.load",
    "+callbacks.x={_target_:builtins.open,file:written,mode:w}",
    "hydra.launcher._target_=os.mkdir",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "words", "named"),
    [
        pytest.param(*case, id=f"row {case[0]}: {case[1]}", marks=[pytest.mark.ci(every=2)] * (case[1] not in _RARER))
        for case in REFUSED
    ],
)
def test_rows_29_30_31_32_33_35_what_is_wrong_is_said_in_a_line_with_exit_code_2(
    command_line, noted, tmp_path, monkeypatch, row, words, named
):
    monkeypatch.chdir(tmp_path)
    answer = command_line(*words.split(" "))
    assert answer.code == 2, answer
    assert len(answer.err.strip().splitlines()) <= 2
    for word in named:
        assert word in answer.message
    assert {path.name for path in tmp_path.iterdir()} <= {"outputs"}
    assert not list(tmp_path.rglob("run.json"))
    noted(row, f"`{words}`".encode("utf-8", "replace").decode().replace("|", "\\|"), answer)


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize("name", ["'😀'", '"two words"', '"it\'s"', "'a=b'", "'<b>'", "0", "'[x]'", f"'{'n' * 200}'"])
def test_row_32_a_name_in_quotes_may_be_any_text(run_command, tmp_path, name):
    answer = run_command(f"name={name}", "trainer.max_epochs=1")
    assert answer.code == 0, answer
    [record] = (tmp_path / "outputs").glob("*/*/run.json")
    assert record.parents[1].name == (name if name == "0" else name[1:-1])


@pytest.mark.slow
@pytest.mark.ci
def test_row_32_bytes_that_are_no_utf_8_are_answered_in_a_line(run_command, noted):
    answer = run_command("name='caf\udce9'", "trainer.max_epochs=1")
    assert answer.code == 2
    noted(32, "`name='caf\\xe9'`, in Latin-1", answer)


@pytest.mark.slow
def test_row_32_bytes_that_are_no_utf_8_on_a_real_command_line(python, root, tmp_path):
    answer = python(
        os.fspath(root / "scripts/train.py"),
        os.fsdecode(b"name='caf\xe9'"),
        f"paths.output_dir={tmp_path}",
        fresh=True,
    )
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[1].startswith("error: ")  # after that it loads
    assert not list(tmp_path.iterdir())


YAML = {
    "a python tag": (b'x: !!python/object/apply:os.mkdir ["written"]\n', "python/object"),
    "aliases of aliases": (
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in range(ord("b"), ord("i"))),
        "grows beyond",
    ),
    "an alias of itself": (b"a: &a [*a]\n", "grows beyond"),
    "three thousand brackets": (b"a: " + b"[" * 3000 + b"]" * 3000, "nests deeper"),
    "a megabyte": (b"".join(b"k%d: 1\n" % n for n in range(100_000)), "bytes; expected"),
    "half a file": (b"a: [\n", "is not valid YAML"),
    "Latin-1": (b"# @package _global_\nname: caf\xe9\n", "not UTF-8"),
    "hydra.callbacks": (
        b"# @package _global_\nhydra: {callbacks: {x: {_target_: os.mkdir, path: written}}}\n", "os.mkdir"
    ),
    "trusted_packages": (b"# @package _global_\ntrusted_packages: [os]\nmodel: {_target_: os.mkdir}\n", "command line"),
    "trusted_packages, swept": (
        b"# @package _global_\nhydra: {sweeper: {params: {trusted_packages: '[os]'}}}\n", "command line"
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("what", YAML)
def test_rows_35_36_a_config_file_can_neither_run_code_nor_grow(command_line, noted, tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    content, said = YAML[what]
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    (tmp_path / "own" / "experiment" / "bad.yaml").write_bytes(content)
    started = time.process_time()
    answer = command_line("--config-dir", str(tmp_path / "own"), "experiment=bad")
    assert time.process_time() - started < 2
    assert answer.code == 2, answer
    assert len(answer.err.strip().splitlines()) <= 2
    assert said in answer.message
    assert not (tmp_path / "written").exists()
    noted(35 if "os" in said or "command" in said else 36, f"an experiment file with {what}", answer)


@pytest.mark.slow
@pytest.mark.ci
def test_row_35_a_package_of_ones_own_is_trusted_from_the_command_line_alone(run_command, tmp_path, monkeypatch):
    (tmp_path / "my_own_package.py").write_text("from pytorch_lightning.callbacks import Callback as Mine\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = "+callbacks.x={_target_:my_own_package.Mine}"
    assert run_command(own).code == 2
    assert "my_own_package" not in sys.modules
    assert run_command(own, "trusted_packages=[my_own_package]").code == 0


@pytest.mark.slow
@pytest.mark.ci
def test_row_35_a_recorded_config_cannot_say_whom_to_trust(
    run_command, command_line, folder, tmp_path, monkeypatch, noted
):
    (tmp_path / "my_other_package.py").write_text("from pytorch_lightning.callbacks import Callback as Mine\n")
    monkeypatch.syspath_prepend(tmp_path)
    trained = run_command("+callbacks.x={_target_:my_other_package.Mine}", "trusted_packages=[my_other_package]")
    assert trained.code == 0, trained
    answer = command_line(str(folder), verb="reproduce")
    assert answer.code == 2
    assert "my_other_package.Mine" in answer.message
    noted(35, "reproducing a record of a config that trusted a package", answer)
    assert command_line(str(folder), "--trust", "my_other_package", verb="reproduce").code == 0
