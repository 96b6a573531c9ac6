"""Pictures are prepared and answered as in the run's own test; several runs are their mean."""

from __future__ import annotations

import numpy as np

import vision_baselines as vb

HALF = 2**-11  # a float16's largest relative error


def test_pictures_of_the_test_split_are_answered_as_in_the_test(sweep, digits):
    run = vb.load_run(sweep / "seed=0")
    kept, found = run.predictions(), run.predict(digits)

    assert found.labels == [run.class_names[index] for index in kept.predicted[:40]]
    np.testing.assert_allclose(found.probabilities, kept.probabilities[:40], rtol=HALF, atol=1e-7)
    assert found.files == [str(digits / f"{index:04}.png") for index in range(40)]
    assert found.disagreement is None


def test_an_ensemble_is_the_mean_and_says_how_far_its_members_disagree(sweep, digits):
    each = [vb.load_run(sweep / f"seed={seed}").predict(digits) for seed in (0, 1)]
    found = vb.predict(sweep, digits)

    np.testing.assert_allclose(found.probabilities, (each[0].probabilities + each[1].probabilities) / 2, rtol=1e-6)
    votes = [[a == label, b == label] for a, b, label in zip(each[0].labels, each[1].labels, found.labels, strict=True)]
    assert found.disagreement.agreement.tolist() == np.mean(votes, axis=1).tolist()
    winners = found.probabilities.argmax(axis=1)
    pair = np.stack([one.probabilities[range(40), winners] for one in each])
    np.testing.assert_allclose(found.disagreement.spread, abs(pair[0] - pair[1]) / np.sqrt(2), atol=1e-6)
    assert [name.rpartition("/")[2] for name in found.disagreement.runs] == ["seed=0", "seed=1"]
    assert 0 <= found.disagreement.divergence.min() <= found.disagreement.divergence.max() <= 1
