"""Odd command lines, config files and packages: an exit code, at most two lines, never a traceback."""

from __future__ import annotations

import importlib
import json
import shutil
import sys

import pytest

# What is typed for train.py, the exit code, and what the answer must name. TINY stands for a run of seconds.
ESSENTIAL = {
    "--version": (0, "vision-baselines "),
    "lr=0.01": (2, "did you mean optimizer.lr?"),
    "--multirun --cfg job": (2, "cannot be combined"),
    "--experimental-rerun=x.pickle": (2, "not supported"),
    "model=null": (2, "choose one of cnn"),
    "comparison=null": (2, "comparison"),
    "TINY data.source=null": (2, "data.source is None"),
    "TINY model.num_classes=3": (2, "model.num_classes is 3"),
    "TINY scheduler.schedule.T_max=0": (2, "T_max is 0"),
    "TINY +optimizer.betas=[2,2]": (2, "optimizer cannot be used: Invalid beta"),
    "TINY classifier.compile=5": (2, "classifier.compile is 5"),
    "TINY optimizer._target_=torch.optim.Adadelta": (2, "~optimizer.fused leaves it out"),
    "-m experiment=cnn_vs_fc_digits,pixel_permutatio": (2, "did you mean pixel_permutation?"),
    "seed=1 preview=true --config-dir=OWN experiment=itself": (2, "defaults"),
    "--config-dir OWN experiment=number_key": (2, "has the key 1"),
    "--config-dir OWN experiment=number": (2, "holds no key"),
}
RARER = {
    "batch_size=8": (2, "did you mean data.batch_size?"),
    "max_epochs=8": (2, "did you mean trainer.max_epochs?"),
    "weight_decay=8": (2, "did you mean optimizer.weight_decay or parameter_groups.no_decay.weight_decay?"),
    "-m --cfg job seed=0,1": (2, "preview=true"),
    "--cfg nope": (2, "invalid choice"),
    "--config-dir=nowhere seed=1": (2, "folder not found"),
    "--config-name=nowhere": (2, "nowhere"),
    "--config-path=nowhere": (2, "nowhere"),
    "--resolve": (2, "--cfg job --resolve"),
    "--nope": (2, "there is no option --nope"),
    "-z": (2, "there is no option -z"),
    "--run --multirun": (2, "cannot be combined"),
    "--info nope": (2, "nope"),
    "--shell-completion": (2, "install=SHELL"),
    "--shell-completion query=bash": (2, "COMP_LINE"),
    "--experimental-rerun x": (2, "not supported"),
    "data=null": (2, "digits"),
    "optimizer=null": (2, "adamw"),
    "scheduler=null": (2, "none"),
    "trainer=null": (2, "gpu"),
    "callbacks=null": (2, "default"),
    "logger=null": (2, "tensorboard"),
    "paths=null": (2, "default"),
    "hydra=null": (2, "default"),
    "experiment=": (2, "leave it out"),
    "classifier=null": (2, "classifier"),
    "classifier=5": (2, "classifier"),
    "model=5": (2, "chooses nothing"),
    "data=[1,2]": (2, "composed"),
    "optimizer={a:1}": (2, "optimizer"),
    "TINY optimizer._target_=5": (2, "optimizer._target_"),
    "TINY optimizer._target_=torch.optim.LBFGS": (2, "weight_decay"),
    "TINY optimizer._target_=torch.optim.Nope": (2, "there is no torch.optim.Nope"),
    "TINY optimizer._target_=torch.optim.Optimizer": (2, "optimizer"),
    "TINY optimizer._target_=torch.optim.SparseAdam ~optimizer.fused ~optimizer.weight_decay": (2, "dense"),
    "TINY optimizer._target_=torch.optim.Muon ~optimizer.fused": (2, "2D"),
    "TINY ~optimizer._partial_": (2, "params"),
    "TINY +optimizer.nope=1": (2, "~optimizer.nope leaves it out"),
    "TINY optimizer.lr=[1,2]": (2, "optimizer.lr"),
    "TINY scheduler.schedule._target_=torch.optim.lr_scheduler.StepLR": (2, "T_max"),
    "TINY scheduler.schedule._target_=torch.optim.lr_scheduler.StepLR ~scheduler.schedule.T_max": (2, "step_size"),
    "TINY scheduler.schedule._target_=torch.optim.lr_scheduler.LambdaLR ~scheduler.schedule.T_max": (2, "lr_lambda"),
    "TINY scheduler.schedule._target_=torch.optim.SGD ~scheduler.schedule.T_max": (2, "scheduler.schedule"),
    "TINY scheduler.schedule.T_max=-3": (2, "T_max is -3"),
    "TINY scheduler.schedule.T_max=x": (2, "T_max is 'x'"),
    "TINY scheduler=plateau scheduler.schedule.factor=2": (2, "Factor should be < 1.0"),
    "TINY scheduler=one_cycle +scheduler.schedule.pct_start=5": (2, "pct_start"),
    "TINY model._target_=torch.nn.Linear": (2, "image_shape"),
    "TINY model._target_=torch.nn.Nope": (2, "there is no torch.nn.Nope"),
    "TINY model.hidden_features=999999999999": (4, "memory ran out"),
    "TINY model.channels=5": (2, "channels"),
    "TINY model.channels=[]": (2, "channels"),
    "TINY model.num_classes=30": (2, "model.num_classes is 30"),
    "TINY +trainer.nope=1": (2, "nope"),
    "TINY classifier.compile=[1]": (2, "classifier.compile"),
    "TINY ~data.source": (2, "data.source.num_classes"),
    "TINY data.source=5": (2, "data.source"),
    "TINY init_from=nowhere": (2, "nowhere"),
    "TINY init_from=[1]": (2, "init_from"),
    "TINY +callbacks.x=5": (2, "callbacks.x"),
    "TINY +callbacks.x={_target_:torch.optim.SGD}": (2, "callbacks.x"),
    "TINY +callbacks.x={_target_:broken_package.imports.Net} trusted_packages=[broken_package]": (2, "line 2"),
    "TINY +callbacks.x={_target_:broken_package.missing.Net} trusted_packages=[broken_package]": (2, "pandass"),
    "TINY +callbacks.x={_target_:broken_package.syntax.Net} trusted_packages=[broken_package]": (2, "SyntaxError"),
    "TINY +callbacks.x={_target_:broken_package.nope.Net} trusted_packages=[broken_package]": (2, "there is no"),
    "TINY +callbacks.x={_target_:broken_package.raises.Net} trusted_packages=[broken_package]": (2, "ZeroDivision"),
    "TINY +callbacks.x={_target_:no_package.Net} trusted_packages=[no_package]": (2, "neither installed nor in"),
    "-m experiment=glob(no_such_*)": (2, "names no experiment"),
    "-m model=null,cnn": (2, "composed"),
    "-m model=": (2, "leave it out"),
    "-m seed=0,1 optimizer.lr=": (2, "optimizer.lr"),
    "seed=0 --config-dir": (2, "not found"),
    "-m seed=range(": (2, "seed"),
    "hydra.sweeper.groups=[[model=cnn]": (2, "groups"),
    "x=${nope:1}": (2, "x"),
    "seed=${nope}": (2, "nope"),
    "seed=${seed}": (2, "ecursive"),
    "+x=${oc.env:NOT_SET_ANYWHERE}": (2, "NOT_SET_ANYWHERE"),
    "seed=": (2, "seed"),
    "seed=[": (2, "seed"),
    "seed='": (2, "seed"),
    "~seed": (2, "seed"),
    "~nope": (2, "nope"),
    "+seed=1": (2, "without the +"),
    "@=1": (2, "composed"),
    "model@=cnn": (2, "key"),
    "+model=fc": (2, "model"),
    "hydra/launcher=nope": (2, "local"),
    "hydra/sweeper=nope": (2, "paired"),
    "--config-dir OWN experiment=list": (2, "holds a list"),
    "--config-dir OWN experiment=text": (2, "holds no key"),
    "--config-dir OWN experiment=wrong_defaults": (2, "defaults"),
    "--config-dir OWN experiment=missing_option": (2, "model=nope does not exist"),
    "--config-dir OWN experiment=wrong_key": (2, "max_epoch"),
    "--config-dir OWN experiment=bad_interpolation": (2, "nope"),
}  # fmt: skip
FILES = {
    "number_key": "1: 2\n",
    "number": "5\n",
    "text": "hello\n",
    "list": "- a\n- b\n",
    "itself": "# @package _global_\ndefaults:\n  - itself\n",
    "wrong_defaults": "# @package _global_\ndefaults: 5\n",
    "missing_option": "# @package _global_\ndefaults:\n  - override /model: nope\n",
    "wrong_key": "# @package _global_\ntrainer:\n  max_epoch: 3\n",
    "bad_interpolation": "# @package _global_\nseed: ${nope}\n",
}
MODULES = {
    "__init__": "",
    "imports": "import torch\nfrom torch import nonsense\n",
    "missing": "import pandass\n",
    "syntax": "def f(:\n",
    "raises": "class Net:\n    def __init__(self):\n        1 / 0\n",
}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder to start in, with odd config files and a package that cannot be imported."""
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    for name, text in FILES.items():
        (tmp_path / "own" / "experiment" / f"{name}.yaml").write_text(text)
    (tmp_path / "broken_package").mkdir()
    for name, text in MODULES.items():
        (tmp_path / "broken_package" / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    yield str(tmp_path / "own")
    for name in [name for name in sys.modules if name.startswith("broken_package")]:
        del sys.modules[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        *(pytest.param(words, *answer, id=words, marks=pytest.mark.ci) for words, answer in ESSENTIAL.items()),
        *(pytest.param(words, *answer, id=words) for words, answer in RARER.items()),
    ],
)
def test_an_odd_command_ends_in_its_exit_code_and_at_most_two_lines(command_line, run_command, own, words, code, named):
    given = [word.replace("OWN", own) for word in words.split(" ")]
    answer = run_command(*given[1:]) if given[0] == "TINY" else command_line(*given)
    assert "Traceback" not in answer.err + answer.out
    assert answer.code == code, answer
    assert len([line for line in answer.err.splitlines() if line.strip()]) <= 2, answer.err
    assert named in answer.err + answer.out


@pytest.mark.slow
@pytest.mark.ci
def test_an_unexpected_error_is_two_lines_and_its_traceback_stands_in_the_log_and_the_record(
    run_command, folder, with_callback
):
    from pytorch_lightning.callbacks import Callback

    class Odd(Callback):
        def on_train_start(self, *_):
            raise KeyError("odd")

    with_callback(Odd())
    answer = run_command()
    assert answer.code == 4
    assert answer.err.splitlines() == [
        "error: KeyError: 'odd'",
        "Not expected here: VISION_BASELINES_TRACEBACK=1 shows the traceback",
    ]
    assert "on_train_start" in (folder / "train.log").read_text()
    assert "on_train_start" in (folder / "run.json").read_text()


@pytest.mark.slow
@pytest.mark.ci
def test_a_trusted_package_is_found_in_the_folder_one_starts_in_and_only_there(run_command, tmp_path, monkeypatch):
    (tmp_path / "start_package.py").write_text("from pytorch_lightning.callbacks import Callback as Mine\n")
    (tmp_path / "other_package.py").write_text("")
    monkeypatch.chdir(tmp_path)
    answer = run_command("+callbacks.x={_target_:start_package.Mine}", "trusted_packages=[start_package]")
    assert answer.code == 0, answer
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("other_package")


@pytest.mark.slow
@pytest.mark.ci
def test_a_package_in_the_start_folder_does_not_hide_an_installed_one(tmp_path, monkeypatch):
    from vision_baselines.config.packages import find_in_start_folder

    (tmp_path / "colorsys.py").write_text("raise RuntimeError\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    find_in_start_folder(["colorsys"])
    assert importlib.import_module("colorsys").rgb_to_hsv


# Other commands than train.py: the verb, what is typed, the exit code, and what the answer must name.
OTHERS = [
    ("compare", [], 2, "expected folders"),
    ("compare", [""], 2, "one of the folders is ''"),
    ("compare", ["x", "out="], 2, "out= has no value"),
    ("compare", ["x", "mertic=test/acc"], 2, "did you mean metric?"),
    ("compare", ["--nope"], 2, "unrecognized arguments: --nope"),
    ("compare", ["nowhere"], 3, "no folder nowhere"),
    ("evaluate", [], 2, "expected a run's folder"),
    ("evaluate", ["nowhere", "=3"], 2, "'=3' has no key"),
    ("evaluate", ["nowhere"], 3, "no folder nowhere"),
    ("evaluate", ["--nope"], 2, "unrecognized arguments: --nope"),
    ("evaluate", ["nowhere", "--config-dir", "nowhere"], 2, "folder not found"),
    ("reproduce", [], 2, "expected the folder of a finished run"),
    ("reproduce", ["--nope"], 2, "unrecognized arguments: --nope"),
    ("reproduce", ["."], 3, "no run.json"),
    ("inspect_model", ["--nope"], 2, "unrecognized arguments: --nope"),
    ("inspect_model", ["."], 2, "expected overrides"),
    ("inspect_model", ["init_from=x"], 2, "leave it out"),
    ("inspect_model", ["model=nope"], 2, "model=nope does not exist"),
    ("inspect_model", ["data=null"], 2, "choose one of cifar10"),
    ("inspect_model", ["--config-dir", "nowhere"], 2, "folder not found"),
    ("conv_arithmetic", [], 2, "--input-size"),
    ("conv_arithmetic", ["--input-size", "x", "3,1,1"], 2, "invalid int value"),
    ("conv_arithmetic", ["--input-size", "32", "3,1"], 2, "layer 1 is '3,1'"),
    ("edge_demo", ["--out", "x.jpg"], 2, "PNG"),
    ("console", ["benchmark"], 2, "scripts/benchmark.py"),
    ("console", ["stress-resume"], 2, "scripts/stress_resume.py"),
    ("console", ["evalute"], 2, "did you mean evaluate?"),
    ("console", ["--version"], 0, "vision-baselines "),
    ("console", ["train", "--version"], 0, "vision-baselines "),
]


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize(("verb", "words", "code", "named"), OTHERS, ids=[" ".join([o[0], *o[1]]) for o in OTHERS])
def test_other_commands_too(command_line, own, verb, words, code, named):
    answer = command_line(*words, verb=verb)
    assert "Traceback" not in answer.err + answer.out
    assert answer.code == code, answer
    assert len([line for line in answer.err.splitlines() if line.strip()]) <= 2, answer.err
    assert named in answer.err + answer.out


@pytest.mark.slow
@pytest.mark.ci
def test_the_benchmark_refuses_a_batch_of_nothing_in_a_line(capsys):
    from benchmark.command import main

    with pytest.raises(SystemExit) as ended:
        main(["--batch-size", "0"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.strip().endswith("(benchmark.py --help lists what it takes)")


@pytest.mark.slow
@pytest.mark.ci
def test_a_preview_leaves_no_files(run_command, tmp_path):
    for words in (["preview=true"], ["-m", "seed=0,1", "preview=true"]):
        answer = run_command(*words)
        assert answer.code == 0, answer
        assert "to be trained" in answer.out
        assert not list((tmp_path / "outputs").rglob("*"))


@pytest.mark.slow
@pytest.mark.ci
def test_the_same_run_asked_for_twice_is_one_job_and_said_so(run_command):
    answer = run_command("-m", "optimizer.lr=1e-3,0.001,2e-3", "preview=true")
    assert answer.code == 0, answer
    assert answer.out.count("to be trained") == 2
    assert "job 1 is the same run as job 0" in answer.out


@pytest.mark.slow
@pytest.mark.ci
def test_groups_of_a_sweep_need_no_quotes_inside_quotes(run_command):
    answer = run_command("-m", 'hydra.sweeper.groups=[[optimizer=adamw,"seed=0,1"],[optimizer=sgd]]', "preview=true")
    assert answer.code == 0, answer
    assert answer.out.count("to be trained") == 3


@pytest.mark.slow
@pytest.mark.ci
def test_a_baseline_is_named_with_or_without_quotes():
    from vision_baselines.cli.command_line import ordered

    assert ordered(["comparison.baseline=model=fc"]) == ordered(['comparison.baseline="model=fc"'])


@pytest.mark.slow
@pytest.mark.ci
def test_a_shell_completes_the_installed_command(own, monkeypatch, command_line):
    monkeypatch.setattr("sys.argv", ["vision-baselines"])
    monkeypatch.setenv("COMP_LINE", "vision-baselines train model=cnn_")
    assert {"model=cnn_gap", "model=cnn_rgb"} <= set(command_line("-sc", "query=bash", verb="console").out.split())
    monkeypatch.setenv("COMP_LINE", "vision-baselines tr")
    assert command_line("-sc", "query=bash", verb="console").out.split() == ["train"]


@pytest.mark.slow
def test_the_jobs_of_a_sweep_find_it_too(run_command, tmp_path, monkeypatch):
    (tmp_path / "swept_package.py").write_text("from pytorch_lightning.callbacks import Callback as Mine\n")
    monkeypatch.chdir(tmp_path)
    answer = run_command(
        "-m", "seed=0,1", "+callbacks.x={_target_:swept_package.Mine}", "trusted_packages=[swept_package]"
    )
    assert answer.code == 0, answer


@pytest.mark.slow
def test_a_recorded_config_makes_no_package_of_the_start_folder_importable(run_command, command_line, folder, tmp_path):
    (tmp_path / "once_trusted.py").write_text("from pytorch_lightning.callbacks import Callback as Mine\n")
    sys.path.insert(0, str(tmp_path))
    try:
        trained = run_command("+callbacks.x={_target_:once_trusted.Mine}", "trusted_packages=[once_trusted]")
    finally:
        sys.path.remove(str(tmp_path))
    assert trained.code == 0, trained
    assert command_line(str(folder), verb="evaluate").code == 2


@pytest.mark.slow
def test_own_config_files_and_packages_are_known_to_every_command(run_command, command_line, own, folder, tmp_path):
    (tmp_path / "own" / "probe").mkdir()
    (tmp_path / "own" / "probe" / "mine.yaml").write_text("mine:\n  _target_: own_probe.Mine\n")
    (tmp_path / "own" / "model").mkdir()
    (tmp_path / "own" / "model" / "mine.yaml").write_text("_target_: own_probe.Net\nclasses: ${data.num_classes}\n")
    (tmp_path / "own_probe.py").write_text(
        "import torch\nfrom pytorch_lightning.callbacks import Callback as Mine\n\n\n"
        "class Net(torch.nn.Sequential):\n    def __init__(self, classes):\n"
        "        super().__init__(torch.nn.Flatten(), torch.nn.LazyLinear(classes))\n"
    )
    assert run_command().code == 0
    words = ["--config-dir", own, "--trust", "own_probe"]
    answer = command_line(str(folder), "probe=mine", *words, verb="evaluate")
    assert answer.code == 0, answer
    inspected = command_line("model=nope", "--config-dir", own, verb="inspect_model")
    assert "mine" in inspected.err
    assert command_line(str(folder), *words, verb="reproduce").code == 0


@pytest.fixture(scope="module")
def finished(train_tiny, tmp_path_factory):
    """The folder of a run, for copies of it."""
    train_tiny(place := tmp_path_factory.mktemp("finished") / "job")
    return place


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("verb", ["train", "evaluate", "compare"])
def test_a_finished_record_without_metrics_is_answered_in_a_line(run_command, command_line, folder, finished, verb):
    shutil.copytree(finished, folder)
    record = json.loads((folder / "run.json").read_text())
    record["metrics"] = {}
    (folder / "run.json").write_text(json.dumps(record))
    answer = run_command() if verb == "train" else command_line(str(folder), verb=verb)
    assert "Traceback" not in answer.err + answer.out
    assert len([line for line in answer.err.splitlines() if line.strip()]) <= 2, answer.err
    assert "Not expected here" not in answer.err
