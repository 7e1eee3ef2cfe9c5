"""Counts of a circuit as bars: pure geometry for an inline SVG, with the same figures as a table beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WIDTH, BAR_HEIGHT, GAP, LABEL_WIDTH, FIGURE_WIDTH = 640, 22, 8, 120, 130
MOST_BARS = 32
MOST_LABEL = 14


@dataclass(frozen=True, slots=True)
class Bar:
    """One outcome. y, width: in the SVG's units; share: of all shots."""

    outcome: str
    count: int
    share: float
    y: int
    width: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """The most frequent outcomes; rest: shots of the others."""

    bars: tuple[Bar, ...]
    total: int
    rest: int
    outcomes: int

    @property
    def height(self) -> int:
        """Of the whole picture."""
        return len(self.bars) * (BAR_HEIGHT + GAP) + GAP


def histogram(counts: Mapping[Any, Any]) -> Histogram | None:
    """Bars for the counts, by outcome; None when they are no counts."""
    sound = {str(outcome): count for outcome, count in counts.items() if type(count) is int and count >= 0}
    total = sum(sound.values())
    if not sound or len(sound) != len(counts) or not total:
        return None
    shown = sorted(sorted(sound, key=lambda outcome: (-sound[outcome], outcome))[:MOST_BARS])
    most = max(sound.values())
    room = WIDTH - LABEL_WIDTH - FIGURE_WIDTH
    bars = tuple(
        Bar(
            outcome=outcome,
            count=sound[outcome],
            share=sound[outcome] / total,
            y=GAP + i * (BAR_HEIGHT + GAP),
            width=round(room * sound[outcome] / most, 1),
        )
        for i, outcome in enumerate(shown)
    )
    return Histogram(bars=bars, total=total, rest=total - sum(bar.count for bar in bars), outcomes=len(sound))
