"""The tables of what parts are worth and of which parts need each other, and how to read them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vision_baselines.comparison.evidence import is_better
from vision_baselines.comparison.formatting import ABSENT, capital, count
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.part_effects import Interaction, PartEffect
from vision_baselines.comparison.part_words import (
    effect_verdict,
    effect_words,
    held_at_once,
    interaction_verdict,
    interaction_words,
)
from vision_baselines.comparison.table import ComparisonTable
from vision_baselines.report.columns import TONES, Column, Item, p_text, plain_column

TITLE = "What each part is worth"
PAIRS_TITLE = "Which parts need each other"
NARROW = ("setting", "part", "effect", "interval", "verdict")
NARROW_PAIRS = ("setting", "pair", "interaction", "interval", "verdict")


@dataclass(frozen=True)
class AblationSection:
    """What the template is filled with."""

    effect_columns: list[Column[PartEffect]]
    effects: list[PartEffect]
    note: str
    interaction_columns: list[Column[Interaction]]
    interactions: list[Interaction]
    pairs_note: str
    sentences: list[str]
    title: str = TITLE
    pairs_title: str = PAIRS_TITLE
    narrow: tuple[str, ...] = NARROW
    narrow_pairs: tuple[str, ...] = NARROW_PAIRS


def ablation_section(table: ComparisonTable) -> AblationSection | None:
    """The section of a sweep that left parts out; None for another."""
    if not table.effects:
        return None
    return AblationSection(
        effect_columns(table),
        list(table.effects),
        effects_note(table),
        interaction_columns(table),
        list(table.interactions),
        interactions_note(table),
        sentences(table),
    )


def sentences(table: ComparisonTable) -> list[str]:
    """What can be said of each part and of each pair, a sentence each."""
    metric = table.metric

    def of(setting: str, words: str) -> str:
        return f"{setting}: {words}." if setting else f"{capital(words)}."

    return [of(effect.setting, effect_words(effect, metric)) for effect in table.effects] + [
        of(found.setting, interaction_words(found, metric)) for found in table.interactions
    ]


def effect_columns(table: ComparisonTable) -> list[Column[PartEffect]]:
    """Effect, interval, p-value, verdict, and what the part costs; empty where nothing was left out."""
    metric = table.metric
    mean = _of("mean")
    columns: list[Column[PartEffect]] = [
        Column(
            "part", "part", lambda effect: effect.name, fields={"part": lambda effect: effect.name}, is_number=False
        ),
        Column(
            "full",
            "with it",
            lambda effect: _mean(effect.full, metric),
            metric.unit,
            {"with mean": lambda effect: _exact(effect.full, metric)},
        ),
        Column(
            "without",
            "without it",
            lambda effect: _mean(effect.without, metric),
            metric.unit,
            {"without mean": lambda effect: _exact(effect.without, metric)},
        ),
        plain_column("pairs", "pairs", lambda n: ABSENT if n is None else str(n), _of("n")),
        Column(
            "effect", f"worth{_points(metric)}", lambda effect: metric.signed(mean(effect)), fields={"effect": mean}
        ),
        *_claim_columns(metric, lambda effect: effect_verdict(effect, metric)),
        Column(
            "parameters",
            "parameters",
            lambda effect: _count(effect.cost(lambda row: row.costs.parameters)),
            fields={"parameters": lambda effect: effect.cost(lambda row: row.costs.parameters)},
        ),
    ]
    return _with_setting(_without_empty(columns, table.effects), table)


def interaction_columns(table: ComparisonTable) -> list[Column[Interaction]]:
    """What the first part is worth with and without the second, and the difference of these."""
    metric = table.metric
    columns: list[Column[Interaction]] = [
        Column(
            "pair",
            "part and part",
            lambda found: " and ".join(found.parts),
            fields={"first": lambda found: found.parts[0], "second": lambda found: found.parts[1]},
            is_number=False,
        ),
        plain_column("pairs", "seeds", str, _of("n")),
        Column(
            "there",
            "first worth where second is there",
            lambda found: metric.signed(found.there),
            fields={"there": lambda found: found.there},
        ),
        Column(
            "missing",
            "where it is left out",
            lambda found: metric.signed(found.missing),
            fields={"missing": lambda found: found.missing},
        ),
        Column(
            "interaction",
            f"interaction{_points(metric)}",
            lambda found: metric.signed(found.difference.mean),
            fields={"interaction": _of("mean")},
        ),
        *_claim_columns(metric, lambda found: interaction_verdict(found, metric)),
    ]
    return _with_setting(_without_empty(columns, table.interactions), table)


def effects_note(table: ComparisonTable) -> str:
    """How the effects are meant, in a few sentences."""
    metric = table.metric
    said = [
        f"Worth is the {metric.title} of the full runs minus that of the runs without the part, paired by seed"
        + (": below 0 is a gain" if metric.lower_is_better else "")
    ]
    if held := held_at_once(table.effects, table.interactions):
        said.append(capital(held))
        said.append("A part helps or harms where its interval leaves out 0; else it cannot be told from nothing")
    said.append(
        "In the table of groups the same difference has the other sign: the runs without the part minus the full"
    )
    said.append("This is what a part adds to all others; what it would add to none of them can be another number")
    return ". ".join(said) + "."


def interactions_note(table: ComparisonTable) -> str:
    """How the interactions are meant."""
    if not table.interactions:
        return ""
    said = (
        "The interaction is how much more the first part is worth where the second one is there; it is also how much "
        "more the second is worth where the first is: below 0, each partly does what the other does."
    )
    if any(effect.is_decided for effect in table.effects):
        said += " It is not tested: seeds were added until something else was clear."
    return said


def _claim_columns(metric: Metric, verdict: Callable[[Any], str]) -> list[Column[Any]]:
    """The interval that holds at once with all others, the p-value and the verdict of an effect or an interaction."""
    p_value = _of("p")
    return [
        Column(
            "interval",
            "interval",
            lambda found: metric.interval(found.low, found.high, signed=True),
            fields={"low": lambda found: found.low, "high": lambda found: found.high},
        ),
        Column(
            "p",
            "p",
            lambda found: p_text(p_value(found)),
            fields={"p": _of("p_value"), "p_corrected": _of("p_corrected")},
        ),
        Column(
            "verdict",
            "verdict",
            verdict,
            fields={"verdict": verdict},
            is_number=False,
            tone=lambda found: TONES[is_better(found.difference, metric)],
        ),
    ]


def _of(name: str) -> Callable[[Any], Any]:
    """Reads a value of the difference of an effect or an interaction; None where there is none."""
    return lambda found: getattr(found.difference, name, None)


def _with_setting(columns: list[Column[Item]], table: ComparisonTable) -> list[Column[Item]]:
    if not any(effect.setting for effect in table.effects):
        return columns
    setting = Column[Any]("setting", "setting", _setting, fields={"setting": _setting}, is_number=False)
    return [setting, *columns]


def _setting(item: PartEffect | Interaction) -> str:
    return item.setting


def _without_empty(columns: list[Column[Item]], items: Any) -> list[Column[Item]]:
    """Columns of numbers that no item has are left out."""
    return [column for column in columns if not column.is_number or any(column.write(item) != ABSENT for item in items)]


def _mean(row: Any, metric: Metric) -> str:
    value = _exact(row, metric)
    return ABSENT if value is None else metric.bare(value)


def _exact(row: Any, metric: Metric) -> float | None:
    found = row.metrics.get(metric.name) if row is not None else None
    return None if found is None else float(found.mean)


def _count(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return ABSENT
    return f"+{count(value)}" if value > 0 else f"−{count(-value)}" if value < 0 else "0"


def _points(metric: Metric) -> str:
    return ", points" if metric.is_share else ""
