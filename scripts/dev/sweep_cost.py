"""What a sweep costs beside its training, in CPU seconds: python scripts/dev/sweep_cost.py [--jobs 300].

Looking at the jobs (2 nets × 3 rates × seeds), and a job of one epoch of digits that is forked from a process which has
imported what the server of a sweep has. CPU seconds are about the same on a busy machine as on a quiet one.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from vision_baselines.config.compose import composed_run, conf_dir, register_resolvers
from vision_baselines.config.trust import checked
from vision_baselines.jobs.looking import looked_at
from vision_baselines.sweep.hooks import RunHooks


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    count = parser.parse_args().jobs
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        found, in_full = planned(count, Path(folder))
        spent = time.process_time() - began
        print(f"looking at {found} jobs: {spent:.2f} CPU s, {in_full} configs composed in full")
        for name in RunHooks.preload:
            importlib.import_module(name)
        costs = [job(Path(folder, f"job{seed}"), seed) for seed in range(4)]
    whole, fit = (statistics.median(values) for values in zip(*costs, strict=True))
    print(f"a job of one epoch of digits, fc: {whole:.2f} CPU s, of which training and validation {fit:.2f} s")


def planned(count: int, folder: Path) -> tuple[int, int]:
    """Look at so many jobs; how many there were, and how many configs were composed in full."""
    composed = 0
    register_resolvers()
    with checked(), initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()

        def load_sweep_config(config: Any, overrides: list[str]) -> Any:
            nonlocal composed
            composed += 1
            return loader.load_sweep_config(config, overrides)

        common = ["name=cost", f"paths.output_dir={folder}"]
        master = loader.load_configuration("train", common, RunMode.MULTIRUN)
        counting = SimpleNamespace(load_sweep_config=load_sweep_config, get_group_options=loader.get_group_options)
        jobs = [
            [*common, f"model={net}", f"seed={seed}", f"optimizer.lr={rate}"]
            for net in ("fc", "cnn")
            for seed in range(-(-count // 6))
            for rate in ("1e-3", "3e-3", "1e-2")
        ][:count]
        context: Any = SimpleNamespace(config_loader=counting)
        found = looked_at(jobs, 0, config=master, hydra_context=context, hooks=RunHooks())
    return len(found), composed


def job(folder: Path, seed: int) -> tuple[float, float]:
    """CPU seconds of a job in a process of its own, and the seconds that its record calls training."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        from vision_baselines.training.run import train

        began = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            record = train(composed_run(["model=fc", "trainer.max_epochs=1", f"seed={seed}"], folder))
        os.write(writing, f"{time.process_time() - began} {record.timings.fit_s}".encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    whole, fit = os.read(reading, 1000).split()
    os.close(reading)
    return float(whole), float(fit)


if __name__ == "__main__":
    sys.exit(main())
