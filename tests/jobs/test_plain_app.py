"""The launcher and the sweepers in Hydra applications that know nothing of this project."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "howto" / "launcher.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
FILES = {body.splitlines()[0][2:]: body for kind, body in BLOCKS if kind in ("python", "yaml")}
COMMANDS = [body.strip() for kind, body in BLOCKS if kind == "sh"]

# Ends in every way that a job can end, and returns what can and cannot be sent.
ENDS = """
import os, signal, sys, threading, time
from dataclasses import dataclass, field
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf


@dataclass
class Point:
    across: int = 1
    down: int = 2


@dataclass
class Config:
    how: str = "ok"
    point: Point = field(default_factory=Point)
    twice: int = 0


@dataclass
class Answer:
    how: str


ConfigStore.instance().store(name="config", node=Config)


@hydra.main(version_base="1.3", config_path=None, config_name="config")
def main(cfg):
    print("how is", cfg.how, flush=True)
    how = cfg.how
    if how == "raise":
        raise ValueError("[bold]two\\nlines")
    if how == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "memory":
        os.kill(os.getpid(), signal.SIGKILL)
    if how.startswith("exit"):
        sys.exit(int(how[4:]))
    if how == "object":
        return Answer(how)
    if how == "lock":
        return threading.Lock()
    if how == "sleep":
        Path(HydraConfig.get().runtime.output_dir, "pid").write_text(str(os.getpid()))
        time.sleep(300)
    assert isinstance(OmegaConf.to_object(cfg.point), Point)
    return cfg.twice + seen


if __name__ == "__main__":
    seen = 5
    OmegaConf.register_new_resolver("double", lambda number: 2 * number)
    main()
