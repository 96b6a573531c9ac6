"""Everything a run left that a resumed run must have left too, and where two of them differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_baselines.runs.record import read_record

# Lightning writes the epoch's number beside each group of metrics, so twice at one step.
_MAY_REPEAT = "epoch"


@dataclass(frozen=True)
class Trace:
    """What is compared: the record's results, and each event's (tag, step, value).

    Pictures and texts count with their bytes, so that a drawing that differs is found too.
    """

    results: dict[str, Any]
    events: frozenset[tuple[str, int, Any]]
    repeated: tuple[str, ...]


def trace(folder: Path) -> Trace:
    """Read what a finished run left in `folder`."""
    record = read_record(folder)
    keys = ("status", "final_weights_sha256", "weights_sha256", "metrics", "history", "best_epoch", "confusion")
    results = record.model_dump(mode="json", include=set(keys))
    events = list(_events(folder))
    counts = Counter((tag, step) for tag, step, _ in events)
    repeated = sorted(f"{tag} at step {step}" for (tag, step), n in counts.items() if n > 1 and tag != _MAY_REPEAT)
    return Trace(results, frozenset(events), tuple(repeated))


def differences(expected: Trace, found: Trace) -> list[str]:
    """One line for each thing that is not the same; a step that is logged twice is one."""
    lines = [
        f"{key}: {_shown(expected.results.get(key))} ≠ {_shown(value)}"
        for key, value in found.results.items()
        if value != expected.results.get(key)
    ]
    for events, how in ((expected.events - found.events, "missing"), (found.events - expected.events, "not expected")):
        lines += [f"event {how}: {tag} at step {step}" for tag, step, _ in sorted(events, key=repr)]
    return [*lines, *(f"event twice: {text}" for text in found.repeated)]


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) < 80 else text[:77] + "…"


def _events(folder: Path) -> Iterator[tuple[str, int, Any]]:
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value if event.HasField("summary") else ():
                if value.tag.startswith("_hparams_") or value.tag.endswith("/seconds"):
                    continue  # hold the time of day, and how long it took
                scalar = value.HasField("simple_value")
                yield value.tag, event.step, value.simple_value if scalar else value.SerializeToString()
