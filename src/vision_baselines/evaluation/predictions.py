"""What trained nets say of pictures, as arrays, and as JSON and tables can hold it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vision_baselines.data.picture_layout import printable

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Disagreement:
    """How far M members of an ensemble disagree about N pictures; `analysis.ensemble` says what the numbers are.

    Attributes:
        runs: Name of each member.
        labels: (N, M), index of the class that each member finds likeliest.
        agreement: (N,), share of the members whose likeliest class is the ensemble's.
        spread: (N,), standard deviation over members of the probability of the ensemble's class.
        divergence: (N,), Jensen–Shannon divergence of the members, in bits.
    """

    runs: list[str]
    labels: NDArray[np.int64]
    agreement: NDArray[np.float64]
    spread: NDArray[np.float64]
    divergence: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a net, or the mean of several, says of N pictures.

    Attributes:
        labels: The likeliest class's name for each picture.
        probabilities: (N, num_classes), float32; rows sum to 1.
        class_names: Name of each column.
        files: The picture's file for each row; None where arrays were given.
        disagreement: Of the members, where there are several.
    """

    labels: list[str]
    probabilities: NDArray[np.float32]
    class_names: list[str]
    files: list[str] | None = None
    disagreement: Disagreement | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to_frame(self) -> pd.DataFrame:
        """One row a picture: its label and the probability of each class; the files are the index."""
        import pandas as pd

        frame = pd.DataFrame(self.probabilities, columns=self.class_names, index=self.files)
        frame.insert(0, "label", self.labels, allow_duplicates=True)  # a class may be called so
        return frame

    def likeliest(self, row: int, count: int) -> list[tuple[str, float]]:
        """The likeliest classes of a picture and their probabilities, the likeliest first."""
        order = np.argsort(-self.probabilities[row], kind="stable")[:count]
        return [(self.class_names[index], float(self.probabilities[row, index])) for index in order]


def flat_frame(found: Predictions) -> pd.DataFrame:
    """One row a picture, as a CSV file has it: file, label, its probability, disagreement, and ``p(class)`` of each."""
    import pandas as pd

    columns: dict[str, Any] = {"file": found.files or list(range(len(found))), "label": found.labels}
    columns["probability"] = found.probabilities.max(axis=1) if len(found) else []
    if (members := found.disagreement) is not None:
        columns |= {name: getattr(members, name) for name in ("agreement", "spread", "divergence")}
    facts = pd.DataFrame(columns)
    shares = pd.DataFrame(found.probabilities, columns=[f"p({name})" for name in found.class_names])
    return pd.concat([facts, shares], axis=1)


def as_json(found: Predictions, runs: Sequence[dict[str, Any]], faults: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """All of it as JSON can hold it.

    Args:
        found: The predictions.
        runs: What is to be said of each run.
        faults: Files that were not read, and why.
    """
    members = found.disagreement
    pictures = []
    for row, label in enumerate(found.labels):
        shares = [_digits(value) for value in found.probabilities[row]]
        facts: dict[str, Any] = {"file": _text(found.files[row]) if found.files else row, "label": label}
        facts["probability"] = max(shares)
        if members is not None:
            facts |= {name: _digits(getattr(members, name)[row]) for name in ("agreement", "spread", "divergence")}
            facts["members"] = [found.class_names[index] for index in members.labels[row]]
        pictures.append({**facts, "probabilities": shares})
    return {
        "runs": list(runs),
        "class_names": found.class_names,
        "pictures": pictures,
        "not_read": [{"file": place, "reason": reason} for place, reason in faults],
    }


def _text(name: str) -> str:
    """A file's name as every reader of JSON takes it: one that is not UTF-8 has its bytes spelled out."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return printable(name)
    return name


def _digits(value: Any) -> float:
    """A share to seven decimals, which is what a float32 near 1 holds."""
    return round(float(value), 7)
