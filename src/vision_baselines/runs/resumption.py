"""What to do with a run's folder: train, resume, skip or refuse."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from vision_baselines.errors import ConfigError, StorageError
from vision_baselines.runs.code import code_differences, code_of
from vision_baselines.runs.files import require_own_folder
from vision_baselines.runs.fingerprint import differences, fingerprint, missing_probes, with_devices_of
from vision_baselines.runs.record import RunRecord, Status, read_record

log = logging.getLogger(__name__)

_SHOWN = 8
_UNSEEN = "a value from the environment has changed, or the record was altered"
_said: set[tuple[Path, str]] = set()


class Action(StrEnum):
    """What a folder calls for."""

    START = "start"
    RESUME = "resume"
    RETRY = "retry"
    SKIP = "skip"
    PROBE = "probe"


@dataclass(frozen=True)
class Decision:
    """The action, and the record that was found, if any; and whether a finished run's files of data have changed."""

    action: Action
    previous: RunRecord | None = None
    files_changed: bool = False


def decide(
    folder: Path,
    config: Mapping[str, Any],
    *,
    rerun: bool = False,
    listing_sha256: str | None = None,
    identity: str | None = None,
    resolved: Mapping[str, Any] | None = None,
) -> Decision:
    """Compare what `folder` holds with what is asked for.

    A finished run is left alone, or asked for missing probes; an interrupted or failed one is resumed,
    one of a different config is refused: nothing that cost time is lost without being asked for.

    Args:
        folder: The run's folder; it need not exist.
        config: The resolved config, as plain data.
        rerun: Start anew whatever is there.
        listing_sha256: Of the files of data as they are now; None where that is not known.
        identity: The run's fingerprint; None takes that of `config`, in which all values stand.
        resolved: The config that `identity` is of; None is `config`.

    Raises:
        ConfigError: The folder holds a run of another config, and the message lists the differences; it holds files and
            no run; or a run of other code, where ``code=refuse``.
        StorageError: Its record cannot be read.
    """
    try:
        previous = read_record(folder)
    except FileNotFoundError:
        require_own_folder(folder)
        return Decision(Action.START)
    except ValueError as error:
        if rerun:
            return Decision(Action.START)
        raise StorageError(
            f"{error}; to train it anew, move its folder away; rerun=true trains every job of a sweep anew"
        ) from error
    if rerun:
        return Decision(Action.START, previous)
    same = previous.fingerprint == (identity or fingerprint(config))
    if not same and not previous.finished:  # the state of a run does not depend on how many processes it is of
        same = previous.fingerprint == fingerprint(with_devices_of(previous.config, resolved or config))
    if not same:
        if previous.status in (Status.FAILED, Status.DIVERGED):
            return Decision(Action.START, previous)  # what failed is fixed by changing the config
        changed = differences(previous.config, config) or [_UNSEEN]
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise ConfigError(
            f"{folder} holds a {previous.status} run of another config ({'; '.join(changed[:_SHOWN])}{more}).",
            "Nothing was changed there: choose another name=…, or add rerun=true to train it anew"
            + _more_epochs(previous, changed),
        )
    _about_code(previous, config, folder)
    if previous.status is Status.FINISHED:
        then = previous.data.listing_sha256 if previous.data else None
        changed_files = then is not None and listing_sha256 is not None and then != listing_sha256
        action = Action.PROBE if missing_probes(previous.config, config) else Action.SKIP
        return Decision(action, previous, files_changed=changed_files)
    if previous.status in (Status.FAILED, Status.DIVERGED):
        return Decision(Action.RETRY, previous)
    return Decision(Action.RESUME, previous)


def _more_epochs(previous: RunRecord, changed: list[str]) -> str:
    """What to do for more epochs of a finished run, which is not continued: a schedule ends where the first run did."""
    lengths = ("trainer.max_epochs:", "trainer.max_steps:")
    if not previous.finished or not any(line.startswith(lengths) for line in changed):
        return ""
    return "; a finished run is not resumed for more epochs, and init_from=… starts from its best weights"


def _about_code(previous: RunRecord, config: Mapping[str, Any], folder: Path) -> None:
    """Say in the terminal, or refuse, that a run is of other code than there is now, as ``code`` asks."""
    action = config.get("code") or "warn"
    if action == "ignore" or not previous.code:
        return
    changed = code_differences(previous.code, code_of(config))
    if not changed:
        return
    names = ", ".join(changed[:_SHOWN]) + (f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else "")
    what = f"the {previous.status} run in {folder} is of other code ({names})"
    if action == "refuse":
        raise ConfigError(f"{what}; rerun=true trains it anew, code=warn takes it as it is")
    if (folder.parent, names) not in _said:  # once for the jobs of a sweep
        _said.add((folder.parent, names))
        fate = "kept and compared as a group of its own" if previous.finished else "resumed with the code of now"
        log.warning("%s: it is %s; rerun=true trains it anew", what, fate)
