"""The picture of a device: every qubit has a place of its own, and the worst stands out."""

from __future__ import annotations

import math
from itertools import combinations

import pytest

from portal.pages.topology import MARGIN, MOST_QUBITS, SIZE, UNKNOWN, pairs_of, topology
from tests.support.devices import LINE, a_calibration, a_device

GRID = tuple((n, m) for n in range(20) for m in (n + 1, n + 5) if m < 20 and (m == n + 5 or m % 5))


@pytest.mark.parametrize(("qubits", "coupling"), [(1, ()), (2, ((0, 1), (1, 0))), (7, LINE), (20, GRID), (5, ())])
def test_every_qubit_has_a_place_within_the_picture(qubits: int, coupling: tuple[tuple[int, int], ...]) -> None:
    found = topology(a_device(qubits=qubits, coupling=coupling, calibration=None))
    assert found is not None
    assert [spot.number for spot in found.spots] == list(range(qubits))
    assert all(MARGIN <= spot.x <= SIZE - MARGIN and MARGIN <= spot.y <= found.height for spot in found.spots)
    assert all(
        math.dist((one.x, one.y), (other.x, other.y)) > 2 * found.radius for one, other in combinations(found.spots, 2)
    )
    assert len(found.links) == len({frozenset(pair) for pair in coupling})


def test_it_is_the_same_picture_each_time() -> None:
    assert topology(a_device()) == topology(a_device())


def test_errors_are_graded_by_quarters_and_what_was_not_measured_has_no_grade() -> None:
    found = topology(a_device())
    assert found is not None
    grades = {(link.first.number, link.second.number): link.grade for link in found.links}
    assert grades[2, 3] == UNKNOWN
    assert (grades[0, 1], grades[5, 6]) == (1, 4)
    assert found.spots[0].grade == 1
    assert found.spots[6].grade == 4


def test_what_cannot_be_drawn_is_not() -> None:
    assert topology(a_device(coupling=None)) is None
    assert topology(a_device(qubits=MOST_QUBITS + 1)) is None


def test_the_table_has_every_pair_measured_or_not() -> None:
    assert dict(pairs_of(a_device(calibration=a_calibration(error=0.01))))[2, 3] is None
    assert len(pairs_of(a_device())) == len(LINE)


def test_nonsense_of_a_device_breaks_no_picture() -> None:
    found = topology(a_device(coupling=((0, 0), (3, 99), (-1, 2), (0, 1))))
    assert found is not None
    assert len(found.links) == 1
