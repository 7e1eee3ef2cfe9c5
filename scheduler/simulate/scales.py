"""Axes: where a value stands on a picture, and which values are written beside it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.simulate.words import Words

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_FINE = (2, 5, 20, 30, 120, 300, 1200, 1800, 2 * _HOUR, 3 * _HOUR, 12 * _HOUR, 2 * _DAY, 3 * _DAY, 14 * _DAY, 60 * _DAY)
_FEW = 4
_DURATIONS = (1, 10, _MINUTE, 10 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 7 * _DAY, 30 * _DAY, 100 * _DAY, 1000 * _DAY)


@dataclass(frozen=True, slots=True)
class Scale:
    """From values low … high to pixels start … end. is_log: by ratio; low is then above 0."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.is_log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return self.start + (at - low) / ((high - low) or 1) * (self.end - self.start)


def round_steps(high: float, about: int = 4) -> list[float]:
    """0 and some round numbers up to at least `high`."""
    if high <= 0:
        return [0, 1]
    rough = high / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    return [step * index for index in range(math.ceil(high / step - 1e-9) + 1)]


def duration_steps(values: Sequence[float]) -> list[int]:
    """Round durations around all these, in seconds."""
    least, most = max(1.0, min(values)), max(1.0, *values)
    below = max((step for step in _DURATIONS if step <= least), default=1)
    above = min((step for step in _DURATIONS if step >= most), default=_DURATIONS[-1])
    if above <= below:
        above = next((step for step in _DURATIONS if step > below), 10 * below)
    steps = [step for step in _DURATIONS if below <= step <= above]
    if len(steps) < _FEW and least < most:
        steps = sorted([*steps, *(step for step in _FINE if below < step < above)])
        return _around(steps, least, most)
    return steps


def _around(steps: Sequence[int], least: float, most: float) -> list[int]:
    """No more of them than are needed."""
    low = max(index for index, step in enumerate(steps) if step <= least)
    high = min(index for index, step in enumerate(steps) if step >= most)
    return list(steps[low : high + 1])


def duration(value: float, words: Words) -> str:
    """'5.2 d', '12 min': with as many places as one wants to see."""
    for unit, name in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if value >= unit:
            return words.text(f"unit.{name}", number=number(value / unit))
    return words.text("unit.second", number=number(value))


def number(value: float) -> str:
    """Three figures where there are fractions, with thousands separated."""
    if value >= 100 or value == int(value):  # noqa: PLR2004
        return f"{value:,.0f}"
    return f"{value:.3g}"
