"""Charts as SVG. Colours and fonts are the page's; shapes and dashes tell series apart without colour. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate

from scheduler.simulate.scales import Scale, duration, duration_steps, number, round_steps
from scheduler.simulate.words import Words

WIDTH = 960
_DASHES = ("", "7 3", "2 3", "10 3 2 3", "1 4", "12 4")
_COLOURS = 6
_LINE = 18.0


@dataclass(frozen=True, slots=True)
class Series:
    """A name and a value for each day or organisation."""

    name: str
    values: Sequence[float]


def lines(series: Sequence[Series], words: Words, *, label: str, as_percent: bool = False) -> str:
    """A line for each series over the days."""
    left, right, top, bottom = 56.0, WIDTH - 12.0, 12.0, 240.0
    steps = [0, 0.25, 0.5, 0.75, 1.0] if as_percent else round_steps(max(max(each.values) for each in series))
    days = max(len(each.values) for each in series)
    x, y = Scale(0, max(1, days - 1), left, right), Scale(0, steps[-1], bottom, top)
    parts = [
        _across(y(step), left, right) + _word(left - 8, y(step) + 4, _told(step, as_percent=as_percent), "end")
        for step in steps
    ]
    parts += _days(x, days, bottom, words)
    parts += [_line(each.values, x, y, index) for index, each in enumerate(series)]
    return _picture("".join(parts), 270, label)


def dots(rows: Sequence[str], series: Sequence[Series], words: Words, *, label: str) -> str:
    """A row for each organisation, a mark for each series, on a logarithmic axis of time."""
    left, right, top, step = 120.0, WIDTH - 24.0, 28.0, 26.0
    steps = duration_steps([value for each in series for value in each.values])
    x = Scale(steps[0], steps[-1], left, right, is_log=True)
    bottom = top + step * len(rows)
    parts = [_upright(x(each), top - 6, bottom) + _word(x(each), top - 12, duration(each, words)) for each in steps]
    for index, name in enumerate(rows):
        at = top + step * (index + 0.5)
        parts.append(_across(at, left, right) + _word(left - 10, at + 4, name, "end"))
        parts += [_mark(x(each.values[index]), at, number_) for number_, each in enumerate(series)]
    return _picture("".join(parts), bottom + 10, label)


Point = tuple[str, float, float]
"""A name, a fraction across, a duration up."""


def best_of(points: Sequence[Point]) -> list[Point]:
    """Those of which none is better in both, from the left."""
    best: list[Point] = []
    for point in sorted(points, key=lambda each: each[1:]):
        if not best or point[2] < best[-1][2]:
            best.append(point)
    return best


def scatter(points: Sequence[Point], words: Words, *, label: str) -> str:
    """A mark for each, named at the right, and a stair along the best: whatever lies beyond it is beaten in both."""
    left, right, top, bottom = 90.0, WIDTH - 210.0, 24.0, 340.0
    across = _zoomed([point[1] for point in points])
    up = duration_steps([point[2] for point in points])
    x, y = Scale(across[0], across[-1], left, right), Scale(up[0], up[-1], bottom, top, is_log=True)
    parts = [_upright(x(each), top, bottom) + _word(x(each), bottom + 18, number(each)) for each in across]
    parts += [_across(y(each), left, right) + _word(left - 8, y(each) + 4, duration(each, words), "end") for each in up]
    parts.append(_word((left + right) / 2, bottom + 40, words.text("frontier.x")))
    parts.append(_word(left - 8, top - 10, words.text("frontier.y"), "end"))
    stair = [(x(value), y(wait)) for _, value, wait in best_of(points)]
    path = "".join(f"H{along:.1f}V{high:.1f}" for along, high in stair)
    parts.append(f'<path class="stair" d="M{stair[0][0]:.1f} {top:.1f}{path}H{right:.1f}"/>')
    names = sorted(range(len(points)), key=lambda index: (y(points[index][2]), points[index][1]))
    heights = _apart([y(points[index][2]) for index in names], top, bottom)
    for index, at in zip(names, heights, strict=True):
        name, value, wait = points[index]
        parts.append(f'<path class="leader" d="M{x(value):.1f} {y(wait):.1f}L{right + 14:.1f} {at:.1f}"/>')
        parts.append(_mark(right + 22, at, index) + _word(right + 34, at + 4, name, "start"))
    parts += [_mark(x(value), y(wait), index) for index, (_, value, wait) in enumerate(points)]
    return _picture("".join(parts), max([bottom, *heights]) + 52, label)


def _zoomed(values: Sequence[float]) -> list[float]:
    """Round numbers around these; from 0 only where that is near."""
    steps = round_steps(max(values) * 1.02, 8)
    first = max(index for index, step in enumerate(steps) if step <= min(values))
    return steps[max(0, min(first, len(steps) - 3)) :]


def _apart(heights: Sequence[float], top: float, bottom: float) -> list[float]:
    """In this order, each below the one before, and none outside as long as there is room."""
    lines = [*heights]
    for index in range(1, len(lines)):
        lines[index] = max(lines[index], lines[index - 1] + _LINE)
    for index in range(len(lines) - 1, -1, -1):
        below = lines[index + 1] - _LINE if index + 1 < len(lines) else bottom
        lines[index] = max(top + index * _LINE, min(lines[index], below))
    return lines


def panels(
    names: Sequence[str],
    held: Sequence[Sequence[Series]],
    entitled: Sequence[Sequence[float]],
    words: Words,
    *,
    label: str,
    stacked: bool = False,
) -> str:
    """A small picture for each organisation: what it held as lines, what it was entitled to shaded; stacked: what it
    held as areas on each other, what it was entitled to as a line.
    """
    columns = 3 if len(names) > 2 else len(names)  # noqa: PLR2004
    wide, high = (WIDTH - 10) / columns, 138.0
    drawn = [[list(each.values) for each in mine] for mine in held]
    if stacked:
        drawn = [list(accumulate(mine, _added)) for mine in drawn]
    due = entitled or [[] for _ in names]
    steps = round_steps(max(0.01, *(max(each) for mine in (*drawn, due) for each in mine if each)), 2)
    parts = [
        _panel(
            (index % columns * wide + 44, index // columns * high + 22, wide - 60),
            name,
            drawn[index],
            due[index],
            steps,
            words,
            stacked=stacked,
        )
        for index, name in enumerate(names)
    ]
    return _picture("".join(parts), -(-len(names) // columns) * high + 6, label)


def _panel(
    at: tuple[float, float, float],
    name: str,
    held: Sequence[Sequence[float]],
    entitled: Sequence[float],
    steps: Sequence[float],
    words: Words,
    *,
    stacked: bool,
) -> str:
    """steps: of the axis, which is the same for all."""
    left, top, width = at
    right, bottom, days = left + width, top + 82, len(held[0])
    x, y = Scale(0, max(1, days - 1), left, right), Scale(0, steps[-1], bottom, top)
    parts = [_word(left, top - 8, name, "start", "strong")]
    for step in steps:
        parts += [_across(y(step), left, right), _word(left - 6, y(step) + 4, _told(step, as_percent=True), "end")]
    parts += _days(x, days, bottom, words, about=2)
    if stacked:
        parts += [_layer(each, x, y, index) for index, each in reversed(list(enumerate(held)))]
        parts += [f'<path class="due" d="M{_path(entitled, x, y)}"/>']
    else:
        parts += [_area(entitled, x, y)] if entitled else []
        parts += [_line(each, x, y, number_) for number_, each in enumerate(held)]
    return "".join(parts)


def _added(below: Sequence[float], more: Sequence[float]) -> list[float]:
    return [one + other for one, other in zip(below, more, strict=True)]


def legend(names: Sequence[str], *, marks: bool = False, shaded: str = "", layers: Sequence[str] = ()) -> str:
    """Which dash, or mark, is whose; layers: whose hatching, under one line for what all were entitled to."""
    items = [_key(_mark(17, 7, index) if marks else _dashed(index), name) for index, name in enumerate(names)]
    if layers:
        items = [
            _key(f'<path class="layer" {_hatched(index)} d="M0 1H34V14H0Z"/>', name)
            for index, name in enumerate(layers)
        ]
        items += [_key('<path class="due" d="M0 7H34"/>', name) for name in names]
    if shaded:
        items.append(_key('<path class="area" d="M0 1H34V14H0Z"/><path class="edge" d="M0 1H34"/>', shaded))
    return f'<ul class="legend">{"".join(items)}</ul>'


def _key(drawn: str, name: str) -> str:
    return f'<li><svg class="key" width="34" height="14" aria-hidden="true">{drawn}</svg> {escape(name)}</li>'


def _dashed(index: int) -> str:
    return f'<path class="line {_colour(index)}" {_dash(index)} d="M0 7H34"/>'


def _picture(inside: str, height: float, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">{inside}</svg>'


def _colour(index: int) -> str:
    return f"c{index % _COLOURS}"


def _dash(index: int) -> str:
    dash = _DASHES[index % len(_DASHES)]
    return f'stroke-dasharray="{dash}"' if dash else ""


def _line(values: Sequence[float], x: Scale, y: Scale, index: int) -> str:
    return f'<path class="line {_colour(index)}" {_dash(index)} d="M{_path(values, x, y)}"/>'


def _path(values: Sequence[float], x: Scale, y: Scale) -> str:
    """One day alone is as wide as the picture."""
    shown = [*values, *values] if len(values) == 1 else values
    return "L".join(f"{x(day):.1f} {y(value):.1f}" for day, value in enumerate(shown))


def _layer(values: Sequence[float], x: Scale, y: Scale, index: int) -> str:
    low, last = y(0), max(1, len(values) - 1)
    around = f"M{x(0):.1f} {low:.1f}L{_path(values, x, y)}L{x(last):.1f} {low:.1f}Z"
    return f'<path class="blank" d="{around}"/><path class="layer" {_hatched(index)} d="{around}"/>'


def _hatched(index: int) -> str:
    return f'fill="url(#h{index % _COLOURS})"'


def hatchings() -> str:
    """What layers are filled with: each has a colour and a pattern of its own. Once on a page."""
    strokes = ("", "M0 8L8 0", "M4 4h.01", "M0 0L8 8", "M0 4H8", "M4 0V8")
    patterns = "".join(
        f'<pattern id="h{index}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect class="fill {_colour(index)}" width="8" height="8"/><path class="hatch" d="{stroke}"/></pattern>'
        for index, stroke in enumerate(strokes)
    )
    return f'<svg class="hidden" width="0" height="0" aria-hidden="true"><defs>{patterns}</defs></svg>'


def _area(values: Sequence[float], x: Scale, y: Scale) -> str:
    path, last = _path(values, x, y), max(1, len(values) - 1)
    shape = f'<path class="area" d="M{x(0):.1f} {y(0):.1f}L{path}L{x(last):.1f} {y(0):.1f}Z"/>'
    return f'{shape}<path class="edge" d="M{path}"/>'


def _mark(x: float, y: float, index: int) -> str:
    """Disc, square, triangle, diamond, cross, ring."""
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5"',
        f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"',
        f'<path d="M{x:.1f} {y - 6.5:.1f}l6 11h-12z"',
        f'<path d="M{x:.1f} {y - 7:.1f}l7 7-7 7-7-7z"',
        f'<path d="M{x - 2:.1f} {y - 6:.1f}h4v4h4v4h-4v4h-4v-4h-4v-4h4z"',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill-opacity="0" stroke-width="3"',
    )
    return f'{shapes[index % len(shapes)]} class="mark {_colour(index + index // _COLOURS)}"/>'


def _across(y: float, left: float, right: float) -> str:
    return f'<path class="grid" d="M{left:.1f} {y:.1f}H{right:.1f}"/>'


def _upright(x: float, top: float, bottom: float) -> str:
    return f'<path class="grid" d="M{x:.1f} {top:.1f}V{bottom:.1f}"/>'


def _word(x: float, y: float, text: str, anchor: str = "middle", kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _days(x: Scale, days: int, bottom: float, words: Words, about: int = 8) -> list[str]:
    steps = [int(step) for step in round_steps(max(1, days - 1), about) if step <= days - 1 and step == int(step)]
    anchors = {0: "start", days - 1: "end"}
    return [
        _word(x(step), bottom + 17, words.text("day.axis", number=step), anchors.get(step, "middle")) for step in steps
    ]


def _told(value: float, *, as_percent: bool) -> str:
    return f"{number(value * 100)} %" if as_percent else number(value)
