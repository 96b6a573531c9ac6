"""Which jobs of a sweep were submitted, and how each of them went: plain files in the sweep's folder.

What was submitted is known to whoever starts the same command again, or only looks. Submissions are noted before they
are made, by a token that the scheduler is given too, so that a submitter may be killed in between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from vision_baselines.jobs.outcome import Outcome
from vision_baselines.storage.atomic import write_atomically
from vision_baselines.storage.reading import NOT_WRITTEN, read_listed, read_regular, stays_below

FOLDER = ".slurm"
"""Of a sweep, for all that is written about jobs of a cluster."""
_FILE = "submitted.json"
_MOST_BYTES = 2**25
_TOKEN = re.compile(r"[0-9a-f]{16}")
_ID = re.compile(r"[0-9]{1,12}(_[0-9]{1,9})?")


@dataclass(frozen=True)
class Submitted:
    """A job that was submitted.

    Attributes:
        job: Its folder's path below the sweep's.
        token: Of the submission that it was part of, 16 hexadecimal digits.
        index: Its number in that submission.
        size: Number of jobs of the submission.
        id: The scheduler's name for it; empty where the submitter was killed before it was noted.
        scheduler: ``slurm``, or ``local`` for processes of this machine.
    """

    job: str
    token: str
    index: int
    size: int
    id: str = ""
    scheduler: str = "slurm"


@dataclass(frozen=True)
class Submissions:
    """What a sweep's folder says of what was submitted.

    Attributes:
        jobs: The latest submission of each job, by its path below the sweep's folder.
        fault: Why that, or a part of it, cannot be read, and what to do, in a line; empty where nothing is wrong.
    """

    jobs: Mapping[str, Submitted]
    fault: str = ""


def submitted_jobs(sweep: Path) -> dict[str, Submitted]:
    """The latest submission of each job, by its path below the sweep's folder; what cannot be read is left out."""
    return dict(read_submitted(sweep).jobs)


def read_submitted(sweep: Path) -> Submissions:
    """What a sweep's folder says of what was submitted, and what is wrong with that."""
    path = sweep / FOLDER / _FILE
    try:
        content = read_listed(path, key="jobs", most_bytes=_MOST_BYTES)
    except FileNotFoundError:
        return Submissions({})
    except ValueError as error:
        return Submissions({}, _fault(path, str(error)))
    found: dict[str, Submitted] = {}
    whole = True
    for row in content["jobs"]:
        try:
            one = Submitted(**row)
        except TypeError:
            whole = False
            continue
        if _is_sound(one):
            found[one.job] = one
        else:
            whole = False
    return Submissions(found, "" if whole else _fault(path, NOT_WRITTEN))


def _fault(path: Path, reason: str) -> str:
    before = "cancel those"
    if path.is_dir():
        reason, before = "it is a folder", "cancel those and move it away"
    return (
        f"{path} cannot be read: {reason}, so jobs that the scheduler has are not known; {before}, and the same "
        "command submits again what is not finished"
    )


def note_submitted(sweep: Path, jobs: Iterable[Submitted]) -> None:
    """Add jobs to those that are noted, in place of earlier submissions of the same; the caller holds a lock."""
    together = {**submitted_jobs(sweep), **{one.job: one for one in jobs}}
    content = json.dumps({"jobs": [asdict(one) for one in together.values()]}, indent=1)
    (sweep / FOLDER).mkdir(parents=True, exist_ok=True)
    write_atomically(sweep / FOLDER / _FILE, content.encode())


def write_outcome(folder: Path, token: str, index: int, outcome: Outcome) -> None:
    """Called in a job: leave how it went, for whoever asks; `folder` is the sweep's `FOLDER`."""
    plain = {name: getattr(outcome, name) for name in ("exit_code", "kind", "message", "note")}
    value = outcome.value if type(outcome.value) in (bool, int, float, str) else None
    write_atomically(folder / f"{token}_{index}.json", json.dumps({**plain, "value": value}).encode())


def read_outcome(sweep: Path, one: Submitted) -> Outcome | None:
    """How a job went, where it said so itself."""
    try:
        raw = json.loads(read_regular(sweep / FOLDER / f"{one.token}_{one.index}.json", most_bytes=_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(raw, Mapping) or type(raw.get("exit_code")) is not int:
        return None
    kind, message, note = (str(raw.get(name, "")) for name in ("kind", "message", "note"))
    return Outcome(raw["exit_code"], value=raw.get("value"), kind=kind, message=message, note=note)


def _is_sound(one: Submitted) -> bool:
    kinds = {"index": int, "size": int}
    if any(type(getattr(one, field.name)) is not kinds.get(field.name, str) for field in fields(one)):
        return False
    return (
        stays_below(one.job)
        and bool(_TOKEN.fullmatch(one.token))
        and (not one.id or bool(_ID.fullmatch(one.id)))
        and 0 <= one.index < one.size
        and one.scheduler in ("slurm", "local")
    )
