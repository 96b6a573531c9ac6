"""What a paired difference means, in words; the only place where "better" is said.

The words follow the conclusion that `analysis.statistics` reached, as `evidence` has corrected it for the number of
comparisons. Where it reached none, none is hinted at: a difference without enough pairs behind it is called too few
pairs, not a tendency.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vision_baselines.analysis.multiple import LEVEL
from vision_baselines.analysis.statistics import MIN_PAIRS, PairedDifference
from vision_baselines.comparison.control import CONTROL_WORDS, Control
from vision_baselines.comparison.evidence import is_better
from vision_baselines.comparison.formatting import ABSENT, listed, plural, probability
from vision_baselines.comparison.metric import Metric
from vision_baselines.comparison.part_words import ablation_claim, ablation_proof
from vision_baselines.comparison.rows import GroupRow
from vision_baselines.comparison.table import ComparisonTable


@dataclass(frozen=True)
class Finding:
    """A claim in plain words, without its full stop, and the numbers behind it."""

    claim: str
    proof: str = ""


def short_verdict(difference: PairedDifference, metric: Metric) -> str:
    """A word or two for a cell of a table."""
    if difference.conclusion == "too few pairs":
        return "too few pairs" if difference.n else "no pairs"
    if difference.conclusion in ("identical", "no spread", "equal"):
        return difference.conclusion
    better = is_better(difference, metric)
    return "cannot tell" if better is None else "better" if better else "worse"


def on_other_images(row: GroupRow, metric: Metric) -> str:
    """A word or two on whether the group is better or worse on other test images of the kind too."""
    evidence = row.evidence
    if evidence is None or row.difference is None or not row.difference.is_tested:
        return ABSENT
    if evidence.over_images is None:
        return "unknown"
    if not evidence.images_p < LEVEL:
        return "cannot tell"
    return "better" if (evidence.over_images.mean > 0) is not metric.lower_is_better else "worse"


def against_baseline(row: GroupRow, baseline: str, metric: Metric) -> Finding:
    """A group against the baseline; the claim is what follows the group's name."""
    difference = row.difference
    if row.is_tested_elsewhere:
        return Finding(f"cannot be compared with {baseline}: they were not tested on the same images")
    if difference is None or difference.n == 0:
        return Finding(f"cannot be compared with {baseline}: no seed finished in both")
    proof = _evidence(row, difference, metric)
    apart = f"cannot be told apart from {baseline}"
    by = f"{metric.signed(difference.mean)}{' points' if metric.is_share else ''}"
    if (better := is_better(difference, metric)) is not None:
        verb = "beats" if better else "falls behind"
        amount = metric.written_difference(abs(difference.mean))
        return Finding(f"{verb} {baseline} by {amount} {'of' if metric.is_share else 'in'} {metric.title}", proof)
    if difference.conclusion == "equal" and row.evidence and row.evidence.margin is not None:
        within = f"equals {baseline} within ±{metric.written_difference(row.evidence.margin)}"
        return Finding(
            f"{within}{' of' if metric.is_share else ' in'} {metric.title}", f"mean difference {by}, {proof}"
        )
    if difference.conclusion == "identical":
        return Finding(f"equals {baseline} in {metric.title} for every seed", proof)
    if difference.conclusion == "no spread":
        own = row.metrics[metric.name]
        reason = "which leaves nothing to test; " + (
            "perhaps the seed did not reach the runs" if own.min == own.max else "add seeds"
        )
        return Finding(f"differs from {baseline} in {metric.title} by {by} for every seed, {reason}", proof)
    if difference.conclusion == "too few pairs":
        needed = f"it takes at least {MIN_PAIRS} to tell"
        said = f"mean difference in {metric.title} {by}"
        if row.evidence and (p_value := probability(row.evidence.mcnemar_p)):
            others = row.evidence.comparisons
            uncorrected = f", not corrected for {others} comparisons" if others > 1 else ""
            said += f"; of these two runs alone, McNemar's exact test: {p_value}{uncorrected}"
        return Finding(f"{apart} with {proof}: {needed}", said)
    return Finding(f"{apart} in {metric.title}: the mean difference is {by}", proof)


