"""What the names of metrics say by convention: unit, direction and words. No torch here, so that reports can ask.

A task knows the direction of its own metrics, and its word counts for more; this is for what callbacks, probes and
earlier versions logged under a name alone.
"""

from __future__ import annotations

from functools import lru_cache

ACCURACY = "test/acc"  # the share of right answers on the test split, as a task's ``accuracy`` is logged

_SHARES = {"acc", "accuracy", "top1", "top5", "f1", "precision", "recall", "auroc", "error", "error_rate"} | {
    "closed",
    "switching",
    "dead",  # of units
}
_DIFFERENCES = ("gap", "residual")
_LOWER_IS_BETTER = ("loss", "error", "ece", "brier", "nll", "mse", "mae", "rmse")
_WORDS = {"acc": "accuracy", "val": "validation", "train": "training"}
_ACRONYMS = {"nll": "NLL", "ece": "ECE", "mae": "MAE", "mse": "MSE", "rmse": "RMSE", "f1": "F1"}


@lru_cache(maxsize=2**12)
def in_words(name: str) -> str:
    """A metric's name in words.

    >>> in_words("test/macro_f1"), in_words("val/acc")
    ('test macro F1', 'validation accuracy')
    """
    words = name.replace("/", " ").replace("_", " ").split()
    return " ".join(_WORDS.get(word, _ACRONYMS.get(word, word)) for word in words)


def is_share(quantity: str) -> bool:
    """Whether values are shares of 1, from a name without its split.

    >>> is_share("acc"), is_share("macro_f1"), is_share("balanced_accuracy"), is_share("top3"), is_share("mae")
    (True, True, True, True, False)
    """
    last = quantity.rpartition("_")[2]
    return quantity in _SHARES or last in _SHARES - {"error"} or (last.startswith("top") and last[3:].isdigit())


def is_difference(quantity: str) -> bool:
    """Whether values are differences, which lie on both sides of 0, from a name without its split.

    >>> is_difference("gap"), is_difference("gap_scaled"), is_difference("loss")
    (True, True, False)
    """
    return quantity.startswith(_DIFFERENCES)


def is_accuracy(name: str) -> bool:
    """Whether a metric, named with its split, is the share of right answers on the test split, which guessing has too.

    >>> is_accuracy("test/acc"), is_accuracy("val/acc"), is_accuracy("test/balanced_accuracy")
    (True, False, False)
    """
    return name in ("test/acc", "test/accuracy", "test/top1")


def lower_is_better(quantity: str) -> bool:
    """Whether a smaller value is the better one, from a name without its split.

    >>> lower_is_better("val_loss"), lower_is_better("mae"), lower_is_better("acc")
    (True, True, False)
    """
    return quantity.startswith(_LOWER_IS_BETTER) or quantity.endswith(("_loss", "_error"))
