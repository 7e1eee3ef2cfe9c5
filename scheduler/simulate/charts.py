"""Charts as SVG. Colours and fonts are the page's; shapes and dashes tell series apart without colour. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from scheduler.simulate.scales import Scale, duration, duration_steps, number, round_steps
from scheduler.simulate.words import Words

WIDTH = 960
_DASHES = ("", "7 3", "2 3", "10 3 2 3", "1 4", "12 4")
_COLOURS = 6


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


def scatter(points: Sequence[tuple[str, float, float]], words: Words, *, label: str) -> str:
    """(name, fraction across, duration up) of each."""
    left, right, top, bottom = 90.0, WIDTH - 170.0, 24.0, 340.0
    across, up = round_steps(max(point[1] for point in points) * 1.1), duration_steps([point[2] for point in points])
    x, y = Scale(0, across[-1], left, right), Scale(up[0], up[-1], bottom, top, is_log=True)
    parts = [_upright(x(each), top, bottom) + _word(x(each), bottom + 18, number(each)) for each in across]
    parts += [_across(y(each), left, right) + _word(left - 8, y(each) + 4, duration(each, words), "end") for each in up]
    parts.append(_word((left + right) / 2, bottom + 40, words.text("frontier.x")))
    parts.append(_word(left - 8, top - 10, words.text("frontier.y"), "end"))
    lowest = top
    for index, (name, value, wait) in sorted(enumerate(points), key=lambda each: y(each[1][2])):
        parts.append(_mark(x(value), y(wait), index))
        lowest = max(lowest + 15, y(wait) + 4)
        parts.append(_word(x(value) + 12, lowest, name, "start"))
    return _picture("".join(parts), bottom + 52, label)


def panels(
    names: Sequence[str],
    held: Sequence[Sequence[Series]],
    entitled: Sequence[Sequence[float]],
    words: Words,
    *,
    label: str,
) -> str:
    """A small picture for each organisation: what it held as lines, what it was entitled to shaded."""
    columns = 3 if len(names) > 2 else len(names)  # noqa: PLR2004
    wide, high = (WIDTH - 10) / columns, 138.0
    parts = [
        _panel(
            (index % columns * wide + 44, index // columns * high + 22, wide - 60),
            name,
            held[index],
            entitled[index] if entitled else [],
            words,
        )
        for index, name in enumerate(names)
    ]
    return _picture("".join(parts), -(-len(names) // columns) * high + 6, label)


def _panel(
    at: tuple[float, float, float], name: str, held: Sequence[Series], area: Sequence[float], words: Words
) -> str:
    left, top, width = at
    right, bottom = left + width, top + 82
    steps = round_steps(max(0.01, *area, *(max(each.values) for each in held)), 2)
    days = max(len(each.values) for each in held)
    x, y = Scale(0, max(1, days - 1), left, right), Scale(0, steps[-1], bottom, top)
    parts = [_word(left, top - 8, name, "start", "strong")]
    for step in steps:
        parts += [_across(y(step), left, right), _word(left - 6, y(step) + 4, _told(step, as_percent=True), "end")]
    parts += _days(x, days, bottom, words, about=2)
    parts += [_area(area, x, y)] if area else []
    parts += [_line(each.values, x, y, number_) for number_, each in enumerate(held)]
    return "".join(parts)


def legend(names: Sequence[str], *, marks: bool = False, shaded: str = "") -> str:
    """Which dash, or mark, is whose."""
    items = [_key(_mark(17, 7, index) if marks else _dashed(index), name) for index, name in enumerate(names)]
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
    path = "L".join(f"{x(day):.1f} {y(value):.1f}" for day, value in enumerate(values))
    return f'<path class="line {_colour(index)}" {_dash(index)} d="M{path}"/>'


def _area(values: Sequence[float], x: Scale, y: Scale) -> str:
    path = "L".join(f"{x(day):.1f} {y(value):.1f}" for day, value in enumerate(values))
    shape = f'<path class="area" d="M{x(0):.1f} {y(0):.1f}L{path}L{x(len(values) - 1):.1f} {y(0):.1f}Z"/>'
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
    return f'{shapes[index % len(shapes)]} class="mark {_colour(index)}"/>'


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
