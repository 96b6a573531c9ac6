"""A command that is forked from a process that has imported everything does what one in a new process does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.command_server import ROOT, CommandServer

TELL = """
import json, os, signal, sys, threading

main = sys.modules["__main__"]
found = {
    "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "cwd": os.getcwd(), "environment": dict(os.environ),
    "main": [main.__name__, main.__file__, str(main.__spec__), main is sys.modules[__name__], sorted(vars(main))],
    "signals": {one.name: str(signal.getsignal(one)) for one in signal.Signals}, "stdin": sys.stdin.read(),
    "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "threads": threading.active_count(),
    "files": [os.path.exists(f"/proc/self/fd/{number}") for number in range(3, 64)], "child": os.system("exit 3"),
}
print(json.dumps(found))
print("said", file=sys.stderr)
"""
ENDINGS = {
    "done": ("print('é')", 0, ""),
    "refused": ("sys.exit(2)", 2, ""),
    "missing": ("raise SystemExit('no data')", 1, "no data\n"),
    "wrong": ("{}['absent']", 1, "KeyError: 'absent'"),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
    "ended": ("os.kill(os.getpid(), signal.SIGTERM)", -15, ""),
    "interrupted": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", -2, "KeyboardInterrupt"),
    "at once": ("print('not flushed'); os._exit(7)", 7, ""),
    "on leaving": ("atexit.register(print, 'left')", 0, ""),
    "a thread": ("threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()", 0, ""),
}


@pytest.fixture(scope="module")
def server(environment):
    """One that has imported little."""
    server = CommandServer(environment, ["json", "random"])
    yield server
    server.close()


@pytest.fixture
def both(server, environment, tmp_path):
    """``both(code, *words, **env)``: what a server and a new process make of a script."""

    def run(code, *words, **env):
        script = tmp_path / "script.py"
        script.write_text(code)
        full = {key: value for key, value in {**environment, **env}.items() if value is not None}
        forked = server.run([str(script), *words], cwd=tmp_path, env=full, timeout=60)
        command = [sys.executable, str(script), *words]
        new = subprocess.run(
            command, cwd=tmp_path, env=full, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        return forked, new

    return run


def test_it_finds_what_a_new_process_finds(both, tmp_path, environment):
    path = os.pathsep.join([str(tmp_path / "own"), environment["PYTHONPATH"]])
    forked, new = both(TELL, "a=1", "--b c", PYTHONPATH=path, HOME=None, ADDED="1")
    assert forked.args == new.args
    assert (forked.returncode, forked.stderr) == (new.returncode, new.stderr) == (0, "said\n")
    found = json.loads(forked.stdout)
    assert found == json.loads(new.stdout)
    assert found["environment"]["ADDED"] == "1"
    assert "HOME" not in found["environment"]


@pytest.mark.parametrize(("code", "expected", "said"), ENDINGS.values(), ids=ENDINGS)
def test_it_ends_as_a_new_process_does(both, code, expected, said):
    forked, new = both(f"import atexit, os, signal, sys, threading, time\n{code}\n")
    assert forked.returncode == new.returncode == expected
    assert forked.stdout == new.stdout
    assert forked.stderr.endswith(new.stderr.splitlines()[-1] + "\n" if new.stderr else "")
    assert said in forked.stderr


def test_one_command_leaves_nothing_to_the_next(both):
    change = """
