"""A sweep that leaves parts out: the jobs that ``ablate`` makes of one, and what of it is refused before any starts.

Each kind of run, the full one and those that lack something, is a group of overrides as in `hydra.sweeper.groups`, so
that it spans a grid with whatever else is swept. A job is an ordinary run: it is given the overrides of the parts that
it lacks, and knows nothing of an ablation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from vision_baselines.comparison.ablation import ABLATION_FILE, AblatedPart, Ablation
from vision_baselines.comparison.collection import Job
from vision_baselines.config.ablation import ABLATE, Ablate, parsed_ablate
from vision_baselines.config.plan import Plan
from vision_baselines.errors import ConfigError
from vision_baselines.jobs.console import say
from vision_baselines.runs.fingerprint import key_of, relevant
from vision_baselines.sweep.callback import SweepCallback
from vision_baselines.sweep.launcher import planned_job
from vision_baselines.sweep.stub import require_known_baseline, stub


class PartsThatMatter:
    """Refuses a part whose absence changes nothing, and an unknown baseline, once all jobs of a sweep are known.

    Args:
        parts: Of each part its name, and the overrides that leave it out.
        baseline: The group that others are to be compared with, if one was named.
        group_by: What makes a group.
        folder: Of the sweep.
    """

    def __init__(
        self,
        parts: Mapping[str, Sequence[str]],
        baseline: str | None = None,
        group_by: Sequence[str] | str | None = None,
        folder: Path = Path(),
    ) -> None:
        self.baseline, self.group_by, self.folder = baseline, group_by, folder
        self.stubs: list[Job] = []
        self.parts = {name: frozenset(words) for name, words in parts.items()}
        self.keys = {key_of(text) for words in self.parts.values() for text in words}
        # by what jobs share, what they lack: everything of their config that can change a result
        self.found: dict[tuple[str, ...], dict[frozenset[str], Mapping[str, Any]]] = {}

    @classmethod
    def of(cls, config: DictConfig, *, knows_all: bool = True) -> PartsThatMatter | None:
        """Those that a sweep's config leaves out; a baseline is looked for among all its jobs alone."""
        asked = ablation_asked(config)
        if asked is None:
            return None
        group_by = config.comparison.get("group_by")
        listed = group_by if isinstance(group_by, str) or group_by is None else list(group_by)
        baseline = config.comparison.get("baseline") if knows_all else None
        return cls(asked.parts, baseline, listed, Path(str(config.hydra.sweep.dir)))

    def lacking(self, overrides: Sequence[str]) -> frozenset[str]:
        """The parts that a job with these overrides lacks."""
        return frozenset(name for name, words in self.parts.items() if words <= set(overrides))

    def add(self, plan: Plan) -> None:
        """One more job."""
        shared = tuple(sorted(text for text in plan.overrides if key_of(text) not in self.keys))
        if self.baseline is not None:
            self.stubs.append(stub(plan))
        self.found.setdefault(shared, {})[self.lacking(plan.overrides)] = relevant(plan.resolved)

    def require(self) -> None:
        """Refuse what changes nothing.

        Raises:
            ConfigError: Which part, and beside which others; or which groups there are, and not the baseline.
        """
        if self.baseline is not None:
            require_known_baseline(str(self.baseline), self.stubs, self.folder, self.group_by)
        for kinds in self.found.values():
            for lacking, settings in kinds.items():
                for name in sorted(lacking):
                    if kinds.get(lacking - {name}) != settings:
                        continue
                    others = ", ".join(sorted(lacking - {name}))
                    raise ConfigError(
                        f"ablate.{name} is {', '.join(sorted(self.parts[name]))}, which changes nothing"
                        f"{f' where {others} is left out' if others else ''}: the run without it is the run with it"
                    )


def ablation_asked(config: DictConfig) -> Ablate | None:
    """What the sweep's config leaves out.

    Raises:
        ConfigError: It cannot be understood.
    """
    value = config.get(ABLATE)
    plain = OmegaConf.to_container(value, resolve=False) if OmegaConf.is_config(value) else value
    asked = parsed_ablate(plain)
    if asked is None:
        return None
    parts = {name: tuple(_text(word, name) for word in words) for name, words in asked.parts.items()}
    return Ablate(parts, asked.pairs, asked.all)


def lacking(jobs: Sequence[Sequence[str]], config: DictConfig) -> list[frozenset[str]]:
    """The parts that each job lacks, given its overrides."""
    parts = PartsThatMatter.of(config)
    return [parts.lacking(job) if parts is not None else frozenset() for job in jobs]


