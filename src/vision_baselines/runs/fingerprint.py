"""What makes two runs the same run, and what to call the folder of one.

Two runs are the same when their resolved configs agree in everything that can change a result. Where files lie,
what is logged and what is shown on a screen cannot.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from vision_baselines.runs.dotted import walk
from vision_baselines.runs.migrations import ABSENT, current_config, without_absent

# Every top-level key of conf/train.yaml: whether it can change a result. One that is not here counts.
TOP_LEVEL: dict[str, bool] = {
    "seed": True,
    "threads": True,
    "init_from": True,
    "freeze": True,
    "first_layer": True,
    "checkpoint": True,
    "data": True,
    "augment": True,
    "mix": True,
    "model": True,
    "optimizer": True,
    "parameter_groups": True,
    "scheduler": True,
    "task": True,
    "trainer": True,
    "callbacks": True,
    "classifier": True,
    "transfer": True,  # these three choose values of other keys, and tell jobs apart by their names
    "experiment": True,
    "debug": True,
    "hydra": False,
    "name": False,
    "paths": False,
    "logger": False,
    "checkpoint_every_n_steps": False,
    "rerun": False,
    "preview": False,
    "list": False,
    "tags": False,
    "notes": False,
    "print_config": False,
    "local": False,  # what such a file sets counts, under its own key
    "trace": False,
    "n_jobs": False,
    "gpus_per_job": False,
    "seeds_per_pass": False,  # equal within rounding; the record's environment says how it was trained
    "fail_fast": False,
    "trusted_packages": False,
    "code": False,
    "comparison": False,
    "ablate": False,  # what it leaves out of a job is in the job's own overrides
    "search": False,
    "hparams_search": False,  # chooses values of other keys
    "expected": False,
    "keep_predictions": False,
    "keep_resume_states": False,
    "probe": False,  # it looks at a net and changes none; a finished run that lacks it is probed, not trained again
}
# Dotted keys of the same kind inside groups that otherwise count; what lies below them is meant too.
IRRELEVANT_INSIDE = (
    "trainer.enable_progress_bar",
    "trainer.profiler",
    "trainer.log_every_n_steps",
    "trainer.default_root_dir",
    "trainer.strategy",  # how processes are started; how many there are counts
    "trainer.max_time",  # where it ends a run, the run is resumed
    "data.num_workers",
    "data.on_device",
    "data.source.cache_dir",
    "callbacks.history",
    "callbacks.learning_rate",
    "callbacks.parameters",
    "callbacks.filters",
    "callbacks.progress_bar",
    "callbacks.model_checkpoint",
    "callbacks.model_summary",
    "callbacks.nan_watch",
    "callbacks.lr_finder",
    "callbacks.checkpoints.dirpath",
    "callbacks.checkpoints.every_n_steps",
    "classifier.task",  # a copy of task
    "task.num_classes",  # a copy of data.num_classes
)

# Overrides that repeat an experiment and are no setting of it: runs that differ in these only are one group.
AXES_OF_CHANCE = ("seed", "data.split_seed", "data.fold")

_LONGEST_NAME = 120
_OPTION_LIKE_A_NUMBER = re.compile(r"^(\w+)='(nan|inf|infinity)'$")
_VERSION = 1  # of the hash itself; records keep theirs when their schema is raised


def relevant(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved config that can change a result, as flat dotted keys.

    What is null or empty says nothing, and neither does a key at the value that its absence stands for (`ABSENT`), so
    a key that a later version adds makes no other run of an older one.
    """
    return {
        key: value
        for key, value in walk(without_absent(current_config(config)), into_lists=False)
        if not isinstance(value, Mapping)
        and not is_irrelevant(key)
        and value not in (None, [])
        and not _is_absence(key, value)
    }


