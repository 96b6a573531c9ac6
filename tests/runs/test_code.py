"""The code a run used: what changes it, what does not, and what becomes of runs of other code."""

from __future__ import annotations

import hashlib
import sys

import pytest

from vision_baselines.comparison.collection import collect
from vision_baselines.comparison.grouping import group_jobs
from vision_baselines.errors import ConfigError
from vision_baselines.evaluation.reproduce import compare_records
from vision_baselines.runs import resumption
from vision_baselines.runs.code import code_differences, code_of, code_of_all_attempts, normalized
from vision_baselines.runs.record import read_record
from vision_baselines.runs.resumption import Action, decide

SOURCE = '''"""What."""
import os  # why

# a comment
class A:
    """Doc 'with' "quotes" # and no comment."""

    x = {"#": 1, 'b': "it's"}

    def f(self, a, *, b="# no comment"):
        r"""Raw."""
        if "x" in a:  # why
            return f"{a} # {b}"
        return (a +
                b)
'''
SAME = {
    "comments": SOURCE.replace("# why", "# because").replace("    # a comment\n", ""),
    "docstrings": SOURCE.replace('"""What."""\n', "").replace('r"""Raw."""', '"short"'),
    "blank lines": SOURCE.replace("\n\n", "\n"),
    "line ends": SOURCE.replace("\n", "\r\n"),
    "line breaks": SOURCE.replace("(a +\n                b)", "(a + b)"),
    "spaces": SOURCE.replace("a, *, b=", "a,  *,b = "),
}
OTHER = {
    "a name": SOURCE.replace("class A", "class B"),
    "a number": SOURCE.replace(": 1", ": 2"),
    "a string": SOURCE.replace("it's", "it"),
    "behind a hash in a string": SOURCE.replace('# no comment"', '# a comment"', 1).replace("# no c", "# x"),
    "behind a hash in an f-string": SOURCE.replace("# {b}", "# {a}"),
    "indentation": SOURCE.replace("        return (a", "            return (a"),
    "a space between words": SOURCE.replace("import os", "importos"),
}


@pytest.mark.parametrize("what", SAME)
def test_what_changes_no_result_changes_no_digest(what):
    assert SAME[what] != SOURCE
    assert normalized(SAME[what]) == normalized(SOURCE)


@pytest.mark.parametrize("what", OTHER)
def test_what_may_change_a_result_changes_the_digest(what):
    assert normalized(OTHER[what]) != normalized(SOURCE)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of one's own: a net, what it imports, and what it does not."""
    folder = tmp_path / "site" / "my_nets_of_code"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "net.py").write_text("from my_nets_of_code import parts\nfrom .deep import x\nclass Net: pass\n")
    (folder / "parts.py").write_text("from vision_baselines.models.cnn import CNN\n")
    (folder / "deep.py").write_text("x = 1\n")
    (folder / "other.py").write_text("y = 1\n")
    monkeypatch.syspath_prepend(str(folder.parent))
    return folder


def config(**more):
    return {"model": {"_target_": "my_nets_of_code.net.Net"}, "trusted_packages": ["my_nets_of_code"], **more}


def test_the_modules_are_those_that_the_config_leads_to_and_nothing_is_imported(package):
    found = code_of(config())
    assert {f"my_nets_of_code{name}" for name in ("", ".net", ".parts", ".deep")} <= set(found)
    assert {"vision_baselines.models.cnn", "vision_baselines.training.run", "vision_baselines.seeding"} <= set(found)
    assert not {"my_nets_of_code.other", "vision_baselines.models.fc", "vision_baselines.runs.code"} & set(found)
    assert "my_nets_of_code.net" not in sys.modules
    assert not any(name.startswith("my_nets") for name in code_of(config(trusted_packages=[])))


def test_an_edit_is_found_and_a_comment_is_not(package):
    before = code_of(config())
    (package / "deep.py").write_text("x = 1  # one\n")
    assert code_of(config()) == before
    (package / "deep.py").write_text("x = 21\n")
    assert code_differences(before, code_of(config())) == ["my_nets_of_code.deep"]
    (package / "other.py").write_text("y = 2\n")
    assert code_differences(before, code_of(config())) == ["my_nets_of_code.deep"]


def test_probes_loggers_and_progress_are_no_part_of_it(package):
    plain = code_of(config())
    shown = {"logger": {"x": {"_target_": "my_nets_of_code.other.Y"}}, "probe": {"_target_": "my_nets_of_code.other.Y"}}
    assert code_of(config(**shown)) == plain


def test_every_version_of_python_gives_the_same_digest():
    digest = hashlib.sha256(normalized(SOURCE).encode()).hexdigest()
    assert digest[:16] == "0d4eacfabd1f71a5", "a digest that changes makes other code of all runs"


@pytest.fixture
def finished(run_tiny, tmp_path, monkeypatch):
    """The folder of a finished run whose code has changed since."""
    monkeypatch.setattr(resumption, "_said", set())
    record = run_tiny("run")
    assert "vision_baselines.models.cnn" in record.code
    record.code["vision_baselines.models.cnn"] = "other"
    record.write(tmp_path / "outputs" / "run")
    return tmp_path / "outputs" / "run"


def test_a_finished_run_of_other_code_is_kept_and_said_to_be_so_once(finished, caplog):
    recorded = read_record(finished)
    assert decide(finished, recorded.config).action is Action.SKIP
    assert decide(finished, recorded.config).action is Action.SKIP
    assert caplog.text.count("is of other code (models.cnn): it is kept and compared as a group of its own") == 1


@pytest.mark.slow
@pytest.mark.ci
def test_it_is_refused_or_ignored_where_that_is_asked(finished, caplog):
    recorded = read_record(finished)
    with pytest.raises(ConfigError, match=r"other code \(models\.cnn\); rerun=true"):
        decide(finished, {**recorded.config, "code": "refuse"})
    assert decide(finished, {**recorded.config, "code": "ignore"}).action is Action.SKIP
    assert "other code" not in caplog.text


def test_runs_of_other_code_are_a_group_of_their_own(finished, run_tiny, tmp_path):
    run_tiny("seed1", "seed=1")
    labels = [(group.label, len(group.jobs)) for group in group_jobs(collect([tmp_path / "outputs"]).jobs)]
    assert len(labels) == 2
    assert labels[1][0].startswith(f"{labels[0][0]}, code=")
    for folder in (finished, tmp_path / "outputs" / "seed1"):
        record = read_record(folder)
        record.config["code"] = "ignore"
        record.write(folder)
    assert [len(group.jobs) for group in group_jobs(collect([tmp_path / "outputs"]).jobs)] == [2]


def test_reproducing_names_the_difference_and_judges_by_the_bits(finished):
    recorded = read_record(finished)
    now = recorded.model_copy(update={"code": {**recorded.code, "vision_baselines.models.cnn": "now"}})
    result = compare_records(recorded, now)
    [code] = [point for point in result.points if point.name == "code"]
    assert (code.verdict, code.detail) == ("differs", "models.cnn; judged by the bits")
    assert result.passed


def test_a_run_that_was_resumed_with_other_code_has_both():
    assert code_of_all_attempts({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == {
        "a": "1",
        "b": "2+3",
        "c": "4",
    }
    assert code_of_all_attempts({"b": "2+3"}, {"b": "3"}) == {"b": "2+3"}
