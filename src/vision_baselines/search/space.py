"""What is searched: Hydra's overrides, sorted into fixed ones and parameters with a range or a list of choices.

Hydra's own words are read by its own parser: ``a,b``, ``choice``, ``range``, ``interval``, ``glob``, ``int(…)`` and
``tag(log, …)``. What a sampler cannot express is refused before anything is spent. A choice is known to Optuna by its
text in the override, since lists and mappings are no values of Optuna's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from vision_baselines.errors import ConfigError
from vision_baselines.runs.fingerprint import AXES_OF_CHANCE, is_irrelevant, key_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = str | int | float
_DIGITS = 4  # of a value that is drawn from an interval: it stands in folders' names and on the page


@dataclass(frozen=True)
class Parameter:
    """One key that is searched, as it stands before ``=`` in an override.

    Either `choices` has texts, or `low` and `high` (both included) are numbers, with a `step` or on a logarithmic
    scale.
    """

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    step: float | None = None
    is_log: bool = False
    is_whole: bool = False

    def distribution(self) -> BaseDistribution:
        """The same for Optuna."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution(self.choices)
        if self.is_whole:
            return IntDistribution(int(self.low), int(self.high), log=self.is_log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.is_log, step=self.step)

    def rounded(self, value: Value) -> Value:
        """A drawn value with as many digits as are worth reading, inside of the bounds.

        >>> Parameter("lr", low=1e-4, high=0.1, is_log=True).rounded(0.0031622776)
        0.003162
        >>> Parameter("p", low=0.2, high=0.25).rounded(0.21234567)
        0.212346
        """
        if self.choices or self.is_whole or isinstance(value, str) or value == 0:
            return value
        if self.step is not None:
            return _decimal(value)
        scale = abs(value) if self.is_log else self.high - self.low
        digits = _DIGITS - 1 - math.floor(math.log10(scale)) + (0 if self.is_log else 1)
        return min(max(round(value, digits), self.low), self.high)

    def grid(self) -> list[Value]:
        """Every value.

        Raises:
            ConfigError: It is an interval, which has no end of them.
        """
        if self.choices:
            return list(self.choices)
        step = 1 if self.is_whole and self.step is None and not self.is_log else self.step
        if step is None:
            raise ConfigError(
                f"search.sampler=grid tries every value, and {self.key} is an interval; expected a list or a range"
            )
        count = round((self.high - self.low) / step) + 1
        found = [self.low + place * step for place in range(count)]
        return [int(value) for value in found] if self.is_whole else [_decimal(value) for value in found]

    def override(self, value: Value) -> str:
        """The override that sets it."""
        return f"{self.key}={value if self.choices or self.is_whole else repr(float(value))}"

    def described(self) -> str:
        """Its range in words, the same for the same range.

        >>> Parameter("lr", low=1e-4, high=0.1, is_log=True).described()
        '0.0001 to 0.1, log'
        """
        if self.choices:
            return " | ".join(self.choices)
        step = f" in steps of {self.step:g}" if self.step is not None and not (self.is_whole and self.step == 1) else ""
        return f"{self.low:.10g} to {self.high:.10g}{step}{', log' * self.is_log}{', whole' * self.is_whole}"


@dataclass(frozen=True)
class Space:
    """What all trials share, and what sets them apart, in the order that was typed."""

    fixed: tuple[str, ...]
    parameters: tuple[Parameter, ...]

    def overrides(self, values: Mapping[str, Value]) -> list[str]:
        """The overrides of a trial, without its seed."""
        return [*self.fixed, *(one.override(values[one.key]) for one in self.parameters)]

    def settings(self, values: Mapping[str, Value]) -> str:
        """A trial's values for a person."""
        return ", ".join(one.override(values[one.key]) for one in self.parameters)

    def identity(self) -> dict[str, Any]:
        """What makes it the same search: ranges, and of the fixed overrides those that can change a result."""
        return {
            "parameters": {one.key: one.described() for one in sorted(self.parameters, key=lambda one: one.key)},
            "fixed": sorted(text for text in self.fixed if not is_irrelevant(key_of(text))),
        }


