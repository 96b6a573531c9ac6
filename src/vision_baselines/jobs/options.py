"""Looks at the launcher's own keys before the first job: Hydra hands over whatever was typed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import PurePath
from typing import Any

from omegaconf import ListConfig

from vision_baselines.jobs.hooks import JobsFailedError


def check_options(*, n_jobs: Any, fail_fast: Any, output: Any, preload: Any) -> None:
    """Refuse what the launcher cannot do.

    Raises:
        JobsFailedError: The key, what it is and what is expected.
    """
    if n_jobs is not None and (not isinstance(n_jobs, int) or isinstance(n_jobs, bool) or n_jobs < 1):
        _refuse("n_jobs", n_jobs, "a whole number of at least 1, or null for one a core")
    if not isinstance(fail_fast, bool):
        _refuse("fail_fast", fail_fast, "true or false")
    if output is not None and not _is_file_name(output):
        _refuse("output", output, "the name of a file in the job's folder, such as output.txt, or null")
    if not isinstance(preload, Sequence | ListConfig) or isinstance(preload, str):
        _refuse("preload", preload, "a list of modules, such as [torch]")
    for name in preload:
        if not _is_module(name):
            _refuse("preload", name, "modules that can be imported")


def _is_file_name(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value and PurePath(value).name == value not in ("", "..")


def _is_module(name: Any) -> bool:
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
        return False
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # of the package it would lie in
        return False


def _refuse(key: str, value: Any, expected: str) -> None:
    raise JobsFailedError(f"hydra.launcher.{key} is {value!r}; expected {expected}")