"""


@pytest.fixture
def app(tmp_path, environment):
    """``app(*words)``: the application of ENDS in an empty folder, as a finished process."""
    (tmp_path / "ends.py").write_text(ENDS)

    def run(*words, script="ends.py", code=None):
        command = [sys.executable, script, *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done

    return run


def words_of(command):
    program, script, *words = shlex.split(command)
    assert program == "python"
    return script, words


@pytest.mark.slow
@pytest.mark.ci
def test_the_page_s_commands_do_what_it_says(app, tmp_path):
    for name, body in FILES.items():
        (tmp_path / name).write_text(body)
    script, words = words_of(COMMANDS[0])
    done = app(*words, script=script, code=1)
    lines = [re.sub(r"\d+\.\d s$", "0.1 s", line) for line in done.stdout.splitlines()]
    [shown] = [body.splitlines() for kind, body in BLOCKS if not kind]
    lines, shown = [[re.sub(r"multirun/[\d/-]+/", "multirun/…/", line) for line in each] for each in (lines, shown)]
    assert sorted(lines[1:5]) == sorted(shown[1:5])
    assert lines[5:] == shown[5:]
    first = done.stderr.splitlines()[0]
    assert first.startswith("1 of 4 jobs failed, 3 finished; x=0: ZeroDivisionError: division by zero (multirun/")
    script, words = words_of(COMMANDS[1])
    ended = re.findall(r"✓ x=(\d)  (\d\.\d\d), (\d) done", app(*words, script=script, code=0).stdout)
    assert [number for _, _, number in ended] == ["1", "2", "3"]
    assert {x: value for x, value, _ in ended} == {
        "1": "1.00",
        "2": "0.50",
        "4": "0.25",
    }  # two at a time end in any order
    assert app(*words, script=script, code=0).stdout.splitlines() == ["3 of 3 jobs are finished already"]


@pytest.mark.slow
@pytest.mark.ci
def test_every_way_to_end_is_one_job_s_and_named(app, tmp_path):
    ways = ["raise", "segfault", "memory", "exit3", "exit0", "object", "lock", "ok"]
    words = [
        "-m",
        "hydra/launcher=local",
        "hydra.launcher.n_jobs=2",
        "hydra.sweep.dir=out",
        "hydra.sweep.subdir=${how}",
    ]
    done = app(*words, f"how={','.join(ways)}", "twice=${double:4}", code=1)
    said = {line.split()[1].removeprefix("how="): line for line in done.stdout.splitlines() if line[0] in "✓✗"}
    assert "✗ how=raise  ValueError: [bold]two; lines" in done.stdout
    assert said["segfault"] == "✗ how=segfault  killed by SIGSEGV (out/segfault)"
    assert "killed by SIGKILL (from outside, or by the system because memory ran out)" in said["memory"]
    assert said["exit3"] == "✗ how=exit3  the process ended by itself with exit code 3 (out/exit3)"
    assert said["exit0"].startswith("✓")
    assert said["object"].startswith("✓")
    assert re.match(r"✓ how=ok  13  ", said["ok"])  # a resolver and a global that the script made before Hydra ran
    assert "how=lock: it returned a lock, which cannot be sent between processes" in done.stdout
    assert "4 of 8 jobs failed, 4 finished" in done.stdout
    assert "how is segfault" in (tmp_path / "out" / "segfault" / "output.txt").read_text()
    assert "ValueError: [bold]two" in (tmp_path / "out" / "raise" / "output.txt").read_text()
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_what_is_wrong_is_found_before_the_first_job(app, tmp_path):
    words = ["-m", "hydra/launcher=local", "hydra.sweep.dir=out", "hydra.sweep.subdir=${how}"]
    done = app(*words, "how=ok", "point.across=1,two", code=1)
    assert "Value 'two' of type 'str' could not be converted to Integer" in done.stderr
    assert not (tmp_path / "out" / "ok").exists()
    done = app("-m", "hydra/launcher=local", "hydra/sweeper=until_decided", "how=ok", code=1)
    assert done.stderr.splitlines()[0].startswith("hydra/sweeper=until_decided decides by the records that jobs leave")


@pytest.mark.slow
def test_the_first_failure_ends_the_sweep_where_that_is_asked_for(app, tmp_path):
    words = ["-m", "hydra/launcher=local", "hydra.launcher.n_jobs=1", "hydra.launcher.fail_fast=true"]
    done = app(*words, "hydra.sweep.dir=out", "hydra.sweep.subdir=${how}", "how=ok,exit3,raise", code=1)
    assert "fail_fast=true: the jobs after it were not started" in done.stderr
    assert "1 of 3 jobs failed, 1 not started, 1 finished" in done.stdout
    assert not (tmp_path / "out" / "raise").exists()


@pytest.mark.slow
def test_ctrl_c_ends_every_job_and_says_so(tmp_path, environment, app):
    command = [
        sys.executable,
        "ends.py",
        "-m",
        "hydra/launcher=local",
        "hydra.launcher.n_jobs=2",
        "hydra.sweep.dir=out",
    ]
    words = ["how=sleep", "twice=0,1,2"]
    started = subprocess.Popen(
        [*command, *words], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    pids = [tmp_path / "out" / str(number) / "pid" for number in (0, 1)]
    while started.poll() is None and not all(path.is_file() and path.read_text() for path in pids):
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    out, error = started.communicate(timeout=120)
    assert started.returncode == 130, out + error
    assert "2 of 3 jobs interrupted, 1 not started" in out
    assert "Traceback" not in out + error
    for path in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)


@pytest.mark.slow
def test_axes_that_belong_together_and_returned_values_of_another_sweeper(app):
    groups = 'hydra.sweeper.groups=[["how=ok","twice=1,2"],["how=object","twice=7"]]'
    done = app("-m", "hydra/launcher=local", "hydra/sweeper=paired", groups, "point.down=3", code=0)
    assert "3 jobs" in done.stdout
    done = app("-m", "hydra/launcher=basic", "hydra/sweeper=paired", groups, code=0)
    assert next(line for line in done.stdout.splitlines() if "#2" in line).endswith("how=object twice=7")


# An application as it is without this package: what was installed of it is taken off the path.
WITHOUT = """
import runpy, sys
from pathlib import Path
plugin = Path("hydra_plugins", "vision_baselines_local.py")
sys.path = [place for place in sys.path if not Path(place or ".", plugin).exists()]
sys.argv = sys.argv[1:]
sys.path.insert(0, "")
from hydra.core.plugins import Plugins
assert not [name for name in map(str, Plugins.instance().discover()) if "vision_baselines" in name]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
OWN_LAUNCHER = "_target_: hydra._internal.core_plugins.basic_launcher.BasicLauncher\n"


