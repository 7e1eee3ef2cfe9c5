"""Predicted against observed, as SVG: on the diagonal both are the same. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from scheduler.simulate.charts import WIDTH, Series
from scheduler.simulate.scales import Scale

_LEFT, _RIGHT, _TOP, _BOTTOM = 90.0, WIDTH - 24.0, 34.0, 420.0
_STEPS: Final = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
_DASHES: Final = ("", "7 3", "2 3")


def reliability(levels: Sequence[float], series: Sequence[Series], *, label: str, across: str, up: str) -> str:
    """At each of `levels` (of 1) a value (of 1) of each series. across, up: what the axes show."""
    x, y = Scale(0, 1, _LEFT, _RIGHT), Scale(0, 1, _BOTTOM, _TOP)
    parts = [f'<path class="edge" d="M{_LEFT} {_BOTTOM}L{_RIGHT} {_TOP}"/>']
    for step in _STEPS:
        parts.append(f'<path class="grid" d="M{x(step):.1f} {_TOP}V{_BOTTOM}M{_LEFT} {y(step):.1f}H{_RIGHT}"/>')
        parts.append(_word(x(step), _BOTTOM + 18, f"{100 * step:.0f} %"))
        parts.append(_word(_LEFT - 8, y(step) + 4, f"{100 * step:.0f} %", "end"))
    parts += [_word((_LEFT + _RIGHT) / 2, _BOTTOM + 40, across), _word(20, _TOP - 16, up, "start")]
    for index, each in enumerate(series):
        path = "L".join(f"{x(level):.1f} {y(value):.1f}" for level, value in zip(levels, each.values, strict=True))
        dash = f'stroke-dasharray="{_DASHES[index % len(_DASHES)]}"' if index % len(_DASHES) else ""
        parts.append(f'<path class="line c{index}" {dash} d="M{path}"/>')
    height = _BOTTOM + 52
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def _word(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
