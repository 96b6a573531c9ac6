"""A search as a sweep: the trials, then the chosen setting on fresh seeds, and what is said at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from vision_baselines.comparison.formatting import plural
from vision_baselines.comparison.search import SEARCH_FILE, Search, SearchTrial, read_search, settings_text
from vision_baselines.errors import ConfigError, TrainingError
from vision_baselines.jobs.cores import usable_cores
from vision_baselines.jobs.summary import near
from vision_baselines.search.space import space_of
from vision_baselines.search.storage import JOURNAL_FILE
from vision_baselines.search.trials import Trials
from vision_baselines.sweep.callback import SweepCallback
from vision_baselines.sweep.fresh import fresh_seeds, run_fresh_seeds

DEFAULT_FRESH_SEEDS = 3
_SHOWN = 5


def run_search(
    overrides: Sequence[Override], launcher: Launcher, *, config: DictConfig, hydra_context: HydraContext
) -> list[Any]:
    """Search, and train what was chosen on fresh seeds; what the launcher returned.

    Args:
        overrides: The command line's, as Hydra's parser read them.
        launcher: Runs the jobs.
        config: The sweep's.
        hydra_context: Composes the jobs.

    Raises:
        ConfigError: It cannot be searched this way; nothing was started.
        TrainingError: No trial came to its end, or jobs failed of something that is no matter of their settings.
        Interrupted: SIGINT or SIGTERM; the same command goes on.
    """
    space = space_of(overrides)
    slots = slots_of(launcher, config)
    trials = Trials(space, launcher.launch, config=config, hydra_context=hydra_context, slots=slots)
    if config.preview:
        return [trials.preview()]
    folder = Path(str(config.hydra.sweep.dir))
    try:
        returned: list[Any] = list(trials.run())
    except ConfigError:  # of a search that was refused there is nothing to say
        raise
    except BaseException:
        if (found := read_search(folder)) is not None:
            SweepCallback.last_words = in_words(found, folder)
        raise
    found = read_search(folder)
    assert found is not None
    if not found.of_state("complete"):
        SweepCallback.last_words = in_words(found, folder)
        raise TrainingError("no trial came to its end, so nothing is chosen; see why above")
    SweepCallback.last_words = in_words(found, folder)
    if len(found.objectives) == 1:
        n = fresh_seeds(config) or DEFAULT_FRESH_SEEDS
        run_fresh_seeds(launcher.launch, config=config, hydra_context=hydra_context, n=n)
        SweepCallback.last_words = in_words(found, folder)
    return returned


def in_words(search: Search, folder: Path) -> list[str]:
    """What is said at the end: how the trials went, the best of them, and how to look at them."""
    counts = Counter(trial.state for trial in search.trials)
    said = ", ".join(f"{n} {state}" for state, n in sorted(counts.items()))
    lines = [f"{plural(len(search.trials), 'trial')} of {search.wanted}: {said or 'none'}"]
    front = search.front()
    if len(search.objectives) == 1 and front:
        lines.append(f"the best is {_of(front[0], search)}")
    elif front:
        lines.append(f"{plural(len(front), 'trial')} that no other is better than in every objective:")
        lines += [f"  {_of(trial, search)}" for trial in front[:_SHOWN]]
        lines += [f"  and {len(front) - _SHOWN} more"] if len(front) > _SHOWN else []
    failed = search.of_state("failed")
    lines += [f"trial {trial.number} failed: {trial.reason}" for trial in failed[:_SHOWN]]
    lines += [f"and {len(failed) - _SHOWN} more, in {near(folder / SEARCH_FILE)}"] if len(failed) > _SHOWN else []
    return [*lines, f"optuna-dashboard {near(folder / JOURNAL_FILE)} shows them too, where it is installed"]


def slots_of(launcher: Launcher, config: DictConfig) -> int:
    """How many jobs a launcher runs at a time.

    Raises:
        ConfigError: It does not say.
    """
    asked = OmegaConf.select(config, "search.parallel") or OmegaConf.select(config, "n_jobs")
    if asked:
        return int(asked)
    target = str(OmegaConf.select(config, "hydra.launcher._target_"))
    if target.endswith(".BasicLauncher"):
        return 1
    if target.endswith((".LocalLauncher", ".JoblibLauncher")):
        known = OmegaConf.select(config, "hydra.launcher.n_jobs") or -1
        return int(known) if known > 0 else usable_cores()
    known = OmegaConf.select(config, "hydra.launcher.array_parallelism")
    if isinstance(known, int) and known > 0:
        return known
    name = target.rpartition(".")[2]
    raise ConfigError(f"{name} does not say how many jobs it runs at a time; give search.parallel, such as 8")


def _of(trial: SearchTrial, search: Search) -> str:
    values = ", ".join(f"{name} {value:.5g}" for name, value in zip(search.objectives, trial.values, strict=True))
    over = f", the mean over {plural(len(search.seeds), 'seed')}" if len(search.seeds) > 1 else ""
    return f"trial {trial.number}: {settings_text(trial.settings)} ({values}{over})"
