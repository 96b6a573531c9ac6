"""What a preview shows of nets and data, in a module that imports no torch."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from vision_baselines.errors import VisionBaselinesError


@dataclass(frozen=True)
class Sizes:
    """What was found, in the order asked for.

    Attributes:
        parameters: Of each net.
        lengths: Training images of each data set; None if it would have to be fetched first.
        refusal: Why one cannot be built, as its run would say; what comes after it was not looked at.
        said: Log records on the way.
    """

    parameters: list[int] = field(default_factory=list)
    lengths: list[int | None] = field(default_factory=list)
    refusal: VisionBaselinesError | None = None
    said: list[logging.LogRecord] = field(default_factory=list)
