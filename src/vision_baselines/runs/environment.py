"""Where a run's seed and threads are set, and what surrounds it: versions, instruction set, device, code.

Two runs of one config are promised the same bits only where these agree; what is compared is `manifest`.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.seed import isolate_rng

from vision_baselines.runs.freed_memory import keep_freed_memory
from vision_baselines.runs.record import Environment

_PACKAGES = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "torchmetrics",
    "numpy",
    "hydra-core",
    "omegaconf",
    "scikit-learn",
    "vision-baselines",
)


_SEED_VARIABLE = "PL_GLOBAL_SEED"  # Lightning's
# cuBLAS's: with workspaces of a fixed size a matrix product has the same bits each time; read when CUDA is initialised
_WORKSPACE_VARIABLE, _FIXED_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"


def prepare_process(*, threads: int) -> None:
    """Fix the number of threads and what is to be deterministic, before data are read.

    Jobs beside each other have a core each: with torch's own number of threads they wait for each other.
    """
    torch.set_num_threads(threads)
    os.environ.setdefault(_WORKSPACE_VARIABLE, _FIXED_WORKSPACE)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # filling every new tensor guards against reading what was never written; nothing here does, and it costs time
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    keep_freed_memory()


def seed_process(seed: int) -> None:
    """Seed every global generator, before a net draws its first weight: whatever data drew before."""
    pl.seed_everything(seed, workers=False, verbose=False)


@contextmanager
def process_kept() -> Iterator[None]:
    """Leave what `prepare_process` and `seed_process` set, and the filters of warnings, as they were."""
    threads = torch.get_num_threads()
    variables = {name: os.environ.get(name) for name in (_SEED_VARIABLE, _WORKSPACE_VARIABLE)}
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    uses_cuda = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    with isolate_rng(include_cuda=uses_cuda), warnings.catch_warnings():
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
            torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
            for name, value in variables.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def observe(device: torch.device | str) -> Environment:
    """The surroundings as they are now, for a run on `device`."""
    commit, dirty = git_state()
    return Environment(
        versions=package_versions(),
        python=platform.python_version(),
        platform=f"{platform.system()}-{platform.machine()}",
        cpu=cpu_model(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        device=device_name(torch.device(device)),
        git_commit=commit,
        git_dirty=dirty,
    )


def device_name(device: torch.device) -> str:
    """``cpu``, or the accelerator's own name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@functools.cache
def cpu_model() -> str:
    """Maker, family and model of the processor: kernels are chosen and blocked by more than the instruction set."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    facts = dict(re.findall(r"^(vendor_id|cpu family|model)\s*:\s*(\S+)", text, flags=re.MULTILINE))
    if "vendor_id" not in facts:
        return platform.processor() or platform.machine()
    return f"{facts['vendor_id']} family {facts.get('cpu family')} model {facts.get('model')}"


@functools.cache
def package_versions() -> dict[str, str]:
    """Versions of the packages that can change a result, those that are installed."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    # the build tag (+cpu, +cu126) belongs to the version and is not in the metadata of every build
    versions["torch"] = str(torch.__version__)
    return versions


@functools.cache
def git_state() -> tuple[str | None, bool | None]:
    """Commit of the checkout this package runs from and whether tracked files differ; (None, None) outside one."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        if not git("ls-files", "--", __file__):
            return None, None  # an installed copy inside somebody else's repository
        lines = git("status", "--porcelain=v2", "--branch", "--untracked-files=no").splitlines()
    except (OSError, subprocess.SubprocessError):
        return None, None
    [commit] = [line.removeprefix("# branch.oid ") for line in lines if line.startswith("# branch.oid ")]
    return (None, None) if commit == "(initial)" else (commit, any(not line.startswith("#") for line in lines))


def peak_memory_bytes(device: torch.device) -> int | None:
    """The most memory held so far: on an accelerator by torch's allocator, else by the process; None on Windows."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