import json, os, random, sys
sys.path.clear()
os.environ["LEFT"] = "1"
json.left = 1
print(random.random())
"""
    ask = "import json, os, sys\nprint(len(sys.path) > 2, 'LEFT' in os.environ, hasattr(json, 'left'))"
    first, _ = both(change)
    second, _ = both(change)
    assert first.stdout != second.stdout
    forked, new = both(ask)
    assert forked.stdout == new.stdout == "True False False\n"


def test_what_takes_too_long_is_killed(server, environment, tmp_path):
    (tmp_path / "script.py").write_text("import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(99)\n")
    with pytest.raises(subprocess.TimeoutExpired, match=r"timed out after 1\.5 seconds"):
        server.run([str(tmp_path / "script.py")], cwd=tmp_path, env=environment, timeout=1.5)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_several_run_at_a_time(server, environment, tmp_path):
    (tmp_path / "waits.py").write_text(
        "import os, time\nwhile not os.path.exists('told'): time.sleep(0.01)\nprint(1)\n"
    )
    (tmp_path / "tells.py").write_text("open('told', 'w').close()\nprint(2)\n")
    said = []

    def run(name):
        done = server.run([str(tmp_path / name)], cwd=tmp_path, env=environment, timeout=60)
        said.append(done.stdout)

    waiting = threading.Thread(target=run, args=["waits.py"])
    waiting.start()
    run("tells.py")
    waiting.join()
    assert sorted(said) == ["1\n", "2\n"]


def test_it_ends_with_who_started_it_and_so_do_its_commands(environment, tmp_path):
    (tmp_path / "sleeps.py").write_text("import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(99)\n")
    starter = f"""
import os
from tests.command_server import CommandServer
CommandServer(dict(os.environ), ["json"]).run(["sleeps.py"], cwd={str(tmp_path)!r}, env=dict(os.environ), timeout=99)
"""
    path = os.pathsep.join([str(ROOT), environment["PYTHONPATH"]])
    process = subprocess.Popen([sys.executable, "-c", starter], env={**environment, "PYTHONPATH": path})
    until = time.monotonic() + 120
    while not (tmp_path / "pid").exists() or not (pid := (tmp_path / "pid").read_text()):
        assert time.monotonic() < until
        time.sleep(0.05)
    process.kill()
    process.wait()
    while (state := state_of(pid)) not in ("", "Z"):
        assert time.monotonic() < until, state
        time.sleep(0.05)


def state_of(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize(
    ("words", "env", "taken"),
    [
        ([f"{ROOT}/scripts/train.py", "a=1"], {}, True),
        (["-m", "vision_baselines", "status"], {"HOME": "/x"}, True),
        ([f"{ROOT}/scripts/train.py"], {"PYTHONPATH": "/y"}, False),
        ([f"{ROOT}/scripts/train.py"], {"PYTHONHASHSEED": "1"}, False),
        ([f"{ROOT}/scripts/train.py"], {"OMP_NUM_THREADS": "2"}, False),
        (["/elsewhere/train.py"], {}, False),
        (["-c", "pass"], {}, False),
        (["-W", "error", f"{ROOT}/scripts/train.py"], {}, False),
        (["-m", "pytest"], {}, False),
    ],
)
def test_it_takes_the_commands_of_this_checkout_whose_start_is_like_its_own(server, environment, words, env, taken):
    assert server.takes(words, {**environment, **env}) is taken
    added = {"PYTHONPATH": os.pathsep.join(["/y", environment["PYTHONPATH"]])}
    assert server.takes(words, {**environment, **added, **env}) is taken


@pytest.mark.slow
@pytest.mark.ci
def test_a_sweep_is_the_one_of_a_new_process(python, root, tiniest, tmp_path):
    records = []
    for name, fresh in (("forked", False), ("new", True)):
        done = python(
            str(root / "scripts" / "train.py"), "-m", *tiniest, f"name={name}", "seed=0,1", "n_jobs=2",
            f"paths.output_dir={tmp_path}", fresh=fresh,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = [json.loads(path.read_text()) for path in sorted((tmp_path / name).glob("*/run.json"))]
        records.append([(record["fingerprint"], record["final_weights_sha256"]) for record in found])
        said = [line for line in done.stderr.splitlines() if not line.startswith("looking at 2 jobs before ")]
        assert said == ["loading …"]  # that it still looks is said where it takes long
    assert len(records[0]) == 2
    assert records[0] == records[1]
