"""A device's qubits and couplings as a picture: pure geometry for an inline SVG, coloured by error in four classes.

The colour is never the only sign: the thickness of a line and the size of a spot grow with the error as well, each has
its figures as a title, and the same figures are in the tables beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from hpc_adapters.devices import Calibration, Device

SIZE, MARGIN = 640, 40
MOST_QUBITS = 200
_PAIR = 2
_QUARTERS = (0.25, 0.5, 0.75)
UNKNOWN = 0
"""Class of what was not measured; 1 (best) to 4 (worst) by quarters of this very calibration."""
_STEPS = 250


@dataclass(frozen=True, slots=True)
class Spot:
    """A qubit. error: of its readout."""

    number: int
    x: float
    y: float
    error: float | None
    grade: int


@dataclass(frozen=True, slots=True)
class Link:
    """A coupling. error: of the best gate on it."""

    first: Spot
    second: Spot
    error: float | None
    grade: int


@dataclass(frozen=True, slots=True)
class Topology:
    """radius: of a spot."""

    spots: Sequence[Spot]
    links: Sequence[Link]
    radius: float
    height: int


def topology(device: Device) -> Topology | None:
    """None: every pair is coupled, or there are too many qubits to be told apart."""
    if device.coupling is None or device.qubits > MOST_QUBITS:
        return None
    pairs = sorted({tuple(sorted(pair)) for pair in device.coupling if pair[0] != pair[1]})
    sound = [(first, second) for first, second in pairs if first >= 0 and second < device.qubits]
    places = _placed(device.qubits, tuple(sound))
    calibration = device.calibration or Calibration(id="", at=None)
    readout = {n: each.readout_error for n, each in enumerate(calibration.qubits)}
    errors = couplings(calibration)
    spot_grade, link_grade = _grader(readout.values()), _grader(errors.values())
    spots = [Spot(n, *places[n], error=readout.get(n), grade=spot_grade(readout.get(n))) for n in range(device.qubits)]
    links = [
        Link(
            spots[first],
            spots[second],
            error=errors.get((first, second)),
            grade=link_grade(errors.get((first, second))),
        )
        for first, second in sound
    ]
    height = math.ceil(max(spot.y for spot in spots)) + MARGIN
    return Topology(spots, links, radius=max(7.0, min(18.0, 150 / math.sqrt(device.qubits))), height=height)


def pairs_of(device: Device) -> Sequence[tuple[tuple[int, int], float | None]]:
    """Every pair that may be coupled, or was measured, with its error."""
    measured = couplings(device.calibration) if device.calibration else {}
    told = {(min(pair), max(pair)) for pair in device.coupling or ()}
    return [(pair, measured.get(pair)) for pair in sorted(told | measured.keys())]


def couplings(calibration: Calibration) -> Mapping[tuple[int, int], float]:
    """The best two-qubit error of each pair that was measured, in either direction."""
    best: dict[tuple[int, int], float] = {}
    for gate in calibration.gates:
        if len(gate.qubits) == _PAIR and gate.error is not None:
            first, second = sorted(gate.qubits)
            best[first, second] = min(best.get((first, second), math.inf), gate.error)
    return best


def _grader(errors: Iterable[float | None]) -> Callable[[float | None], int]:
    known = sorted(each for each in errors if each is not None)
    bounds = [known[min(len(known) - 1, int(len(known) * quarter))] for quarter in _QUARTERS] if known else []

    def grade(error: float | None) -> int:
        return UNKNOWN if error is None else 1 + sum(error > bound for bound in bounds)

    return grade


# -- where they stand --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _placed(qubits: int, pairs: tuple[tuple[int, int], ...]) -> Sequence[tuple[float, float]]:
    """By springs between neighbours from a circle, the same each time; then turned and scaled to fill the width."""
    at = [(math.cos(2 * math.pi * n / qubits), math.sin(2 * math.pi * n / qubits) + 1e-6 * n) for n in range(qubits)]
    if qubits > 2:  # noqa: PLR2004  two lie as they are
        at = _spread(at, pairs)
    return _scaled(_turned(at))


def _spread(at: list[tuple[float, float]], pairs: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """Fruchterman and Reingold's layout (1991): all push apart, neighbours pull together, ever more slowly."""
    apart = math.sqrt(4 / len(at))
    steps = max(40, min(_STEPS, 400_000 // len(at) ** 2))
    for step in range(steps):
        push = [[0.0, 0.0] for _ in at]
        for n, (x, y) in enumerate(at):
            for m in range(n):
                dx, dy = x - at[m][0], y - at[m][1]
                strength = apart**2 / max(dx * dx + dy * dy, 1e-9)
                _pull(push, n, m, dx * strength, dy * strength)
        for n, m in pairs:
            dx, dy = at[n][0] - at[m][0], at[n][1] - at[m][1]
            strength = -math.hypot(dx, dy) / apart
            _pull(push, n, m, dx * strength, dy * strength)
        most = 0.2 * (1 - step / steps) + 0.001
        at = [_moved(place, force, most) for place, force in zip(at, push, strict=True)]
    return at


def _pull(push: list[list[float]], n: int, m: int, fx: float, fy: float) -> None:
    push[n][0] += fx
    push[n][1] += fy
    push[m][0] -= fx
    push[m][1] -= fy


def _moved(place: tuple[float, float], force: Sequence[float], most: float) -> tuple[float, float]:
    length = max(math.hypot(force[0], force[1]), 1e-9)
    reach = min(length, most) / length
    return place[0] + force[0] * reach, place[1] + force[1] * reach


def _turned(at: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """So that its longest axis lies flat."""
    cx, cy = sum(x for x, _ in at) / len(at), sum(y for _, y in at) / len(at)
    xx = sum((x - cx) ** 2 for x, _ in at)
    yy = sum((y - cy) ** 2 for _, y in at)
    xy = sum((x - cx) * (y - cy) for x, y in at)
    turn = 0.5 * math.atan2(2 * xy, xx - yy)
    cos, sin = math.cos(-turn), math.sin(-turn)
    return [((x - cx) * cos - (y - cy) * sin, (x - cx) * sin + (y - cy) * cos) for x, y in at]


def _scaled(at: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    left, top = min(x for x, _ in at), min(y for _, y in at)
    width, height = max(x for x, _ in at) - left, max(y for _, y in at) - top
    scale = (SIZE - 2 * MARGIN) / max(width, height, 1e-6)
    shift = (SIZE - width * scale) / 2
    return [(round(shift + (x - left) * scale, 1), round(MARGIN + (y - top) * scale, 1)) for x, y in at]
