"""Ranks of misclassified images against a count by hand, for any answers of any number of runs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_baselines.analysis.mistakes import NONE, class_mistakes, disagreements, mistaken, worth_keeping


@st.composite
def answers(draw, runs=None):
    """Targets (N,), predicted (S, N) and confidence (S, N) with many ties."""
    n, s, classes = draw(st.integers(1, 12)), runs or draw(st.integers(1, 4)), draw(st.integers(1, 4))
    labels = st.integers(0, classes - 1)
    targets = np.array(draw(st.lists(labels, min_size=n, max_size=n)))
    predicted = np.array(draw(st.lists(st.lists(labels, min_size=n, max_size=n), min_size=s, max_size=s)))
    shares = st.sampled_from([0.25, 0.5, 1.0])
    confidence = np.array(draw(st.lists(st.lists(shares, min_size=n, max_size=n), min_size=s, max_size=s)))
    return targets, predicted, confidence


@settings(max_examples=25, deadline=None)
@given(answers())
def test_every_image_is_counted_named_and_ranked_as_by_hand(made):
    targets, predicted, confidence = made
    found = mistaken(targets, predicted, confidence)
    scores = {}
    for place, target in enumerate(targets.tolist()):
        wrong = [run for run in range(len(predicted)) if predicted[run, place] != target]
        assert found.wrong[place] == len(wrong)
        assert found.always[place] == (len(wrong) == len(predicted))
        if not wrong:
            assert found.answers[place] == NONE
            assert found.confidence[place] == 0
            continue
        assert found.answers[place] == Counter(predicted[wrong, place].tolist()).most_common(1)[0][0]
        assert found.confidence[place] == pytest.approx(confidence[wrong, place].mean())
        scores[place] = confidence[wrong, place].sum() / len(predicted)
    ranked = found.ranked().tolist()
    assert sorted(ranked) == sorted(scores)
    assert [scores[place] for place in ranked] == pytest.approx(sorted(scores.values(), reverse=True))


@settings(max_examples=25, deadline=None)
@given(answers())
def test_without_probabilities_the_share_of_runs_ranks_and_equals_keep_their_order(made):
    targets, predicted, _ = made
    found = mistaken(targets, predicted, None)
    ranked = found.ranked().tolist()
    assert ranked == sorted(np.flatnonzero(found.wrong), key=lambda place: (-found.wrong[place], place))
    assert np.isnan(found.confidence[ranked]).all()


@settings(max_examples=25, deadline=None)
@given(answers(), st.data())
def test_two_groups_disagree_where_the_shares_of_their_runs_differ(made, data):
    targets, predicted, confidence = made
    run = st.lists(st.integers(0, 3), min_size=len(targets), max_size=len(targets))
    other = np.array(data.draw(st.lists(run, min_size=1, max_size=3)))
    one, two = mistaken(targets, predicted, confidence), mistaken(targets, other, None)
    gaps = (predicted != targets).mean(axis=0) - (other != targets).mean(axis=0)
    there, back = disagreements(two, one).tolist(), disagreements(one, two).tolist()

    assert sorted(there) == np.flatnonzero(gaps > 0).tolist()
    assert sorted(back) == np.flatnonzero(gaps < 0).tolist()
    assert gaps[there].tolist() == sorted(gaps[there].tolist(), reverse=True)


@settings(max_examples=25, deadline=None)
@given(answers())
def test_mistakes_by_class_add_up_to_all_mistakes(made):
    targets, predicted, _ = made
    found = class_mistakes(targets, predicted)
    assert sum(one.wrong for one in found) * len(predicted) == pytest.approx((predicted != targets).sum())
    assert {one.label: one.images for one in found} == Counter(targets.tolist())
    assert [one.share for one in found] == sorted((one.share for one in found), reverse=True)
    for one in found:
        named = predicted[:, targets == one.label].ravel()
        others = Counter(named[named != one.label].tolist())
        assert others[one.taken_for] == max(others.values(), default=0)
        assert (one.taken_for == NONE) == (not others)


@settings(max_examples=25, deadline=None)
@given(answers(), st.integers(0, 8), st.integers(0, 3))
def test_what_is_kept_are_the_first_and_then_every_class_in_turn(made, most, first):
    targets, predicted, confidence = made
    order = mistaken(targets, predicted, confidence).ranked()
    kept = worth_keeping(order, targets, most, first).tolist()

    assert len(kept) == len(set(kept)) == min(most, len(order))
    assert kept[:first] == order.tolist()[: min(first, most)]
    rest = [targets[place] for place in order[first:].tolist()]
    taken = Counter(targets[place] for place in kept[first:])
    rounds = max(taken.values(), default=0)
    assert all(taken[label] >= min(rounds - 1, rest.count(label)) for label in set(rest))
