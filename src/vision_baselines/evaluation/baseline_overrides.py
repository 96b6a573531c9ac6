"""Which overrides a published baseline may be run again with: those that leave its runs, and where they lie, alone.

What cannot change a result is said by `runs.fingerprint`. Of that, some keys choose which runs there are, or where
they are written, and are refused too; what the manifest of a run has, and so what a verdict says, is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from vision_baselines.errors import ConfigError
from vision_baselines.runs.fingerprint import AXES_OF_CHANCE, is_irrelevant, key_of

_SCRATCH = "a baseline is run in a scratch folder, of which nothing is kept"
_CHOOSES = "it chooses which runs there are, and those of a baseline are published"
_NO_RUN = "it runs nothing, and so reproduces nothing"
_SET_ELSEWHERE = "it sets other keys, which may count"

# Keys that may change bits, and are compared as a part of the manifest: "not comparable by bits: threads 2 ≠ 1".
JUDGED = ("threads", "trainer.accelerator")
# Of a group, the options that choose a judged key alone.
_JUDGED_OPTIONS = {"trainer": ("default", "cpu", "gpu", "mps", "auto")}
TAKEN = ("paths.data_dir",)
# Keys that the fingerprint leaves out, and why a baseline does not take them; what lies below them is meant too.
REFUSED = {
    "paths": _SCRATCH,
    "name": _SCRATCH,
    "trainer.default_root_dir": _SCRATCH,
    "callbacks.checkpoints.dirpath": _SCRATCH,
    "hydra": "how the jobs of a baseline are made and started is its own",
    "preview": _NO_RUN,
    "list": _NO_RUN,
    "ablate": _CHOOSES,
    "search": _CHOOSES,
    "comparison": _CHOOSES,
    "expected": "it is what runs are held against",
    "hparams_search": _SET_ELSEWHERE,
    "local": _SET_ELSEWHERE,
    "task.num_classes": _SET_ELSEWHERE,
    "classifier.task": _SET_ELSEWHERE,
    "trainer.max_time": "a run that it ends has no result",
}
_EXPECTED = "expected such as threads=2, n_jobs=1 or paths.data_dir=…"


def require_same_runs(overrides: Sequence[str]) -> None:
    """Refuse what makes a baseline another experiment, or its runs unfindable, before anything is trained.

    Raises:
        ConfigError: An override cannot be read, has several values, or is none of those that may be given.
    """
    for text in overrides:
        if reason := _refusal(text):
            raise ConfigError(f"{text}: {reason}; {_EXPECTED}")


def _refusal(text: str) -> str:
    """Why an override is not taken; empty where it is."""
    try:
        found = OverridesParser.create().parse_override(text)
    except HydraException:
        return "it cannot be read"
    if found.is_sweep_override():
        return "a baseline's runs are not multiplied, so it takes one value"
    key = key_of(text)
    if not key:
        return "it has no key"
    if key in (*JUDGED, *TAKEN) or found.value() in _JUDGED_OPTIONS.get(key, ()):
        return ""
    for refused, reason in REFUSED.items():
        if key == refused or key.startswith(f"{refused}."):
            return reason
    if key in AXES_OF_CHANCE:
        return "a baseline has its own seeds and splits"
    return "" if is_irrelevant(key) else "it can change a result, and a baseline is run as it was published"