def finding(table: ComparisonTable) -> Finding:
    """The result of the whole comparison."""
    metric, measured, baseline = table.metric, table.measured, table.baseline
    if not measured:
        return _nothing_yet(table)
    if table.controls:
        return _of_controls(table.controls)
    if table.effects:
        claim = ablation_claim(table.effects, table.interactions, metric)
        return Finding(claim, ablation_proof(table.effects, table.interactions))
    if len(measured) == 1:
        row = measured[0]
        unmeasured = [one for one in table.rows if one is not row]
        alone = f"; no other group has a result{_yet(table, unmeasured)}" if unmeasured else ""
        return Finding(f"{row.label} reaches a {metric.title} of {_spread(row, metric)}{alone}", _runs(row, metric))
    others = [row for row in measured if row.label != baseline]
    if baseline is not None and len(others) == 1 and len(measured) == 2 and table.choice is None:
        found = against_baseline(others[0], baseline, metric)
        return Finding(f"{others[0].label} {found.claim}", found.proof)
    best = table.choice
    if best is None or table.selection is None:
        return _without_choice(table, others)
    settings = f"{len(table.ranked())} settings"
    leader = (
        f"{best.label}, chosen by {table.selection.title} among {settings}, "
        f"has a {metric.title} of {_spread(table.reported or best, metric)}"
    )
    if table.reported is not None:
        leader += f" on {plural(table.reported.metrics[metric.name].n, 'seed')} that chose nothing"
    runs = _runs(table.reported or best, metric) + (" on the fresh seeds" if table.reported is not None else "")
    there = "on the seeds that chose it, " if table.reported is not None else ""
    if baseline is None:
        rest = [row for row in measured if row is not best]
        if len(rest) == 1:
            found = against_baseline(rest[0], best.label, metric)
            return Finding(
                f"{leader}; {there}{rest[0].label} {found.claim.removesuffix(f' of {metric.title}')}", found.proof
            )
        return Finding(f"{leader}; {there}{_of_others(rest, table)}", f"{runs}{_corrected(table)}")
    if len(others) == len(measured):
        return Finding(leader, f"{runs}; {_no_baseline(table)}")
    if best.label != baseline:
        found = against_baseline(best, baseline, metric)
        link = "and" if is_better(best.difference, metric) else "but"
        link = f"; {there}it" if there else f", {link}"
        return Finding(f"{leader}{link} {found.claim.removesuffix(f' of {metric.title}')}", found.proof)
    return Finding(f"The baseline {leader}; {there}{_of_others(others, table)}", f"{runs}{_corrected(table)}")


def winner(table: ComparisonTable) -> str | None:
    """The group that the words above call better than every group it was held against; None where there is none."""
    verdicts = {row.label: is_better(row.difference, table.metric) for row in table.measured if row.difference}
    if table.controls or not verdicts:
        return None
    if len(table.measured) == 2:
        (label, better), *_ = verdicts.items()
        return {True: label, False: table.reference, None: None}[better]
    best = table.choice
    if best is not None and best.label == table.reference:
        others = [verdicts.get(row.label) for row in table.measured if row is not best]
        return best.label if all(better is False for better in others) else None
    return best.label if best is not None and verdicts.get(best.label) else None


def _spread(row: GroupRow, metric: Metric) -> str:
    found = row.metrics[metric.name]
    return f"{metric.mean_and_std(found.mean, found.std)}{metric.unit}"


def _runs(row: GroupRow, metric: Metric) -> str:
    runs, seeds = row.metrics[metric.name].n, len(row.values(metric.name))
    of = f" of {plural(seeds, 'seed')}" if seeds < runs else ""
    return f"n = {row.averaged_over(metric.name) or plural(runs, 'run') + of}"


def _corrected(table: ComparisonTable) -> str:
    return f"; p-values are corrected for {table.family} comparisons" if table.family > 1 else ""


def _of_others(others: Sequence[GroupRow], table: ComparisonTable) -> str:
    """What the group that differences are to, ``it``, is against each of the others."""
    metric = table.metric
    others = [row for row in others if not row.is_tested_elsewhere]
    if not others:
        return "no group was tested on its images"
    verdicts = [(row.label, is_better(row.difference, metric)) for row in others]
    equal = [row.label for row in others if row.difference and row.difference.conclusion == "equal"]
    worse = [label for label, better in verdicts if better is False]
    better = [label for label, better in verdicts if better]
    parts = [f"it beats {listed(worse, 3)}"] if worse else []
    parts += [f"it falls behind {listed(better, 3)}"] if better else []
    if equal and table.equivalence is not None:
        parts.append(f"it equals {listed(equal, 3)} within {metric.margin(table.equivalence)}")
    few = [row for row in others if row.difference is None or row.difference.conclusion == "too few pairs"]
    if unclear := len(others) - len(worse) - len(better) - len(equal) - len(few):
        groups = plural(unclear, "group") if parts else "no group" if unclear > 1 else "the other group"
        parts.append(f"{groups} {'can' if groups == 'no group' else 'cannot'} be told apart from it")
    if few:
        who = plural(len(few), "group") if parts or len(few) > 1 else "the other group"
        parts.append(f"{who} cannot be tested against it: fewer than {MIN_PAIRS} pairs of runs")
    return ", and ".join(parts)


