"""Compiled templates are kept where Python keeps its own, and are of the template that lies there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vision_baselines.report import templates


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of compiled templates, and one template."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "one.j2").write_text("{% for n in range(3) %}{{ n + more }} {% endfor %}")
    monkeypatch.setattr(
        templates.importlib.util, "cache_from_source", lambda _: str(tmp_path / "kept" / "templates.pyc")
    )
    return tmp_path / "kept"


def rendered(place: Path, **options: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(place.parent), bytecode_cache=templates._Compiled(), **options
    )
    return environment.get_template("one.j2").render(more=1)


def test_a_template_is_compiled_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rendered(place) == "1 2 3 "
    assert len(list(place.iterdir())) == 1
    monkeypatch.setattr(jinja2.Environment, "compile", lambda *_, **__: pytest.fail("compiled again"))
    assert rendered(place) == "1 2 3 "


def test_a_template_that_was_changed_is_compiled_anew(place: Path) -> None:
    rendered(place)
    (place.parent / "one.j2").write_text("{{ more }}!")
    assert rendered(place) == "1!"


def test_other_settings_are_other_files(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered(place)
    monkeypatch.setattr(jinja2, "__version__", "99.0")
    rendered(place)
    assert len(list(place.iterdir())) == 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.data())
def test_a_file_that_is_not_what_was_written_costs_nothing_but_time(place: Path, data: st.DataObject) -> None:
    assert rendered(place) == "1 2 3 "
    [kept] = place.iterdir()
    content = kept.read_bytes()
    cut = content[: data.draw(st.integers(0, len(content) - 1))]
    kept.write_bytes(cut if data.draw(st.booleans()) else data.draw(st.binary(max_size=200)))
    assert rendered(place) == "1 2 3 "
    kept.write_bytes(content)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is forbidden here")
def test_a_folder_that_cannot_be_written_to_is_left_alone(place: Path) -> None:
    place.chmod(0o500)
    try:
        assert rendered(place) == "1 2 3 "
    finally:
        place.chmod(0o700)


def test_a_folder_that_is_not_there_is_not_made(place: Path) -> None:
    place.rmdir()
    assert rendered(place) == "1 2 3 "
    assert not place.exists()
