"""The checkpoint files of a run: their names, which of them can be trusted, whether there is space for them."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vision_baselines.errors import ConfigError, StorageError
from vision_baselines.runs.fingerprint import differences, fingerprint, with_devices_of
from vision_baselines.storage import checkpoint_file
from vision_baselines.storage.atomic import remove_leftovers, write_atomically
from vision_baselines.training.best_weights import BEST

log = logging.getLogger(__name__)


def resume_file(dirpath: Path, step: int) -> Path:
    """The file of the resume state after `step` optimizer steps."""
    return dirpath / f"resume-step={step:08d}.ckpt"


def resume_files(dirpath: Path) -> list[Path]:
    """The resume states in `dirpath`, latest first."""
    return sorted(dirpath.glob("resume-step=*.ckpt"), reverse=True)


def latest_good(dirpath: Path, config: Mapping[str, Any] | None = None) -> tuple[Path | None, int, list[str]]:
    """The latest resume state that can be trusted, its step, and a line for each later one that cannot be.

    Args:
        dirpath: Folder of the checkpoint files.
        config: The run's plain config; none takes states of any.

    Raises:
        ConfigError: A state is of another config; two runs share the folder.
    """
    complaints: list[str] = []
    for path in resume_files(dirpath):
        try:
            state = checkpoint_file.load(path, checksum_needed=True)
            step = int(state["global_step"])
        except StorageError as error:
            complaints.append(str(error))
            continue
        if config is not None and fingerprint(with_devices_of(config, state["config"])) != fingerprint(config):
            raise _of_another_run(path, f" ({'; '.join(differences(state['config'], config)[:3])})")
        return path, step, complaints
    return None, 0, complaints


def where_to_resume(dirpath: Path, config: Mapping[str, Any]) -> tuple[str | None, int]:
    """The file that a run is resumed from and its step; None and 0 for a run that has saved nothing yet.

    Raises:
        ConfigError: A state, or the best weights of a finished run, are of another config; two runs share the folder.
        StorageError: There are files and none can be trusted.
    """
    path, step, complaints = latest_good(dirpath, config)
    if complaints and path is None:
        raise StorageError(f"{'; '.join(complaints)}.", "None before it is left: add rerun=true to train anew")
    for complaint in complaints:
        log.warning("%s; going back to the one before it", complaint)
    if path:
        log.info("resuming at step %d", step)
    else:
        _require_own_best(dirpath / BEST, config)
    return (str(path) if path else None), step


def remove_states(dirpath: Path) -> None:
    """Delete the resume states of a run that has finished; one that cannot be deleted is named in the log."""
    for path in resume_files(dirpath):
        try:
            checkpoint_file.remove(path)
        except OSError as error:  # the run has its result all the same
            log.warning("%s could not be removed: %s", path, error.strerror)


def discard(dirpath: Path, *configs: Mapping[str, Any]) -> None:
    """Delete a run's checkpoints, where they lie outside its folder; `configs` are those it had.

    Raises:
        ConfigError: They are of another run.
    """
    known = {fingerprint(config) for config in configs}
    files = [*resume_files(dirpath), dirpath / BEST]
    for path in files:
        try:
            found = fingerprint(checkpoint_file.load(path).get("config", {}))
        except StorageError:
            continue  # missing or damaged
        if found not in known:
            raise _of_another_run(path)
    for path in files:
        checkpoint_file.remove(path)


def prepare_folder(dirpath: Path, net_bytes: int) -> None:
    """Find out before training what can be known of the folder: whether it can be written, and has space.

    Raises:
        StorageError: It cannot, or not even the weights would fit that are kept: two states, each with the best
            weights in it, and the best ones alone.
    """
    needed = 5 * net_bytes
    probe = dirpath / f".probe.{os.getpid()}"
    try:
        dirpath.mkdir(parents=True, exist_ok=True)
        remove_leftovers(dirpath)
        write_atomically(probe, b"")
        probe.unlink()
        free = shutil.disk_usage(dirpath).free
    except OSError as error:
        raise StorageError(
            f"cannot write in {dirpath}: {error.strerror}; set paths.output_dir to one that can be written"
        ) from error
    if free < needed:
        raise StorageError(
            f"disk full at {dirpath}: {free / 1e6:,.1f} MB are free and checkpoints take at least "
            f"{needed / 1e6:,.1f} MB; make room, or set paths.output_dir"
        )


def _require_own_best(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse to train where another run keeps its best weights; a finished one has no other file there."""
    try:
        found = checkpoint_file.load(path).get("config")
    except StorageError:
        return  # missing or damaged
    if found and fingerprint(found) != fingerprint(config):
        raise _of_another_run(path, f" ({'; '.join(differences(found, config)[:3])})")


def _of_another_run(path: Path, changed: str = "") -> ConfigError:
    return ConfigError(
        f"{path} is of another run{changed}; expected a folder for each run: callbacks.checkpoints.dirpath"
    )
