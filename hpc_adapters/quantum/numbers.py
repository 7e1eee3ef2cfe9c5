"""PUBs of an estimator whose observables are identities alone: their values are known, and no device is asked. Pure.

A PUB is one of a translated document (`workloads/transpile_circuit`), data is that of `kyoyo.result/1`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hpc_adapters.pubs import broadcast

Json = dict[str, Any]


def is_number(pub: Mapping[str, Any]) -> bool:
    """Whether nothing of it has to be measured."""
    told = pub.get("observables")
    return told is not None and all(set(term) <= {"I"} for element in told["values"] for term in element)


def to_measure(isa: Mapping[str, Any]) -> Json:
    """The document with only those PUBs for which the device is needed."""
    return {**isa, "pubs": [pub for pub in isa["pubs"] if not is_number(pub)]}


def data_of(pub: Mapping[str, Any]) -> Json:
    """The sums of its coefficients, exactly, for each element of its result, whatever the circuit does."""
    held = tuple(pub["observables"]["shape"])
    shape = broadcast(tuple((pub.get("parameters") or {}).get("shape", ())), held)
    sums = [math.fsum(element.values()) for element in pub["observables"]["values"]]
    values = [sums[_place(at, shape, held)] for at in range(math.prod(shape))]
    return {"evs": _floats(shape, values), "stds": _floats(shape, [0.0] * len(values))}


def _place(at: int, shape: Sequence[int], held: Sequence[int]) -> int:
    """Of an element of the result, counted through, that of the observable in it."""
    place, step = 0, 1
    for depth in range(1, len(shape) + 1):
        at, here = divmod(at, shape[-depth])
        if depth <= len(held):
            place += step * (here if held[-depth] > 1 else 0)
            step *= held[-depth]
    return place


def _floats(shape: Sequence[int], values: Sequence[float]) -> Json:
    return {"kind": "float", "shape": list(shape), "values": list(values)}