def space_of(overrides: Sequence[Override]) -> Space:
    """The space that a command line spans.

    Args:
        overrides: As Hydra's parser read them.

    Raises:
        ConfigError: A key cannot be searched, or a range is none that a sampler knows.
    """
    fixed: list[str] = []
    parameters: list[Parameter] = []
    for override in overrides:
        key = override.get_key_element()
        if key_of(key) == "seed":
            raise ConfigError("seed=… is chosen by the search: each trial is the mean over search.seeds, such as 3")
        if not override.is_sweep_override():
            fixed.append(override.input_line or "")
            continue
        _require_searchable(key)
        found = _parameter(key, override)
        if isinstance(found, Parameter):
            parameters.append(found)
        else:
            fixed.append(found)
    _require_once([key_of(text) for text in (*fixed, *(one.key for one in parameters))], parameters)
    if not parameters:
        raise ConfigError(
            "hydra/sweeper=search has nothing to search; give a key a range or a list, such as "
            "'optimizer.lr=tag(log,interval(1e-4,1e-1))' or model=cnn,fc"
        )
    return Space(tuple(fixed), tuple(parameters))


def _require_searchable(key: str) -> None:
    plain = key_of(key)
    if plain in AXES_OF_CHANCE:
        raise ConfigError(f"{plain} is a matter of chance and no setting to search for; give it one value")
    if is_irrelevant(plain):
        raise ConfigError(
            f"{plain} has several values and changes no result; a search as a whole has one, so give it one"
        )
    if key.startswith("~"):
        raise ConfigError(f"{key} removes a key, which cannot be searched")


def _require_once(keys: Sequence[str], parameters: Iterable[Parameter]) -> None:
    for one in parameters:
        if keys.count(key_of(one.key)) > 1:
            raise ConfigError(f"{key_of(one.key)} is given twice, and one of them is searched; give it once")


def _parameter(key: str, override: Override) -> Parameter | str:
    """What is searched, or a fixed override where there is one value alone.

    Raises:
        ConfigError: See `space_of`.
    """
    given = f"{override.input_line}"
    value = override.value()
    tags = set(getattr(value, "tags", ()))
    if unknown := tags - {"log"}:
        raise ConfigError(f"{given}: the tag {sorted(unknown)[0]} says nothing to a sampler; expected tag(log, …)")
    if isinstance(value, IntervalSweep):
        return _interval(key, value, given, is_log="log" in tags)
    if isinstance(value, RangeSweep):
        return _range(key, value, given, is_log="log" in tags)
    if tags:
        raise ConfigError(f"{given}: tag(log, …) is for an interval or a range; the values of a list have no order")
    try:
        choices = tuple(dict.fromkeys(override.sweep_string_iterator()))
    except HydraException as error:
        raise ConfigError(f"{given}: {error}") from error
    if not choices:
        raise ConfigError(f"{given} has no value; nothing could be chosen")
    return Parameter(key, choices=choices) if len(choices) > 1 else f"{key}={choices[0]}"


def _interval(key: str, value: IntervalSweep, given: str, *, is_log: bool) -> Parameter | str:
    low, high = value.start, value.end
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise ConfigError(f"{given}: expected an interval between two numbers, the smaller first")
    _require_positive(low, given, is_log=is_log)
    is_whole = isinstance(low, int) and isinstance(high, int)
    found = Parameter(key, low=low, high=high, is_log=is_log, is_whole=is_whole)
    return found if low < high else found.override(low)


def _range(key: str, value: RangeSweep, given: str, *, is_log: bool) -> Parameter | str:
    bounds = (value.start, value.stop, value.step)
    if any(bound is None or not math.isfinite(bound) for bound in bounds) or value.step == 0:
        raise ConfigError(f"{given}: expected a range between two numbers, in steps that are not 0")
    if abs((bounds[1] - bounds[0]) / bounds[2]) > 1e6:  # type: ignore[operator]
        raise ConfigError(f"{given} has more than a million values; expected an interval")
    found = sorted(_decimal(one) for one in value.range())
    if not found:
        raise ConfigError(f"{given} has no value; nothing could be chosen")
    is_whole = all(isinstance(one, int) for one in found)
    if len(found) == 1:
        return Parameter(key, is_whole=is_whole).override(found[0])
    step = abs(value.step)
    _require_positive(found[0], given, is_log=is_log)
    if is_log and not (is_whole and step == 1):
        raise ConfigError(
            f"{given}: a logarithmic range has no step; expected tag(log,interval(…)) or whole steps of 1"
        )
    return Parameter(key, low=found[0], high=found[-1], step=None if is_log else step, is_log=is_log, is_whole=is_whole)


def _decimal(value: float) -> float:
    """Without the last bits that adding steps leaves behind; a whole number as it is."""
    return value if isinstance(value, int) else float(f"{value:.12g}")


def _require_positive(low: float, given: str, *, is_log: bool) -> None:
    if is_log and low <= 0:
        raise ConfigError(f"{given}: a logarithmic scale starts above 0, and this starts at {low:g}")
