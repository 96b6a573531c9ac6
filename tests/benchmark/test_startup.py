"""What is measured of start-up: ratios of processes that took turns."""

from __future__ import annotations

import sys

import pytest
from benchmark.startup import Cost, Measured

from benchmark import startup


def made() -> Measured:
    two, run = [Cost(2.0, 4.0), Cost(4.0, 4.0), Cost(3.0, 6.0)], [Cost(3.0, 4.0), Cost(5.0, 8.0), Cost(6.0, 6.0)]
    return Measured({"two imports": two, "smallest run": run}, (0.5, 1.5), 4000, 3500)


def test_a_ratio_is_of_the_medians_and_each_round_has_its_own():
    assert made().ratio("smallest run") == Cost(5 / 3, 1.5)
    assert made().median("smallest run") == Cost(5.0, 6.0)
    assert made().ratios("smallest run") == [Cost(1.5, 1.0), Cost(1.25, 2.0), Cost(2.0, 1.0)]


def test_the_table_says_each_variant_the_modules_and_the_load():
    *_, line, last = startup.table(made()).splitlines()
    assert line.split()[:5] == ["smallest", "run", "5.00", "6.00", "1.67"]
    assert "(1.25 to 2.00)" in line
    assert last == "4,000 modules in a run, 3,500 of them of the two imports; load average 0.50 before, 1.50 after"


def test_a_process_costs_the_seconds_that_it_and_its_children_worked(tmp_path):
    code = "import subprocess, sys, time\nwhile time.process_time() < 0.3: pass\n"
    child = "import time\nwhile time.process_time() < 0.2: pass"
    cost = startup._cost([sys.executable, "-c", f"{code}subprocess.run([sys.executable, '-c', {child!r}])"], tmp_path)
    assert cost.cpu_s >= 0.5
    assert cost.wall_s >= 0.3


def test_a_process_that_fails_is_no_measurement(tmp_path):
    with pytest.raises(RuntimeError, match="ended with 3"):
        startup._cost([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)


def test_every_variant_is_measured_once_a_round(monkeypatch, tmp_path):
    calls: list[str] = []
    monkeypatch.setattr(startup, "run_modules", lambda words, folder: ["json"])
    monkeypatch.setattr(startup.subprocess, "run", lambda *_, **__: type("Done", (), {"stdout": "7\n"}))
    monkeypatch.setattr(startup, "_cost", lambda command, folder: calls.append(command[-1]) or Cost(len(calls), 1.0))
    found = startup.measure(rounds=2)
    assert len(calls) == 2 * len(found.rounds) == 10
    assert [cost.cpu_s for cost in found.rounds["two imports"]] == [2, 7]
    assert (found.n_modules, found.n_modules_of_two) == (1, 7)
    assert startup.facts(found)["ratio_to_two_imports"]["two imports"] == {"cpu_s": 1.0, "wall_s": 1.0}
