"""What surrounded the runs: which environments, which commits, which data, which commands.

Runs are comparable bit for bit only where these are equal. Each kind of surrounding is given as its
variants, each with the jobs that had it, so that "all the same" is one variant.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vision_baselines.comparison.collection import Job
from vision_baselines.comparison.formatting import listed, plural
from vision_baselines.comparison.kept import kept
from vision_baselines.runs.record import Environment, RunRecord

_PER_PASS = "seeds per pass"


@dataclass(frozen=True)
class Variant:
    """Jobs that share one surrounding, as facts in the order they are shown."""

    facts: tuple[tuple[str, str], ...]
    n_jobs: int
    example: str


def environments(jobs: Sequence[Job]) -> list[Variant]:
    """Versions, platform and device, the most frequent first."""
    return _variants(jobs, lambda record: record.environment, lambda record: _environment_facts(record.environment))


def commits(jobs: Sequence[Job]) -> list[Variant]:
    """Git commits and whether files were changed, the most frequent first."""
    return _variants(
        jobs, lambda record: record.environment, lambda record: (("git commit", _commit(record.environment)),)
    )


def datasets(jobs: Sequence[Job]) -> list[Variant]:
    """What the jobs saw of their data, the most frequent first; jobs that ended before they knew it are left out."""
    known = [job for job in jobs if job.record.data_sha256]
    return _variants(known, lambda record: record.data, _data_facts, lambda record: record.data_sha256)


def test_sets(jobs: Sequence[Job]) -> list[Variant]:
    """SHA-256 of the test images and labels, the most frequent first.

    Of records that do not say, that of all data stands in; jobs that ended before they knew it are left out.
    """
    known = [job for job in jobs if job.record.data_sha256]
    if all(job.record.test_sha256 for job in known):
        return _digests(known, "test SHA-256", lambda record: record.test_sha256)
    return _digests(known, "data SHA-256", lambda record: record.data_sha256)


@kept()
def runs_sha256(jobs: tuple[Job, ...]) -> str:
    """What a figure rests on: a digest of the runs, by config, seed, weights and test images."""
    runs = [
        f"{job.record.fingerprint} {job.record.seed} {job.record.weights_sha256} {job.record.test_sha256}"
        for job in jobs
    ]
    return hashlib.sha256("\n".join(sorted(runs)).encode("utf-8", "surrogatepass")).hexdigest()


def commands(jobs: Sequence[Job]) -> list[Variant]:
    """Commands as they would be typed in a shell, the most frequent first."""
    known = [job for job in jobs if job.record.command]
    return _variants(known, lambda record: record.command, lambda record: (("command", shlex.join(record.command)),))


def differing(variants: Sequence[Variant]) -> dict[str, list[str]]:
    """Facts that are not the same in all variants, with the values they take."""
    names = dict.fromkeys(name for variant in variants for name, _ in variant.facts)
    unsaid = {_PER_PASS: "1"}
    values = {
        name: [dict(variant.facts).get(name, unsaid.get(name, "absent")) for variant in variants] for name in names
    }
    return {name: list(dict.fromkeys(found)) for name, found in values.items() if len(set(found)) > 1}


def _variants(
    jobs: Sequence[Job],
    part: Callable[[RunRecord], object],
    read: Callable[[RunRecord], tuple[tuple[str, str], ...]],
    digest: Callable[[RunRecord], str | None] = lambda record: None,
) -> list[Variant]:
    """The variants of what `read` says, which follows from a part of a record and a digest.

    Records of a cache share their parts, so that of many few are read.
    """
    alike: dict[tuple[int, str | None], list[Job]] = {}
    for job in jobs:
        alike.setdefault((id(part(job.record)), digest(job.record)), []).append(job)
    found: dict[tuple[tuple[str, str], ...], list[Job]] = {}
    for members in alike.values():
        found.setdefault(read(members[0].record), []).extend(members)
    return _most_frequent(found)


def _digests(jobs: Sequence[Job], name: str, read: Callable[[RunRecord], str | None]) -> list[Variant]:
    found: dict[str, list[Job]] = {}
    for job in jobs:
        found.setdefault(read(job.record) or "", []).append(job)
    return _most_frequent({((name, digest),): members for digest, members in found.items()})


def _most_frequent(found: Mapping[tuple[tuple[str, str], ...], Sequence[Job]]) -> list[Variant]:
    variants = [Variant(facts, len(members), members[0].place) for facts, members in found.items()]
    return sorted(variants, key=lambda variant: -variant.n_jobs)


def _data_facts(record: RunRecord) -> tuple[tuple[str, str], ...]:
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


def _environment_facts(environment: Environment) -> tuple[tuple[str, str], ...]:
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


def _commit(environment: Environment) -> str:
    if environment.git_commit is None:
        return "unknown"
    return environment.git_commit + (" with uncommitted changes" if environment.git_dirty else "")
