"""A variational eigensolver that can be stopped after each measurement: SciPy replays what it knows and asks for more.

Travels into jobs as text and pickled by value: standard library, NumPy and SciPy only.
"""

import numpy as np
from scipy.optimize import minimize

FIELD = {"ZZ": -1.0, "XI": -1.0, "IX": -1.0}
START = (0.3, 0.2, 0.1, 0.4)
SHOTS = 400
EXECUTIONS = SHOTS * 9 * 3  # an energy and eight shifted ones, each of three observables
CIRCUIT = """OPENQASM 3.0;
include "stdgates.inc";
input float a; input float b; input float c; input float d;
qubit[2] q;
ry(a) q[0]; ry(b) q[1];
cx q[0], q[1];
ry(c) q[0]; ry(d) q[1];
"""


class _Unknown(Exception):
    """The optimiser asks for a point that has not been measured."""


class Found:
    """As kyoyo.Done, which a job by itself need not have."""

    def __init__(self, value):
        self.value = value


def vqe_step(state, result):
    """state: the measured points, each (parameters, energy, gradient), and the last one asked for."""
    known, asked = state or ([], None)
    if asked is not None:
        values = result["pubs"][0]["data"]["evs"]["values"]
        slope = [(values[1 + 2 * place] - values[2 + 2 * place]) / 2 for place in range(len(asked))]
        known = [*known, (asked, values[0], slope)]
    left = iter(known)

    def energy(parameters):
        found = next(left, None)
        if found is None:
            raise _Unknown(parameters)
        return found[1], np.array(found[2])

    try:
        best = minimize(energy, START, jac=True, method="L-BFGS-B", options={"maxfun": 10, "ftol": 1e-3})
    except _Unknown as unknown:
        point = [float(value) for value in unknown.args[0]]
        return (known, point), _document(point)
    told = {"parameters": [float(value) for value in best.x], "energy": float(best.fun), "rounds": len(known)}
    return (known, None), Found(told)


def _document(point):
    rows = [list(point)]
    for place in range(len(point)):
        rows += [[value + sign * np.pi / 2 * (place == index) for index, value in enumerate(point)] for sign in (1, -1)]
    parameters = {"names": ["a", "b", "c", "d"], "shape": [len(rows)], "values": rows}
    observables = {"shape": [], "values": [FIELD]}
    pub = {"circuit": 0, "shots": SHOTS, "parameters": parameters, "observables": observables}
    return {
        "format": "kyoyo.pubs/1",
        "primitive": "estimator",
        "circuits": [{"format": "openqasm3", "text": CIRCUIT}],
        "pubs": [pub],
        "options": {"seed": 7},
    }


def energy_of(parameters):
    """Exactly, by the state vector."""
    x, z, one = np.array([[0, 1], [1, 0]]), np.diag([1, -1]), np.eye(2)
    matrices = {"X": x, "Z": z, "I": one}

    def turned(angle):
        half = angle / 2
        return np.array([[np.cos(half), -np.sin(half)], [np.sin(half), np.cos(half)]])

    a, b, c, d = parameters
    cx = np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]])
    state = np.kron(turned(d), turned(c)) @ cx @ np.kron(turned(b), turned(a)) @ np.eye(4)[0]
    total = sum(real * np.kron(matrices[word[0]], matrices[word[1]]) for word, real in FIELD.items())
    return float(state @ total @ state)
