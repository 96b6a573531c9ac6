"""What the command line answers: one or two lines and an exit code for every mistake, without waiting for torch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ASK = str(Path(__file__).with_name("asking.py"))

# What is typed, and what the answer has to name.
MISTAKES = {
    "trainer.max_epoch=3": ["'trainer.max_epoch'", "did you mean trainer.max_epochs?"],
    "modle=cnn": ["'modle'", "did you mean model?"],
    "qwertyuiop=1": ["'qwertyuiop'", "write +qwertyuiop="],
    "model=cn": ["model=cn does not exist", "did you mean cnn?", "fc"],
    "data=mnits": ["data=mnits does not exist", "did you mean mnist?", "digits"],
    "optimizer=adamx": ["optimizer=adamx does not exist", "adamw"],
    "trainer.max_epochs=0": ["trainer.max_epochs is 0", "at least 1"],
    "trainer.max_epochs=abc": ["trainer.max_epochs is 'abc'", "a whole number"],
    "data.batch_size=-64": ["data.batch_size is -64", "at least 1"],
    "name=../x": ["name is '../x'"],
    "model._target_=os.system": ["'os.system'", "model._target_"],
    "optimizer._target_=torch.load": ["'torch.load'", "optimizer._target_"],
    "+callbacks.x._target_=vision_baselines.training.run.train": [
        "vision_baselines.training.run.train",
        "callbacks.x._target_",
    ],
    "+callbacks.x._target_=vision_baselines.training.checkpoints.checkpoint_file.save": ["checkpoint_file.save"],
    "~model": ["model"],
    "model=fc,cnn": ["model=fc,cnn", "--multirun"],
    "model=a=b": ["model=a=b"],
    "hydra/launcher=lcoal": ["did you mean local?", "basic"],
    "-m seed=0,1 trainer.max_epochs=1,0": ["trainer.max_epochs is 0"],
    "-m model=cnn,nope": ["model=nope does not exist", "cnn"],
    "-m seed=0,1 model.dropot=0.1,0.2": ["did you mean model.dropout?"],
    "-m seed=0,1 name=../x": ["name is '../x'"],
}


@pytest.fixture(scope="module")
def asked(python, tmp_path_factory, selected):
    """The answers to every mistake that is tested, and the folder nothing should have been written to."""
    folder = tmp_path_factory.mktemp("cli")
    mistakes = selected("words", MISTAKES)
    commands = [[*words.split(" "), f"paths.output_dir={folder / 'outputs'}"] for words in mistakes]
    named = [[*command, *([] if "name=" in " ".join(command) else ["name=typo"])] for command in commands]
    done = python(ASK, json.dumps(named), cwd=folder, fresh=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    return dict(zip(mistakes, result["answers"], strict=True)), result["slow"], folder


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_answered_in_one_or_two_lines_and_exit_code_2(asked, words):
    answer = asked[0][words]
    assert answer["code"] == 2, answer
    lines = answer["err"].strip().splitlines()
    assert 1 <= len(lines) <= 2, answer["err"]
    assert lines[0].startswith("error: ")
    assert "Traceback" not in answer["err"]


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize(("words", "named"), MISTAKES.items())
def test_the_answer_to_a_mistake_names_what_is_wrong_and_what_is_right(asked, words, named):
    for word in named:
        assert word in asked[0][words]["err"]


@pytest.mark.slow
@pytest.mark.ci
def test_no_mistake_sends_anybody_to_hydras_environment_variables(asked):
    assert not [words for words, answer in asked[0].items() if "HYDRA_FULL_ERROR" in answer["err"]]


@pytest.mark.slow
@pytest.mark.ci
def test_mistakes_are_reported_before_torch_is_imported(asked):
    assert asked[1] == []


@pytest.mark.slow
@pytest.mark.ci
def test_a_mistake_in_a_sweep_is_reported_before_any_job_starts(asked):
    assert not list(asked[2].rglob("run.json"))


@pytest.mark.slow
@pytest.mark.ci
def test_nothing_is_written_where_the_command_was_started(asked):
    assert {path.name for path in asked[2].iterdir()} <= {"outputs"}


@pytest.fixture(scope="module")
def help_answer(python):
    return python(ASK, json.dumps([["--help"]]), fresh=True)


def test_help_shows_every_group_and_examples(help_answer, root):
    [answer] = json.loads(help_answer.stdout.splitlines()[-1])["answers"]
    shown = answer["out"]
    for group in ("data", "model", "optimizer", "scheduler", "trainer", "callbacks", "logger", "paths"):
        options = ", ".join(sorted(path.stem for path in (root / "conf" / group).glob("*.yaml")))
        assert f"{group}: {options}" in shown
    assert "python scripts/train.py -m name=" in shown
    assert "model=cnn,fc seed=0,1,2" in shown


def test_help_does_not_wait_for_torch(help_answer):
    assert json.loads(help_answer.stdout.splitlines()[-1])["slow"] == []


# Runs that do start, in one process of their own: without network, on data that is not there, and to their result.
@pytest.fixture(scope="module")
def started(python, tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    where = f"paths.output_dir={folder / 'outputs'}"
    empty = folder / "empty"
    empty.mkdir()
    plain = ["callbacks.filters=null", "callbacks.parameters=null"]
    commands = {
        "missing data": ["data=mnist", f"paths.data_dir={empty}", "name=missing", where],
        "diverging": [*tiny, *plain, "optimizer=sgd", "optimizer.lr=1e30", "scheduler=none", "name=div", where],
        "too small": [*tiny, "++data.source.image_shape=[1,2,2]", "data.image_shape=[1,2,2]", "name=small", where],
        "no such option": [*tiny, "+trainer.nonsense=1", "name=nonsense", where],
        "fine": [*tiny, *plain, "seed=3", "trainer.max_epochs=1", "name=fine", where],
        "again": [*tiny, *plain, "seed=3", "trainer.max_epochs=1", "name=fine", where],
    }
    # Hydra refuses a key that is set twice: the later one is meant.
    commands = {key: list({w.split("=")[0]: w for w in words}.values()) for key, words in commands.items()}
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = python(ASK, json.dumps(list(commands.values())), cwd=folder, **nowhere)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])["answers"]
    return dict(zip(commands, answers, strict=True)), folder / "outputs"


def lines(answer):
    return [line for line in answer["err"].splitlines() if line.strip() and "Warning" not in line]


@pytest.mark.slow
@pytest.mark.ci
def test_missing_data_without_network_is_exit_code_3_in_two_lines(started):
    answer = started[0]["missing data"]
    assert answer["code"] == 3
    assert len(lines(answer)) <= 2
    assert "MNIST" in answer["err"]
    assert "paths.data_dir" in answer["err"]


@pytest.mark.slow
@pytest.mark.ci
def test_a_diverging_run_is_exit_code_4_and_names_the_learning_rate(started):
    answer = started[0]["diverging"]
    assert answer["code"] == 4
    assert "optimizer.lr" in answer["err"]
    assert "Traceback" not in answer["err"]


@pytest.mark.slow
@pytest.mark.ci(every=2)
@pytest.mark.parametrize("case", ["too small", "no such option"])
def test_what_a_class_refuses_is_a_mistake_in_the_config(started, case):
    answer = started[0][case]
    assert answer["code"] == 2
    assert len(lines(answer)) <= 2
    assert "Traceback" not in answer["err"]


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_that_comes_to_its_result_ends_with_its_headline_folder_and_page(started):
    answer = started[0]["fine"]
    assert answer["code"] == 0, answer
    *_, headline, folder, place = answer["out"].strip().splitlines()
    assert "test/acc" in headline
    assert folder.startswith(str(started[1] / "fine"))
    page = Path(place.removeprefix("Look at it: "))
    assert page == Path(folder) / "run.html"
    assert page.read_text(encoding="utf-8").endswith("</html>\n")


@pytest.mark.slow
@pytest.mark.ci
def test_the_same_command_again_trains_nothing_and_says_so(started):
    answer = started[0]["again"]
    assert answer["code"] == 0
    assert "is finished already; rerun=true trains it again" in answer["out"]


@pytest.mark.slow
@pytest.mark.ci
def test_the_config_is_saved_beside_the_run(started):
    [folder] = [path.parent for path in (started[1] / "fine").glob("*/run.json")]
    assert {"config.yaml", "run.json", "train.log", ".hydra"} <= {path.name for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.ci
def test_progress_goes_to_the_log_file_not_to_a_pipe(started):
    [log] = (started[1] / "fine").glob("*/train.log")
    assert "epoch 0 (last 0)" in log.read_text()
    assert "epoch 0 (last 0)" not in started[0]["fine"]["out"]


@pytest.mark.slow
def test_the_script_itself_answers_from_anywhere(cli):
    answer = cli("trainer.max_epochs=0", fresh=True)
    assert answer.returncode == 2
    assert answer.stderr == "loading …\nerror: trainer.max_epochs is 0; expected a whole number of at least 1\n"
