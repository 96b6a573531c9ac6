"""tags and notes make no other run and stay with it; print_config; conf/local."""

from __future__ import annotations

import pytest

from vision_baselines.cli.config_tree import config_tree, tree_text
from vision_baselines.config.checks import check_labels, checked_config
from vision_baselines.errors import ConfigError
from vision_baselines.runs.fingerprint import fingerprint, job_name
from vision_baselines.runs.record import read_record

WORDS = ["tags=[paper,first try]", "notes='with the new data'", "print_config=true"]


def test_tags_and_notes_make_no_other_run(compose):
    assert fingerprint(checked_config(compose(*WORDS))) == fingerprint(checked_config(compose()))
    assert job_name(["model=fc", *WORDS]) == job_name(["model=fc"])


@pytest.mark.parametrize("config", [{"tags": "paper"}, {"tags": [1]}, {"tags": [" "]}, {"notes": 3}, {"notes": ""}])
def test_what_is_no_tag_or_note_is_refused_in_a_line(config):
    with pytest.raises(ConfigError, match="expected a") as caught:
        check_labels(config)
    assert len(str(caught.value).splitlines()) == 1


def test_the_tree_has_every_leaf_once_and_shows_foreign_text_as_it_is():
    config = {"a": {"b": 1, "c": {"d": [1, "x"]}}, "e": {}, "f": "[red]no markup[/red]", "g": "${oc.env:KEY}", "h": "1"}
    lines = [line.strip("│├└─ ") for line in tree_text(config).splitlines()]
    assert lines == [
        "config", "a", "b: 1", "c", "d: [1, x]", "e: {}", "f: '[red]no markup[/red]'", "g: ${oc.env:KEY}", "h: '1'",
    ]  # fmt: skip
    assert len(config_tree(config).children) == len(config)


@pytest.mark.slow
@pytest.mark.ci
def test_a_finished_run_is_given_other_tags_and_keeps_its_notes_without_being_trained(run_tiny, tmp_path):
    first = run_tiny("run", "tags=[a,b]", "notes=first", "trainer.max_epochs=1")
    assert (first.tags, first.notes) == (["a", "b"], "first")
    run_tiny("run", "tags=[c]", "trainer.max_epochs=1")
    run_tiny("run", "trainer.max_epochs=1")
    kept = read_record(tmp_path / "outputs" / "run")
    assert (kept.tags, kept.notes) == (["c"], "first")
    assert (kept.attempts, kept.ended_at, kept.weights_sha256) == (1, first.ended_at, first.weights_sha256)


@pytest.mark.slow
def test_a_resumed_run_keeps_its_tags(run_tiny, resumed_after):
    record = resumed_after(4, lambda name, *options: run_tiny(name, "tags=[a]" if not options else "notes=b", *options))
    assert record.tags == ["a"]


@pytest.mark.slow
def test_a_file_of_ones_own_is_found_recorded_and_not_shipped(compose, tmp_path, root):
    from vision_baselines.config.compose import composed, extra_config_dir

    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "default.yaml").write_text("trainer:\n  max_epochs: 7\n", encoding="utf-8")
    with extra_config_dir(tmp_path):
        assert composed([]).trainer.max_epochs == 7
        assert composed(["debug=quick"]).trainer.max_epochs == 1
        assert composed(["trainer.max_epochs=3"]).trainer.max_epochs == 3
    assert "conf/local/" in (root / ".gitignore").read_text(encoding="utf-8").splitlines()
