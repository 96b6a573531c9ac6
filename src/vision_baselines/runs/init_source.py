"""Which run another one starts from: what ``init_from`` says, as a folder or a file.

Beside a path it takes ``job:key=value,…``: the job of the same sweep that has these overrides in place of its own. So
an experiment can name a job whose folder depends on what else is given on the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vision_baselines.errors import ConfigError
from vision_baselines.runs.fingerprint import job_name, key_of

JOB = "job:"


def source_path(init_from: str, run_dir: Path, overrides: Sequence[str]) -> Path:
    """The run's folder, or the checkpoint file, that a run starts from.

    Args:
        init_from: A path, or ``job:`` and overrides.
        run_dir: Folder of the run that starts.
        overrides: Of the run that starts.

    Raises:
        ConfigError: ``job:`` is followed by nothing that is an override.

    >>> source_path("job:transfer=pretrain", Path("out/seed=1,transfer=frozen"), ["transfer=frozen", "seed=1"]).name
    'seed=1,transfer=pretrain'
    """
    if not init_from.startswith(JOB):
        return Path(init_from).expanduser().absolute()
    replacing = init_from.removeprefix(JOB).split(",")
    if not all("=" in text for text in replacing):
        raise ConfigError(f"init_from is {init_from!r}; expected a path, or job:key=value of a job in the same sweep")
    keys = {key_of(text) for text in replacing}
    return run_dir.parent / job_name([*(text for text in overrides if key_of(text) not in keys), *replacing])
