"""What surrounded the runs: which environments, which commits, which data, which commands.

Runs are comparable bit for bit only where these are equal. Each kind of surrounding is given as its
variants, each with the jobs that had it, so that "all the same" is one variant.
"""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.formatting import listed, plural
from vision_baselines.comparison.kept import kept
from vision_baselines.runs.record import RunRecord

Groups = Iterable[tuple[Job, ...]]
"""Jobs, group by group: what is found of a group is kept for as long as its jobs are the same."""
Facts = tuple[tuple[str, str], ...]
Part = Callable[[RunRecord], Hashable]
Read = Callable[[RunRecord], Facts]

_PER_PASS = "seeds per pass"


@dataclass(frozen=True)
class Variant:
    """Jobs that share one surrounding, as facts in the order they are shown."""

    facts: Facts
    n_jobs: int
    example: str


def environments(groups: Groups) -> list[Variant]:
    """Versions, platform and device, the most frequent first."""
    return _variants(groups, _environment_of, _environment_facts)


def commits(groups: Groups) -> list[Variant]:
    """Git commits and whether files were changed, the most frequent first."""
    return _variants(groups, _environment_of, _commit)


def datasets(groups: Groups) -> list[Variant]:
    """What the jobs saw of their data, the most frequent first; jobs that ended before they knew it are left out."""
    return _variants(groups, _data_of, _data_facts)


def test_sets(jobs: tuple[Job, ...]) -> list[Variant]:
    """SHA-256 of the test images and labels, the most frequent first.

    Of records that do not say, that of all data stands in; jobs that ended before they knew it are left out.
    """
    says = all(job.record.test_sha256 for job in jobs if job.record.data_sha256)
    return _variants([jobs], _digests_of, _test_digest if says else _data_digest)


@kept()
def runs_sha256(jobs: tuple[Job, ...]) -> str:
    """What a figure rests on: a digest of the runs, by config, seed, weights and test images."""
    runs = [
        f"{job.record.fingerprint} {job.record.seed} {job.record.weights_sha256} {job.record.test_sha256}"
        for job in jobs
    ]
    return hashlib.sha256("\n".join(sorted(runs)).encode("utf-8", "surrogatepass")).hexdigest()


def commands(groups: Groups) -> list[Variant]:
    """Commands as they would be typed in a shell, the most frequent first."""
    return _variants(groups, _command_of, _command)


def differing(variants: Sequence[Variant]) -> dict[str, list[str]]:
    """Facts that are not the same in all variants, with the values they take."""
    names = dict.fromkeys(name for variant in variants for name, _ in variant.facts)
    unsaid = {_PER_PASS: "1"}
    values = {
        name: [dict(variant.facts).get(name, unsaid.get(name, "absent")) for variant in variants] for name in names
    }
    return {name: list(dict.fromkeys(found)) for name, found in values.items() if len(set(found)) > 1}


def _variants(groups: Groups, part: Part, read: Read) -> list[Variant]:
    """The variants of what `read` says of a record, which follows from a part of it; of a part that is None none is."""
    found: dict[Facts, Variant] = {}
    for jobs in groups:
        for one in _of_group(jobs, part, read):
            before = found.get(one.facts)
            found[one.facts] = one if before is None else replace(before, n_jobs=before.n_jobs + one.n_jobs)
    return sorted(found.values(), key=lambda variant: -variant.n_jobs)


@kept()
def _of_group(jobs: tuple[Job, ...], part: Part, read: Read) -> list[Variant]:
    """The variants of a group's jobs; records of a cache share their parts, so that of many few are read."""
    parts = [part(job.record) for job in jobs]
    first = dict(zip(reversed(parts), reversed(jobs), strict=True))
    found: dict[Facts, Variant] = {}
    for one, n in Counter(parts).items():
        if one is not None:
            facts, job = read(first[one].record), first[one]
            before = found.get(facts, Variant(facts, 0, job.place))
            found[facts] = replace(before, n_jobs=before.n_jobs + n)
    return list(found.values())


def _environment_of(record: RunRecord) -> Hashable:
    return id(record.environment)


def _data_of(record: RunRecord) -> Hashable:
    return (id(record.data), record.data_sha256) if record.data_sha256 else None


def _digests_of(record: RunRecord) -> Hashable:
    return (record.data_sha256, record.test_sha256) if record.data_sha256 else None


def _command_of(record: RunRecord) -> Hashable:
    return id(record.command) if record.command else None


def _command(record: RunRecord) -> Facts:
    return (("command", shlex.join(record.command)),)


def _test_digest(record: RunRecord) -> Facts:
    return (("test SHA-256", record.test_sha256 or ""),)


def _data_digest(record: RunRecord) -> Facts:
    return (("data SHA-256", record.data_sha256 or ""),)


def _data_facts(record: RunRecord) -> Facts:
    data, facts = record.data, {}
    if data is not None:
        channels, height, width = data.image_shape
        facts["images"] = f"{height} × {width} px, {channels} ch, {plural(data.num_classes, 'class')}"
        for name, split in data.splits.items():
            facts[name] = f"{split.size:,}" + (f", cut from {split.cut_from}" if split.cut_from else "")
        for where, n in data.duplicates.items():
            facts[f"more than once: {where}"] = plural(n, "image")
        if data.left_out:
            facts["left out"] = f"{plural(len(data.left_out), 'file')}: {listed(data.left_out, 5)}"
        if data.notes:
            facts["notes"] = "; ".join(data.notes)
    return (*facts.items(), ("data SHA-256", record.data_sha256 or ""))


def _environment_facts(record: RunRecord) -> Facts:
    environment = record.environment
    surroundings = {
        "python": environment.python,
        "platform": environment.platform,
        "device": environment.device,
        "cpu capability": environment.cpu_capability,
        "threads": str(environment.threads),
    }
    if environment.seeds_per_pass > 1:
        surroundings[_PER_PASS] = str(environment.seeds_per_pass)
    return (*surroundings.items(), *sorted(environment.versions.items()))


def _commit(record: RunRecord) -> Facts:
    commit, is_dirty = record.environment.git_commit, record.environment.git_dirty
    said = "unknown" if commit is None else commit + (" with uncommitted changes" if is_dirty else "")
    return (("git commit", said),)