def fingerprint(config: Mapping[str, Any]) -> str:
    """A short hash of `relevant`, so the same for a run recorded under names that classes had before."""
    content = json.dumps([_VERSION, relevant(config)], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def differences(recorded: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """One line for each relevant key whose values differ, ``key: recorded → present``."""
    before, after = relevant(recorded), relevant(present)
    missing = "(absent)"
    return [
        f"{key}: {before.get(key, missing)} → {after.get(key, missing)}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key, missing) != after.get(key, missing)
    ]


def with_devices_of(recorded: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    """`present`, trained by as many processes as `recorded`: an unfinished run may go on with another number."""
    trainer = {**(present.get("trainer") or {}), "devices": (recorded.get("trainer") or {}).get("devices", 1)}
    return {**present, "trainer": trainer}


def missing_probes(recorded: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    """The probes that `present` asks for and a run of the config `recorded` lacks, or has with other settings.

    >>> missing_probes({}, {"probe": {"shift": {"max_px": 4}, "edges": None}})
    {'shift': {'max_px': 4}}
    """
    had = {key: _settings(node) for key, node in (recorded.get("probe") or {}).items()}
    asked = present.get("probe") or {}
    return {key: node for key, node in asked.items() if node and had.get(key) != _settings(node)}


def _settings(probe: Any) -> Any:
    """What a probe measures; how often it logs in training is another matter."""
    if not isinstance(probe, Mapping):
        return probe
    return {key: value for key, value in probe.items() if key != "log_every_n_steps"}


def job_name(overrides: Sequence[str]) -> str:
    """The folder of a job, from its overrides: the same whatever their order, and safe in a path.

    Overrides that cannot change a result are left out. Characters other than letters, digits and ``=,.+-_`` become
    ``_``, and then a short hash keeps two such jobs apart; so does it for names over 120 characters.

    >>> job_name(["seed=0", "model=cnn", "name=demo"])
    'model=cnn,seed=0'
    >>> job_name(["debug='nan'"])  # quoted for Hydra, which would read a number
    'debug=nan'
    >>> job_name([])
    'default'
    """
    kept = sorted(
        _OPTION_LIKE_A_NUMBER.sub(r"\1=\2", text.lstrip("+")) for text in overrides if not is_irrelevant(key_of(text))
    )
    plain = ",".join(kept) or "default"
    safe = re.sub(r"[^\w=,.+-]", "_", plain, flags=re.ASCII)
    safe = re.sub(r"^\.", "_", safe)
    if safe == plain and len(plain) <= _LONGEST_NAME:
        return plain
    return f"{safe[:_LONGEST_NAME]}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def group_name(overrides: Sequence[str]) -> str:
    """What the runs of one group share: their overrides without the axes of chance.

    >>> group_name(["model=cnn", "seed=3"])
    'model=cnn'
    """
    return job_name([text for text in overrides if key_of(text) not in AXES_OF_CHANCE])


def key_of(override: str) -> str:
    """The dotted key that an override sets.

    >>> key_of("+hydra/launcher=basic"), key_of("optimizer.lr=0.1")
    ('hydra.launcher', 'optimizer.lr')
    """
    return override.split("=", 1)[0].lstrip("+~").split("@")[0].replace("/", ".")


def chosen_options(choices: Mapping[Any, Any]) -> dict[str, str]:
    """Of the options that Hydra chose of config groups, those that can change a result.

    >>> chosen_options({"model": "cnn", "experiment": None, "logger": "csv", "hydra/output": "default"})
    {'model': 'cnn'}
    """
    named = {str(key): value for key, value in choices.items() if isinstance(value, str)}
    return {key: value for key, value in named.items() if TOP_LEVEL.get(key_of(key).split(".")[0], False)}


@cache
def is_irrelevant(key: str) -> bool:
    """Whether a dotted key says where a run is kept, logged or shown, and not what is run."""
    inside = any(key == known or key.startswith(f"{known}.") for known in IRRELEVANT_INSIDE)
    return inside or not TOP_LEVEL.get(key.split(".")[0], True)


def _is_absence(key: str, value: Any) -> bool:
    return key in ABSENT and type(value) is type(ABSENT[key]) and value == ABSENT[key]