@pytest.mark.slow
@pytest.mark.parametrize("own", [False, True], ids=["", "own_config_of_that_name"])
def test_an_application_that_does_not_choose_it_is_as_it_was(app, tmp_path, own):
    (tmp_path / "app.py").write_text(FILES["app.py"])
    choice = "defaults: [_self_, {override hydra/launcher: local}]\n" if own else ""
    (tmp_path / "config.yaml").write_text(choice + "x: 1\n")
    if own:
        (tmp_path / "hydra" / "launcher").mkdir(parents=True)
        (tmp_path / "hydra" / "launcher" / "local.yaml").write_text(OWN_LAUNCHER)
    (tmp_path / "without.py").write_text(WITHOUT)
    fixed = ["hydra.run.dir=out", "hydra.sweep.dir=sweep"]
    for words in (["--cfg", "all", *fixed], ["--help"], ["-m", "x=1,2", *fixed], ["--info", "defaults"]):
        ours = app(*words, script="app.py", code=0)
        theirs = app("app.py", *words, script="without.py", code=0)
        assert without_times(ours.stdout) == without_times(theirs.stdout), words
        assert ours.stderr == theirs.stderr


def without_times(text):
    return re.sub(r"\d{4}-\d\d-\d\d[ /]\d\d[:-]\d\d[:-]\d\d(,\d+)?", "TIME", text)


@pytest.mark.slow
def test_it_is_found_where_only_the_wheel_is_installed(tmp_path, environment):
    import zipfile

    builders = pytest.importorskip("hatchling.builders.wheel")
    [path] = builders.WheelBuilder(str(ROOT)).build(directory=str(tmp_path / "dist"), versions=["standard"])
    zipfile.ZipFile(path).extractall(tmp_path / "site")
    (tmp_path / "app").mkdir()
    for name in ("app.py", "config.yaml"):
        (tmp_path / "app" / name).write_text(FILES[name])
    (tmp_path / "app" / "only.py").write_text(
        WITHOUT.replace('sys.path.insert(0, "")', f'sys.path[:0] = ["", {str(tmp_path / "site")!r}]').replace(
            "assert not", "assert"
        )
    )
    words = ["app.py", "-m", "hydra/launcher=local", "x=1,2"]
    kept = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "only.py", *words], cwd=tmp_path / "app", env=kept, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ x=2  0.5" in done.stdout


@pytest.mark.slow
def test_two_thousand_jobs_that_do_nothing_keep_files_and_memory_flat(tmp_path, environment):
    import resource

    (tmp_path / "app.py").write_text(COUNTING)
    done = subprocess.run(
        [sys.executable, "app.py", "-m", "hydra/launcher=local", "hydra/sweeper=paired", "hydra.launcher.n_jobs=4",
         "+hydra.launcher.jobs._target_=app.Watched", "hydra.output_subdir=null", "hydra.sweep.dir=out",
         "x=range(0,2000)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    seen = [tuple(map(int, line.split())) for line in (tmp_path / "seen").read_text().splitlines()]
    assert len(list((tmp_path / "out").glob("*/output.txt"))) == 2000
    assert max(files for files, _ in seen) <= min(files for files, _ in seen) + 3 * 4
    assert max(memory for _, memory in seen) - min(memory for _, memory in seen) < 20_000_000


COUNTING = """
import os
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from vision_baselines.jobs.hooks import Hooks

ConfigStore.instance().store(name="counting", node={"x": 0})


class Watched(Hooks):
    def some_ended(self):
        memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        with open("seen", "a") as file:
            print(len(os.listdir("/proc/self/fd")), memory, file=file)


@hydra.main(version_base="1.3", config_path=None, config_name="counting")
def main(cfg):
    pass


if __name__ == "__main__":
    main()
"""
