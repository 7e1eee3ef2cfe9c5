"""Counts as a picture: SVG written by hand, PNG through matplotlib where there is one."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any
from xml.sax.saxutils import escape

from kyoyo.errors import UsageError

MOST = 64
"""Bars of one panel; the rarest outcomes beyond are summed up in a last one."""
_BAR, _HEIGHT, _TOP, _LEFT, _RIGHT = 26, 220, 48, 64, 24
_LETTER = 7
"""Width of a letter of a label, in pixels."""
_INK, _FILL, _GRID = "#1a1a1a", "#0a4fa3", "#d0d0d0"
_FONT = "font-family:'Hiragino Sans','Noto Sans JP',sans-serif"
Counts = Mapping[str, int]


def svg(panels: Sequence[Counts], *, title: str = "") -> str:
    """One panel below the other, each scaled to its own largest count; each bar tells its figure."""
    rows = [_bars(counts) for counts in panels]
    label = max((len(outcome) for bars in rows for outcome, _ in bars), default=1) * _LETTER + 16
    width = _LEFT + _RIGHT + max(10, *(len(bars) for bars in rows)) * _BAR
    panel_height = _TOP + _HEIGHT + label
    height = panel_height * len(rows)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" style="{_FONT};font-size:12px">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, bars in enumerate(rows):
        name = title if len(rows) == 1 else f"{title} [{number}]"
        parts += _panel(bars, name, top=number * panel_height + _TOP, width=width)
    return "\n".join([*parts, "</svg>", ""])


def png(panels: Sequence[Counts], *, title: str = "") -> bytes:
    """The same through matplotlib. UsageError: it is not installed."""
    try:
        figures: Any = import_module("matplotlib.figure")
    except ImportError as missing:
        raise UsageError(key="wrong.no_matplotlib") from missing
    rows = [_bars(counts) for counts in panels]
    figure = figures.Figure(figsize=(max(4.0, 0.35 * max(map(len, rows)) + 1), 3.5 * len(rows)), layout="constrained")
    for number, (axes, bars) in enumerate(zip(figure.subplots(len(rows), squeeze=False)[:, 0], rows, strict=True)):
        axes.bar([outcome for outcome, _ in bars], [count for _, count in bars], color=_FILL)
        axes.set_title(title if len(rows) == 1 else f"{title} [{number}]")
        axes.tick_params(axis="x", labelrotation=90)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=150)
    return data.getvalue()


def _bars(counts: Counts) -> Sequence[tuple[str, int]]:
    shown = sorted(sorted(counts, key=lambda outcome: (-counts[outcome], outcome))[:MOST])
    bars = [(outcome, counts[outcome]) for outcome in shown]
    rest = sum(counts.values()) - sum(count for _, count in bars)
    return [*bars, ("…", rest)] if rest else bars


def _panel(bars: Sequence[tuple[str, int]], name: str, *, top: int, width: int) -> list[str]:
    largest = max((count for _, count in bars), default=0) or 1
    floor = top + _HEIGHT
    parts = [f'<text x="{_LEFT}" y="{top - 24}" fill="{_INK}" font-weight="bold">{escape(name)}</text>']
    for share in (0, 0.5, 1):
        y = floor - share * _HEIGHT
        parts.append(f'<line x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_GRID}"/>')
        said = f"{largest * share:,.0f}" if largest > 1 or share in {0, 1} else "0.5"
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" fill="{_INK}" text-anchor="end">{said}</text>')
    for place, (outcome, count) in enumerate(bars):
        tall = count / largest * _HEIGHT
        x = _LEFT + place * _BAR + 4
        middle = x + (_BAR - 8) / 2
        parts.append(
            f'<rect x="{x}" y="{floor - tall:.1f}" width="{_BAR - 8}" height="{tall:.1f}" fill="{_FILL}">'
            f"<title>{escape(outcome)}: {count:,}</title></rect>"
        )
        parts.append(
            f'<text transform="translate({middle + 4:.1f} {floor + 8}) rotate(-90)" fill="{_INK}" text-anchor="end" '
            f'style="font-family:monospace">{escape(outcome)}</text>'
        )
    return parts
