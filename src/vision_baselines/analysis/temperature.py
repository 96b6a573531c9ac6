"""Temperature scaling: one number, by which logits are divided, that makes a net as sure as it is right.

It is the one with the smallest negative log-likelihood (NLL) on images that are not tested on; no answer changes. The
NLL is convex in the inverse temperature, so its derivative has one root, if any.

Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax

Logits = NDArray[np.float64]
Labels = NDArray[np.int64]

LARGEST: Final = 100.0
"""A temperature beyond it, or below its inverse, is no better than none."""


def nll(logits: Logits, target: Labels, temperature: float = 1.0) -> float:
    """Mean negative log-likelihood of labels (N,) under logits (N, C) divided by a temperature, in nats.

    >>> round(nll(np.array([[0.0, 0.0]]), np.array([1])), 4)
    0.6931
    """
    return float(-log_softmax(logits / temperature, axis=1)[np.arange(len(target)), target].mean())


def fitted_temperature(logits: Logits, target: Labels) -> tuple[float | None, str]:
    """The temperature with the smallest NLL, or None and why there is none between 1/100 and 100.

    Args:
        logits: Float64 (N, C).
        target: Labels (N,).

    >>> logits = np.log(np.array([[0.9, 0.1]] * 4))
    >>> found, _ = fitted_temperature(logits, np.array([0, 0, 0, 1]))
    >>> round(found, 4), (logits[0] / found).round(4).tolist(), np.log([0.75, 0.25]).round(4).tolist()
    (2.0, [-0.0527, -1.1513], [-0.2877, -1.3863])
    """
    if not np.isfinite(logits).all():
        return None, "outputs are not finite"
    own = logits[np.arange(len(target)), target]
    if (own >= logits.max(axis=1)).all():
        return None, "every validation image is classified rightly, so the surer the better"

    def slope(log_inverse: float) -> float:
        """The derivative of the NLL by the inverse temperature."""
        shares = softmax(np.exp(log_inverse) * logits, axis=1)
        return float(((shares * logits).sum(axis=1) - own).mean())

    end = np.log(LARGEST)
    if slope(-end) >= 0:
        return None, "on validation the net does no better than guessing, so the less sure the better"
    if slope(end) <= 0:
        return None, f"it would be below 1/{LARGEST:g}"
    return float(np.exp(-brentq(slope, -end, end, xtol=1e-10))), ""
