"""`python -m hpc_adapters.quantum.aer.fake_device NAME`: a calibration file of a device of qiskit-ibm-runtime.

NAME as in its `fake_provider` ('fake_manila', 'fake_sherbrooke'). Needs that library; the server never runs this.
"""

from __future__ import annotations

import json
import sys
from typing import Any

_NS, _US = 1e9, 1e6


def described(name: str) -> dict[str, Any]:
    """The file's content. ValueError: there is no such device."""
    from qiskit_ibm_runtime import fake_provider  # noqa: PLC0415  an optional part

    words = "".join(word.capitalize() for word in name.split("_"))
    made = getattr(fake_provider, f"{words}V2", None) or getattr(fake_provider, words, None)
    if made is None:
        raise ValueError(f"no device {name}")
    target = made().target
    gates = [
        (operation, list(qubits), told)
        for operation, places in target.items()
        if places is not None and operation not in {"measure", "delay", "reset"}
        for qubits, told in places.items()
        if qubits is not None  # control flow has no place
    ]
    basis = sorted({operation for operation, _, _ in gates})
    return {
        "basis_gates": basis,
        "coupling": sorted({tuple(qubits) for _, qubits, _ in gates if len(qubits) == 2}),  # noqa: PLR2004  a pair
        "qubits": [_qubit(target, number) for number in range(target.num_qubits)],
        "gates": [
            {"name": operation, "qubits": qubits, "error": _value(told, "error"), "duration_ns": _time(told)}
            for operation, qubits, told in gates
        ],
    }


def _qubit(target: Any, number: int) -> dict[str, float | None]:
    told = (target.qubit_properties or [None] * target.num_qubits)[number]
    read = target["measure"].get((number,))
    t1, t2 = _value(told, "t1"), _value(told, "t2")
    return {
        "t1_us": None if t1 is None else t1 * _US,
        "t2_us": None if t1 is None or t2 is None else min(t2, 2 * t1) * _US,  # more is not physical
        "readout_error": _value(read, "error"),
        "readout_ns": _time(read),
    }


def _value(told: Any, name: str) -> float | None:
    value = getattr(told, name, None)
    return None if value is None else float(value)


def _time(told: Any) -> float | None:
    duration = _value(told, "duration")
    return None if duration is None else duration * _NS


if __name__ == "__main__":
    json.dump(described(sys.argv[1]), sys.stdout)
