"""Learning-rate schedules over a whole run, each a closed formula of the step.

What is multiplied is each group's own rate, so that groups keep their ratio. Lengths are of the run: it is told to the
schedule in optimizer steps or in epochs, as it moves on by one or the other. Rejected: torch's `SequentialLR` of
`LinearLR` and others, which multiply the last rate again and again and so depend on how the steps were rounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from vision_baselines.errors import ConfigError


class Schedule(LRScheduler):
    """A schedule whose rate after each step is the optimizer's times a factor; a subclass says which.

    Args:
        optimizer: Whose rates it sets.
        total_steps: Length of the run, in what the schedule steps by; later steps stay at the end.
    """

    def __init__(self, optimizer: Optimizer, *, total_steps: int) -> None:
        self.total_steps = total_steps
        super().__init__(optimizer)

    def factor(self, step: float) -> float:
        """What the rates are multiplied by after `step` steps, from 0 to `total_steps`."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:  # type: ignore[override]
        """The rate of each group now."""
        factor = self.factor(min(self.last_epoch, self.total_steps))
        return [float(rate) * factor for rate in self.base_lrs]


class WarmupCosine(Schedule):
    """Up along a line, down along half a cosine.

    Source: Goyal et al. 2017, arXiv:1706.02677, section 2.2; Loshchilov & Hutter 2017, arXiv:1608.03983.

    Args:
        optimizer: See `Schedule`.
        total_steps: See `Schedule`.
        warmup: Length of the rise: a share of the run below 1, or a whole number of steps or epochs.
        start: Factor at the beginning of the rise.
        final: Factor at the end.

    Raises:
        ConfigError: An argument is out of its range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        total_steps: int,
        warmup: float = 0.05,
        start: float = 0.0,
        final: float = 0.0,
    ) -> None:
        self.warmup = length("warmup", warmup, total_steps)
        self.start, self.final = share("start", start), share("final", final)
        super().__init__(optimizer, total_steps=total_steps)

    def factor(self, step: float) -> float:
        """See `Schedule`."""
        if step < self.warmup:
            # the first step of all is not lost where the rise begins at 0
            return self.start + (1 - self.start) * (step + 1) / (self.warmup + 1)
        done = (step - self.warmup) / max(1, self.total_steps - self.warmup)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2


class Triangular(Schedule):
    """Up along a line to the optimizer's rate, and down along another.

    Args:
        optimizer: See `Schedule`.
        total_steps: See `Schedule`.
        peak: Where the rate is the optimizer's: a share of the run below 1, or a whole number of steps or epochs;
            0 begins there.
        start: Factor at the beginning.
        final: Factor at the end.

    Raises:
        ConfigError: An argument is out of its range.
    """

    def __init__(
        self, optimizer: Optimizer, *, total_steps: int, peak: float = 0.2, start: float = 0.2, final: float = 0.0
    ) -> None:
        self.peak = length("peak", peak, total_steps)
        self.start, self.final = share("start", start), share("final", final)
        super().__init__(optimizer, total_steps=total_steps)

    def factor(self, step: float) -> float:
        """See `Schedule`."""
        if step < self.peak:
            return self.start + (1 - self.start) * step / self.peak
        return 1 + (self.final - 1) * (step - self.peak) / max(1, self.total_steps - self.peak)


class Exponential(Schedule):
    """The same factor after each step, such that the last rate is `final` times the first.

    Args:
        optimizer: See `Schedule`.
        total_steps: See `Schedule`.
        final: Factor at the end, above 0.

    Raises:
        ConfigError: It is out of its range.
    """

    def __init__(self, optimizer: Optimizer, *, total_steps: int, final: float = 0.01) -> None:
        self.final = share("final", final)
        if self.final == 0:
            raise ConfigError("scheduler.schedule.final is 0; expected a number above 0 and up to 1")
        super().__init__(optimizer, total_steps=total_steps)

    def factor(self, step: float) -> float:
        """See `Schedule`."""
        return float(self.final ** (step / max(1, self.total_steps)))


class Step(Schedule):
    """The rate times `gamma` at equal distances.

    Args:
        optimizer: See `Schedule`.
        total_steps: See `Schedule`.
        every: Between two drops: a share of the run below 1, or a whole number of steps or epochs.
        gamma: What the rate is multiplied by.

    Raises:
        ConfigError: An argument is out of its range.
    """

    def __init__(self, optimizer: Optimizer, *, total_steps: int, every: float = 1 / 3, gamma: float = 0.1) -> None:
        if every == 0:
            raise ConfigError("scheduler.schedule.every is 0; expected a share of the run above 0, or a whole number")
        self.every = max(1, length("every", every, total_steps))
        self.gamma = share("gamma", gamma)
        super().__init__(optimizer, total_steps=total_steps)

    def factor(self, step: float) -> float:
        """See `Schedule`."""
        return float(self.gamma ** int(step // self.every))


class MultiStep(Schedule):
    """The rate times `gamma` at each of some places.

    Args:
        optimizer: See `Schedule`.
        total_steps: See `Schedule`.
        at: Where: shares of the run below 1, or whole numbers of steps or epochs.
        gamma: What the rate is multiplied by.

    Raises:
        ConfigError: An argument is out of its range.
    """

    def __init__(
        self, optimizer: Optimizer, *, total_steps: int, at: Sequence[float] = (0.5, 0.75), gamma: float = 0.1
    ) -> None:
        if not isinstance(at, list | tuple) or not at:
            raise ConfigError(f"scheduler.schedule.at is {at!r}; expected a list, such as [0.5,0.75] or [30,60]")
        self.at = [length("at", place, total_steps) for place in at]
        self.gamma = share("gamma", gamma)
        super().__init__(optimizer, total_steps=total_steps)

    def factor(self, step: float) -> float:
        """See `Schedule`."""
        return float(self.gamma ** sum(step >= place for place in self.at))


def length(key: str, value: float, total: int) -> int:
    """A length in steps or epochs, from a share of the run below 1 or a whole number.

    Raises:
        ConfigError: It is neither.

    >>> length("warmup", 0.1, 50), length("warmup", 3, 50)
    (5, 3)
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and 0 <= value < 1:
        return round(value * total)
    if is_number and value >= 1 and value == int(value):
        return int(value)
    raise ConfigError(
        f"scheduler.schedule.{key} is {value!r}; expected a share of the run, from 0 and below 1, "
        "or a whole number of what the schedule moves on by"
    )


def share(key: str, value: float) -> float:
    """A number from 0 to 1.

    Raises:
        ConfigError: It is another.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"scheduler.schedule.{key} is {value!r}; expected a number from 0 to 1")
    return float(value)
