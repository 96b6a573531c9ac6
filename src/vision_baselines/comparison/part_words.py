"""What parts are worth, in words: a word or two for a cell, a sentence for each claim, and one for a whole ablation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vision_baselines.analysis.statistics import MIN_PAIRS, PairedDifference
from vision_baselines.comparison.evidence import is_better
from vision_baselines.comparison.formatting import listed, plural
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.part_effects import Interaction, PartEffect

_MOST, _MOST_NAMES = 4, 12  # claims of a kind that a sentence spells out, and parts of which nothing can be said
# What is said at once of several parts with one of these verdicts.
_OF_SEVERAL = {
    ("cannot tell",): "cannot be told from nothing",
    ("too few pairs", "no pairs"): f"cannot be judged: it takes at least {MIN_PAIRS} seeds with and without a part",
    ("no run without it",): "cannot be judged: no run is without one of them",
}


def effect_verdict(effect: PartEffect, metric: Metric) -> str:
    """A word or two for a cell of a table."""
    difference = effect.difference
    if effect.without is None:
        return "no run without it"
    if effect.full is None:
        return "no full run"
    if effect.full.is_tested_elsewhere:
        return "other test images"
    if difference is None or difference.n == 0:
        return "no pairs"
    gain = is_better(difference, metric)
    if gain is None:
        return _undecided(difference)
    return "helps" if gain else "harms"


def interaction_verdict(found: Interaction, metric: Metric) -> str:
    """A word or two for a cell of a table: whether the first part is worth more, or less, where the second is there."""
    if found.reason:
        return found.reason
    if found.is_decided and found.difference.n:
        return "not tested"
    gain = is_better(found.difference, metric)
    if gain is None:
        return _undecided(found.difference) if found.difference.n else "no pairs"
    return "more together" if gain else "less together"


def effect_words(effect: PartEffect, metric: Metric) -> str:
    """What a part is worth, as a sentence without its full stop.

    ``dropout is worth 0.40 points of test accuracy [0.10, 0.70]``
    """
    difference, name = effect.difference, effect.name
    gain = is_better(difference, metric)
    if difference is not None and gain is not None:
        return f"{name} {_verb(gain, metric)} {_amount(difference.mean, metric)} {_size(effect, metric)}"
    if difference is not None and difference.conclusion == "equal":
        margin = effect.full.evidence.margin if effect.full and effect.full.evidence else None
        within = f" within ±{metric.written_difference(margin)}" if margin is not None else ""
        return f"{name} makes no difference{within} {_size(effect, metric)}"
    if difference is not None and difference.conclusion == "identical":
        return f"{name} makes no difference for any seed"
    if difference is not None and difference.conclusion == "no spread":
        same = _signed(difference.mean, metric)
        return f"{name} makes the same difference for every seed, {same}, which leaves nothing to test"
    if difference is not None and difference.conclusion == "not distinguishable":
        return f"{name} cannot be told from nothing: {_signed(difference.mean, metric)} {_size(effect, metric)}"
    reason = {
        "too few pairs": f"it takes at least {MIN_PAIRS} seeds with and without it",
        "no pairs": "no seed finished with it and without it",
        "no full run": "no run has all parts",
        "no run without it": "no run is without it",
        "other test images": "its runs were tested on other images",
    }
    return f"{name} cannot be judged: {reason[effect_verdict(effect, metric)]}"


def interaction_words(found: Interaction, metric: Metric) -> str:
    """Whether two parts need each other, as a sentence without its full stop."""
    (first, second), difference = found.parts, found.difference
    if found.is_decided and difference.n:
        seen = _signed(difference.mean, metric)
        return f"whether {first} needs {second} is not tested: {seen} where seeds were added until parts were decided"
    gain = is_better(difference, metric)
    if gain is not None:
        more, amount = "more" if gain else "less", metric.written_difference(abs(difference.mean))
        how = f"lowers {metric.title} by" if metric.lower_is_better else "is worth"
        return f"{first} {how} {amount} {more} where {second} is there {_size(found, metric)}"
    if difference.conclusion == "not distinguishable":
        size = f"{_signed(difference.mean, metric)} {_size(found, metric)}".strip()
        return f"whether {first} needs {second} cannot be told: {size}"
    if difference.conclusion in ("identical", "no spread"):
        same = _signed(difference.mean, metric)
        return f"whether {first} needs {second} leaves nothing to test: the interaction is {same} for every seed"
    if found.reason:
        lacking = {"no full run": "no run has all parts", "other test images": "the runs were tested on other images"}
        said = lacking.get(found.reason) or found.reason.replace("no run without", "no run is without")
        return f"whether {first} needs {second} cannot be judged: {said}"
    needed = f"it takes at least {MIN_PAIRS} seeds of all four kinds of runs"
    return f"whether {first} needs {second} cannot be judged: {needed}"


def ablation_claim(effects: Sequence[PartEffect], interactions: Sequence[Interaction], metric: Metric) -> str:
    """The result of a whole ablation, without its full stop; settings one after the other."""
    labels = list(dict.fromkeys(effect.setting for effect in effects))
    said = []
    for label in labels:
        mine = [effect for effect in effects if effect.setting == label]
        pairs = [found for found in interactions if found.setting == label]
        words = "; ".join([*_of_effects(mine, metric), *_of_interactions(pairs, metric)])
        said.append(f"{label}: {words}" if label else words)
    return ". ".join(said)


def ablation_proof(effects: Sequence[PartEffect], interactions: Sequence[Interaction]) -> str:
    """What stands behind it: how many pairs, and which claims hold at once."""
    counts = sorted({effect.difference.n for effect in effects if effect.difference is not None})
    over = {effect.difference.over for effect in effects if effect.difference is not None and effect.difference.over}
    if not counts:
        return ""
    numbers = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    n = listed(sorted(over)) if over else f"{numbers} {'pair' if counts == [1] else 'pairs'}"
    return "; ".join(filter(None, (f"n = {n}", held_at_once(effects, interactions))))


def held_at_once(effects: Sequence[PartEffect], interactions: Sequence[Interaction]) -> str:
    """Which level the intervals of an ablation have; empty where there are none."""
    if any(effect.is_decided for effect in effects):
        return "intervals hold at every look, all at once in 95% of such sweeps"
    claims: list[PartEffect | Interaction] = [*effects, *interactions]
    family = max((claim.family for claim in claims if math.isfinite(claim.low)), default=0)
    if not family:
        return ""
    if family == 1:
        return "95% intervals"
    return f"intervals hold all at once in 95% of such sweeps, corrected for {family} comparisons"


def _of_effects(effects: Sequence[PartEffect], metric: Metric) -> list[str]:
    by_gain: dict[bool | None, list[PartEffect]] = {True: [], False: [], None: []}
    for effect in effects:
        by_gain[is_better(effect.difference, metric)].append(effect)
    said = []
    for gain in (True, False):
        found = sorted(by_gain[gain], key=lambda effect: -abs(effect.difference.mean if effect.difference else 0))
        said += [effect_words(effect, metric) for effect in found[:_MOST]]
        if len(found) > _MOST:
            said.append(f"{plural(len(found) - _MOST, 'more part')} {'help' if gain else 'harm'}")
    rest = by_gain[None]
    for verdicts, of_all in _OF_SEVERAL.items():
        alike = [effect for effect in rest if effect_verdict(effect, metric) in verdicts]
        if len(alike) > 1:
            said.append(f"{listed([effect.name for effect in alike], _MOST_NAMES)} {of_all}")
            rest = [effect for effect in rest if effect not in alike]
    return said + [effect_words(effect, metric) for effect in rest]


def _of_interactions(interactions: Sequence[Interaction], metric: Metric) -> list[str]:
    if not interactions:
        return []
    found = [one for one in interactions if is_better(one.difference, metric) is not None]
    found.sort(key=lambda one: -abs(one.difference.mean))
    said = [interaction_words(one, metric) for one in found[:_MOST]]
    if len(found) > _MOST:
        said.append(f"{plural(len(found) - _MOST, 'more pair')} depend on each other")
    if not found and any(one.difference.is_tested for one in interactions):
        said.append(
            "whether any part needs another cannot be told"
            if len(interactions) > 1
            else interaction_words(interactions[0], metric)
        )
    return said


def _undecided(difference: PairedDifference) -> str:
    return "cannot tell" if difference.conclusion == "not distinguishable" else difference.conclusion


def _verb(gain: bool, metric: Metric) -> str:
    if metric.lower_is_better:
        return f"{'lowers' if gain else 'raises'} {metric.title} by"
    return "is worth" if gain else "costs"


def _amount(value: float, metric: Metric) -> str:
    amount = metric.written_difference(abs(value))
    return amount if metric.lower_is_better else f"{amount} {'of' if metric.is_share else 'in'} {metric.title}"


def _signed(value: float, metric: Metric) -> str:
    return f"{metric.signed(value)}{' points' if metric.is_share else ''}"


def _size(found: PartEffect | Interaction, metric: Metric) -> str:
    """The interval: without signs where the words say the direction; else of metric(full) − metric(without)."""
    difference = found.difference
    if difference is None or not math.isfinite(found.low):
        return ""
    low, high = found.low, found.high
    if difference.conclusion == "smaller":
        low, high = -high, -low
    return metric.interval(low, high, signed=difference.conclusion not in ("larger", "smaller"))