def spread(
    overrides: Sequence[Override], groups: Sequence[Sequence[str]], config: DictConfig
) -> tuple[Ablation, list[Override], list[list[str]]]:
    """The ablation that a sweep's config asks for, the overrides of all jobs, and the groups of the rest.

    Args:
        overrides: Of the command line and of `hydra.sweeper.params`.
        groups: Those of the sweep itself; none is the plain grid.
        config: The sweep's.

    Raises:
        ConfigError: A key of a part has several values in the sweep, or the ablation cannot be understood.
    """
    asked = ablation_asked(config)
    assert asked is not None
    if config.comparison.get("fresh_seeds"):
        raise ConfigError(
            "ablate asks what parts are worth and chooses nothing, which leaves comparison.fresh_seeds no choice"
        )
    kept = [override for override in overrides if not is_of_ablation(override)]
    own = [list(group) for group in groups] or [[]]
    parser = OverridesParser.create()
    of_groups = [_latest([*kept, *parser.parse_overrides(group)]) for group in own]
    parts = []
    for name, words in asked.parts.items():
        keys = [key_of(word) for word in words]
        for found in (group[key] for group in of_groups for key in keys if key in group):
            if found.is_sweep_override():
                key = key_of(found.get_key_element())
                raise ConfigError(f"ablate.{name} leaves out {key}, which is swept too; give the full run one value")
        full = [[_written(group[key]) for key in keys if key in group] for group in of_groups]
        if any(of_one != full[0] for of_one in full):
            raise ConfigError(f"ablate.{name} leaves out {', '.join(keys)}, which hydra.sweeper.groups set to several")
        if set(full[0]) == set(words):
            raise ConfigError(
                f"ablate.{name} is {', '.join(words)}, which changes nothing: the full run has it already"
            )
        parts.append(AblatedPart(name=name, without=list(words), full=full[0]))
    ablation = Ablation(parts=parts, pairs=asked.pairs, all=asked.all, settings=[])
    kinds = [[text for name in lacking for text in asked.parts[name]] for lacking in asked.variants]
    return ablation, kept, [[*group, *kind] for group in own for kind in kinds]


def _latest(overrides: Iterable[Override]) -> dict[str, Override]:
    """By key, the last one counts."""
    return {key_of(override.get_key_element()): override for override in overrides}


def is_of_ablation(override: Override) -> bool:
    """Whether an override says what is left out, and so is none of a job."""
    return key_of(override.get_key_element()).split(".")[0] == ABLATE


def require_no_sweep_of_ablations(overrides: Iterable[Override]) -> None:
    """Refuse several ablations in one sweep.

    Raises:
        ConfigError: There are several.
    """
    if any(is_of_ablation(override) and override.is_sweep_override() for override in overrides):
        raise ConfigError(
            "ablate has several values, and a sweep has one list of parts: 'ablate=[model.dropout=0,augment=none]'"
        )


def require_parts_that_matter(jobs: Sequence[Sequence[str]], config: DictConfig, hydra_context: HydraContext) -> None:
    """Compose all jobs, and refuse a part whose absence changes nothing; for launchers that look at none of them.

    Raises:
        ConfigError: Which part; or a job cannot be run.
    """
    if (parts := PartsThatMatter.of(config)) is None:
        return
    for index, overrides in enumerate(jobs):
        parts.add(planned_job(index, list(overrides), config, hydra_context)[1])
    parts.require()


@contextmanager
def noted(around: Any, config: DictConfig) -> Iterator[None]:
    """While active: the file of the ablation is put back as it was where none of the sweep's jobs has run.

    The file of jobs that are only listed is written once they are. What is left out is `around.ablation`.
    """
    path = Path(config.hydra.sweep.dir) / ABLATION_FILE
    before = path.read_bytes() if path.is_file() else None
    try:
        yield
    except BaseException:
        has_run = SweepCallback.current is not None and SweepCallback.current.has_run
        if around.ablation is not None and not has_run:
            with suppress(OSError):
                path.unlink(missing_ok=True) if before is None else path.write_bytes(before)
        raise
    if around.ablation is None:
        return
    if config.get("list"):
        around.ablation.write(path.parent)
    elif config.preview:
        for part in around.ablation.parts:
            say(f"without {part.name}: {', '.join(part.without)}")


def _text(word: str, name: str) -> str:
    """An override as a job is given it.

    Raises:
        ConfigError: Hydra cannot read it, or it has several values.
    """
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise ConfigError(
            f"ablate.{name} is {word!r}, which Hydra cannot read: {str(error).splitlines()[0]}"
        ) from error
    if override.is_sweep_override():
        raise ConfigError(f"ablate.{name} is {word!r}; a part is left out in one way, so give it one value")
    return _written(override)


def _written(override: Override) -> str:
    return f"{override.get_key_element()}={override.get_value_element_as_str()}"
