"""How good predictions were, once it is known what happened. Pure.

- coverage of p50 and p90: the part of the predicted jobs that had started by then; the aim is the level itself;
- pinball loss of level q, with x what happened and p what was predicted: q·(x − p) if x ≥ p, else (1 − q)·(p − x); mean
  in seconds. Of all that could be said, the true quantile has the least (Koenker & Bassett 1978);
- reliability: for each level, in what part of the cases what happened was within it;
- without p50 or p90 (not within the horizon) a prediction counts in `beyond`, and nowhere else for that level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from scheduler.core.forecast import at_level
from scheduler.simulate.forecasting import Prediction
from scheduler.simulate.metrics import mean, percentile

LEVELS: Final = tuple(round(0.05 * step, 2) for step in range(1, 20))
HORIZONS_S: Final = (600, 3600, 6 * 3600, 86_400)
"""Bounds of the groups by predicted time to the start (p50)."""


@dataclass(frozen=True, slots=True)
class Level:
    """Of one level, where something was predicted. Names and units as in the JSON."""

    predicted: int
    beyond: int
    coverage: float
    error_median_s: float
    pinball_s: float


@dataclass(frozen=True, slots=True)
class Group:
    """Of predictions of a kind. until_s: predicted to start in less than this; None: longer, or all."""

    name: str
    until_s: int | None
    p50: Level
    p90: Level


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of one way of predicting. reliability: observed part at each of LEVELS."""

    jobs: int
    all: Group
    new: Group
    """Asked at the moment of their submission."""
    horizons: Sequence[Group]
    reliability: Sequence[float]


def calibrated(predictions: Sequence[Prediction], starts: Sequence[int]) -> Calibration:
    """starts: what happened, by number; predictions: at least one."""
    told = [each for each in predictions if at_level(each.starts_s, 0.5) is not None]
    bounds = [0, *HORIZONS_S, 1 << 62]
    horizons = []
    for low, high in pairwise(bounds):
        within = [each for each in told if low <= (at_level(each.starts_s, 0.5) or 0) - each.asked_s < high]
        if within:
            horizons.append(_group(f"{low}", high if high < 1 << 62 else None, within, starts))
    ranks = [_rank(each, starts[each.number]) for each in predictions]
    return Calibration(
        jobs=len({each.number for each in predictions}),
        all=_group("all", None, predictions, starts),
        new=_group("new", None, [each for each in predictions if each.is_new], starts),
        horizons=horizons,
        reliability=[sum(rank <= level for rank in ranks) / len(ranks) for level in LEVELS],
    )


def _group(name: str, until_s: int | None, predictions: Sequence[Prediction], starts: Sequence[int]) -> Group:
    return Group(name, until_s, _level(0.5, predictions, starts), _level(0.9, predictions, starts))


def _level(level: float, predictions: Sequence[Prediction], starts: Sequence[int]) -> Level:
    pairs = [(at_level(each.starts_s, level), starts[each.number]) for each in predictions]
    known = [(told, real) for told, real in pairs if told is not None]
    losses = [level * (real - told) if real >= told else (1 - level) * (told - real) for told, real in known]
    return Level(
        predicted=len(known),
        beyond=len(pairs) - len(known),
        coverage=mean([real <= told for told, real in known]),
        error_median_s=percentile([abs(real - told) for told, real in known], 50),
        pinball_s=mean(losses),
    )


def _rank(prediction: Prediction, real_s: int) -> float:
    """Where what happened stands among the futures: 0 before all, 1 behind all, in the middle of equal ones."""
    before = sum(each < real_s for each in prediction.starts_s)
    same = sum(each == real_s for each in prediction.starts_s)
    return (before + 0.5 * same) / len(prediction.starts_s)