def _without_choice(table: ComparisonTable, others: Sequence[GroupRow]) -> Finding:
    """What can be said where no group was chosen: how each stands to the baseline."""
    reason = table.not_ranked or "fewer than two can be ranked"
    nothing = f"No group was chosen among {len(table.measured)}: {reason}"
    if table.baseline is None:
        return Finding(nothing, "no baseline was chosen, so no difference was tested")
    if len(others) == len(table.measured):
        return Finding(nothing, _no_baseline(table))
    return Finding(f"{nothing}; of the baseline {table.baseline}: {_of_others(others, table)}")


def _of_controls(controls: Sequence[Control]) -> Finding:
    """What a control says as a whole: the worst that any of its groups says."""
    by_outcome = {outcome: [found for found in controls if found.outcome == outcome] for outcome in CONTROL_WORDS}
    worst = next(outcome for outcome, found in by_outcome.items() if found)
    labels = listed([found.label for found in by_outcome[worst]], 3)
    who = labels if len(by_outcome[worst]) == 1 else f"each of {labels}"
    verdict = {
        "above chance": "The control shows a leak",
        "at chance": "The control passes",
        "below chance": "The control is not at chance",
    }.get(worst, "The control shows nothing")
    first = by_outcome[worst][0]
    return Finding(f"{verdict}: {who} {CONTROL_WORDS[worst]}", f"{first.label}: {first.reason}")


def headline(table: ComparisonTable) -> str:
    """The result of the whole comparison in one plain sentence."""
    found = finding(table)
    return f"{found.claim} ({found.proof})." if found.proof else f"{found.claim}."


def _evidence(row: GroupRow, difference: PairedDifference, metric: Metric) -> str:
    """Interval, number of pairs and p-value of a difference, for other images too; the number alone of too few."""
    n = f"n = {difference.over or plural(difference.n, 'pair')}"
    if difference.n < MIN_PAIRS or not math.isfinite(difference.ci_low):
        return n

    def interval(low: float, high: float) -> str:
        if difference.conclusion == "smaller":  # the size of a lead or a lag, as in "by 1.2 points"
            low, high = -high, -low
            return metric.interval(low, high, signed=low < 0)
        return metric.interval(low, high, signed=difference.conclusion != "larger" or low < 0)

    said = f"95% interval {interval(difference.ci_low, difference.ci_high)}, {n}"
    if not (p_value := probability(difference.p)) or row.evidence is None:
        return f"{said}, {p_value}" if p_value else said
    said += f", {p_value}"
    if row.evidence.family > 1:
        said += f" corrected for {row.evidence.family} comparisons"
    if (images := row.evidence.over_images) is not None and math.isfinite(images.low):
        word = on_other_images(row, metric)
        said += f"; on other test images of this kind {interval(images.low, images.high)}, {word}"
    elif row.evidence.images_missing:
        said += "; what other test images would say is unknown"
    return said


def _no_baseline(table: ComparisonTable) -> str:
    own = [row for row in table.rows if row.label == table.baseline]
    return f"the baseline {table.baseline} has no result{_yet(table, own)}"


def _yet(table: ComparisonTable, rows: Sequence[GroupRow]) -> str:
    """Of groups without a result, whether one may still come: not where all failed, or saw a part of the data only."""
    return " yet" if table.n_not_begun or any(row.pending for row in rows) else ""


def _nothing_yet(table: ComparisonTable) -> Finding:
    if table.n_finished:
        return Finding(f"No finished job has a finite {table.metric.title}{_yet(table, table.rows)}")
    states = {
        "failed": len(table.failed),
        "not finished": table.n_unfinished,
        "unreadable": len(table.unreadable),
        "of a part of the data only": sum(len(row.partial) for row in table.rows),
    }
    of_a_part = any(row.partial for row in table.rows) and not _yet(table, table.rows)
    claim = f"No job has a result{' that counts' if of_a_part else _yet(table, table.rows)}"
    return Finding(claim, ", ".join(f"{n} {state}" for state, n in states.items() if n))
