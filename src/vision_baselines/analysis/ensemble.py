"""How far the members of an ensemble disagree about each of N pictures; every function takes probabilities (M, N, C).

Source: Lakshminarayanan, Pritzel & Blundell 2017, Simple and Scalable Predictive Uncertainty Estimation using Deep
Ensembles, arXiv:1612.01474: the mean of the members' probabilities is the prediction, and their divergence from it the
disagreement (section 2.4, 3.5).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.floating[Any]]


def mean_probabilities(members: Shares) -> Shares:
    """The ensemble's probabilities (N, C): the mean over its members."""
    mean: Shares = members.mean(axis=0)
    return mean


def agreement(members: Shares) -> NDArray[np.float64]:
    """Share of the members whose likeliest class is the ensemble's, (N,): from 0 to 1.

    It may be 0: two members that put 0.6 on a class each, and 0.4 on one that both share, have that one for their mean.

    >>> agreement(np.array([[[0.9, 0.1]], [[0.8, 0.2]], [[0.4, 0.6]]])).round(3)
    array([0.667])
    """
    winner = mean_probabilities(members).argmax(axis=1)
    return np.asarray((members.argmax(axis=2) == winner).mean(axis=0), dtype=np.float64)


def spread(members: Shares) -> NDArray[np.float64]:
    """Standard deviation over members (M - 1 in the denominator) of the probability of the ensemble's class, (N,).

    >>> spread(np.array([[[0.9, 0.1]], [[0.7, 0.3]]])).round(4)
    array([0.1414])
    """
    winner = mean_probabilities(members).argmax(axis=1)
    shares = np.take_along_axis(members, winner[None, :, None], axis=2)[..., 0].astype(np.float64)
    return np.asarray(shares.std(axis=0, ddof=1) if len(members) > 1 else np.zeros(len(winner)))


def divergence(members: Shares) -> NDArray[np.float64]:
    """Jensen–Shannon divergence of the members' probabilities, (N,), in bits: from 0 to log2 of their number.

    It is the mean Kullback–Leibler divergence of a member from the ensemble, or the entropy of the ensemble less the
    mean entropy of its members.

    Source: Lin 1991, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37.

    >>> divergence(np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]]))
    array([1., 0.])
    """
    exact = members.astype(np.float64)
    excess: NDArray[np.float64] = _entropy(exact.mean(axis=0)) - _entropy(exact).mean(axis=0)
    return excess.clip(min=0.0)


def _entropy(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """In bits, over the last axis."""
    logarithms = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(-(shares * logarithms).sum(axis=-1) + 0.0)
