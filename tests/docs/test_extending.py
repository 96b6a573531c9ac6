"""docs/extending.md: its files are written out and its commands run as they stand."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [body.strip() for kind, body in BLOCKS if kind == "sh"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with every file of the page, named by its first line."""
    folder = tmp_path_factory.mktemp("extending")
    for kind, body in BLOCKS:
        if kind in ("python", "yaml"):
            name = body.splitlines()[0].removeprefix("# ")
            assert re.fullmatch(r"[\w/]+\.(py|yaml)", name), f"a block must begin with its file's name: {name}"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(body, encoding="utf-8")
    return folder


def words_of(command: str, folder: Path) -> list[str]:
    program, script, *words = shlex.split(command)
    assert (program, script) == ("python", "scripts/train.py")
    flags = [word for word in words if word.startswith("-")]
    return [str(ROOT / script), *flags, f"paths.output_dir={folder / 'outputs'}", *words_without(words, flags)]


def words_without(words: list[str], flags: list[str]) -> list[str]:
    return [word for word in words if word not in flags]


def record_of(folder: Path, name: str) -> dict:
    [path] = (folder / "outputs" / name).glob("*/run.json")
    return json.loads(path.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.rsplit("name=", 1)[1].split()[0])
def test_every_command_of_the_page_trains_to_a_record(command, workplace, python):
    done = python(*words_of(command, workplace), cwd=workplace)
    assert done.returncode == 0, done.stderr[-2000:]
    name = command.rsplit("name=", 1)[1].split()[0]
    record = record_of(workplace, name)
    assert record["status"] == "finished"
    if name == "probe":
        assert record["curves"]["dimmed/acc"]["x"] == [1.0, 0.5, 0.25]
    if name == "task":
        assert (record["task"]["headline"], record["task"]["mode"]) == ("mae", "min")
        assert {"test/mae", "test/rmse", "test/r2"} < set(record["metrics"])
        assert "test/residual" in record["curves"]
    if name == "callback":
        assert record["history"][0]["metrics"]["weights/norm"] > 0
    if name == "logger":
        [lines] = (workplace / "outputs" / "logger").glob("*/lines.txt")
        assert "train/loss" in lines.read_text()
    if name == "schedule":
        assert [row["lr"] for row in record["history"]] == [0.001, 0.0005]


@pytest.mark.slow
def test_all_of_it_at_once(workplace, python):
    command = (
        "python scripts/train.py --config-dir=my_conf 'trusted_packages=[my_lab]' model=bottleneck data=stripes "
        "probe=dimmed logger=lines scheduler=halving '+callbacks.norm._target_=my_lab.callbacks.WeightNorm' "
        "trainer.max_epochs=1 name=all"
    )
    done = python(*words_of(command, workplace), cwd=workplace)
    assert done.returncode == 0, done.stderr[-2000:]
    assert record_of(workplace, "all")["status"] == "finished"


def test_the_page_covers_what_can_be_added():
    titles = re.findall(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    assert {"A net", "A data set", "A probe", "A task", "A callback", "A logger", "A schedule"} <= set(titles)
