"""Observables that are identities alone."""

from __future__ import annotations

from typing import Any

import pytest

from hpc_adapters.quantum.numbers import data_of, is_number, to_measure

NUMBERS = [{"II": 1.0}, {"II": 2.0}, {"II": 3.0, "I": 0.5}]


def _pub(shape: list[int], values: list[dict[str, float]], parameters: list[int] | None = None) -> dict[str, Any]:
    told = None if parameters is None else {"names": ["a"], "shape": parameters, "values": []}
    return {"observables": {"shape": shape, "values": values}, "parameters": told}


@pytest.mark.parametrize(
    ("held", "parameters", "shape", "values"),
    [
        ([3], None, [3], [1.0, 2.0, 3.5]),
        ([3, 1], [2], [3, 2], [1.0, 1.0, 2.0, 2.0, 3.5, 3.5]),
        ([3], [2, 1], [2, 3], [1.0, 2.0, 3.5, 1.0, 2.0, 3.5]),
        ([1, 3, 1], [2, 1, 1], [2, 3, 1], [1.0, 2.0, 3.5, 1.0, 2.0, 3.5]),
    ],
)
def test_values_are_broadcast_as_numpy_does(
    held: list[int], parameters: list[int] | None, shape: list[int], values: list[float]
) -> None:
    told = data_of(_pub(held, NUMBERS, parameters))
    assert told["evs"] == {"kind": "float", "shape": shape, "values": values}
    assert told["stds"]["values"] == [0.0] * len(values)


def test_of_no_dimension_is_one_number() -> None:
    assert data_of(_pub([], [{"III": -2.5}]))["evs"] == {"kind": "float", "shape": [], "values": [-2.5]}


def test_only_what_says_something_of_the_state_is_measured() -> None:
    number, state, sampled = _pub([], [{"II": 1.0}]), _pub([2], [{"II": 1.0}, {"IZ": 1.0}]), {"observables": None}
    assert [is_number(each) for each in (number, state, sampled)] == [True, False, False]
    assert to_measure({"pubs": [number, state, sampled], "primitive": "estimator"}) == {
        "pubs": [state, sampled],
        "primitive": "estimator",
    }
