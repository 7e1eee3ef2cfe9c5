"""IBM's description of a device as ours, and as a translation needs it. Pure.

Times are written as {"value", "unit"}; a gate or qubit whose "operational" is 0 is faulty and is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from statistics import median
from typing import Any, Final

from hpc_adapters.devices import Calibration, Device, DeviceState, GateData, QubitData
from hpc_adapters.quantum.stamps import instant

_NS: Final = {"ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}
_CONTROL_FLOW: Final = frozenset({"if_else", "for_loop", "switch_case", "while_loop"})
_PAIR: Final = 2
_STATES: Final = {
    "active": DeviceState.ONLINE,
    "maintenance": DeviceState.MAINTENANCE,
    "calibrating": DeviceState.CALIBRATING,
    "calibration": DeviceState.CALIBRATING,
}


def device_of(told: Mapping[str, Any], *, name: str, domestic: bool, sessions: bool, now: datetime) -> Device:
    """What the bridge's `device` answers, as of now."""
    configuration, status = told["configuration"], told["status"]
    state, detail = state_of(status)
    return Device(
        name=name,
        vendor="ibm",
        technology="simulator" if configuration.get("simulator") else "superconducting",
        qubits=int(configuration["n_qubits"]),
        basis_gates=[str(gate) for gate in configuration.get("basis_gates", [])],
        coupling=_coupling(configuration.get("coupling_map")),
        simulator=bool(configuration.get("simulator")),
        domestic=domestic,
        sessions=sessions,
        max_shots=int(configuration.get("max_shots") or 100_000),
        max_circuits=int(configuration.get("max_experiments") or 300),
        clops=_whole(configuration.get("clops_h")) or _whole(configuration.get("clops")),
        quantum_volume=_whole(configuration.get("quantum_volume")),
        state=state,
        detail=detail,
        queue=_whole(status.get("pending_jobs")),
        calibration=calibration_of(told.get("properties") or {}),
        observed_at=now,
    )


def state_of(status: Mapping[str, Any]) -> tuple[DeviceState, str]:
    """IBM's `status_msg`; one that says it does not work is never ONLINE."""
    word = str(status.get("status_msg") or "").lower()
    state = _STATES.get(word, DeviceState.OFFLINE)
    if state is DeviceState.ONLINE and status.get("operational") is not True:
        state = DeviceState.OFFLINE
    return state, "" if state is DeviceState.ONLINE else word[:40]


def calibration_of(properties: Mapping[str, Any]) -> Calibration | None:
    """None: the device tells nothing."""
    if not properties.get("qubits"):
        return None
    qubits = [_qubit(values) for values in properties["qubits"]]
    gates = [gate for gate in map(_gate, properties.get("gates", [])) if gate is not None]
    pairs = _best_errors(gates)
    readouts = [qubit.readout_error for qubit in qubits if qubit.readout_error is not None]
    return Calibration(
        id=str(properties.get("calibration_id") or _hash(qubits, gates)),
        at=instant(properties.get("last_update_date")),
        qubits=qubits,
        gates=gates,
        two_qubit_error=median(pairs) if pairs else None,
        readout_error=median(readouts) if readouts else None,
    )


def _best_errors(gates: Iterable[GateData]) -> list[float]:
    """Of each coupling, by its best gate: fractional gates without figures of their own are told with an error of 1."""
    best: dict[tuple[int, ...], float] = {}
    for gate in gates:
        if len(gate.qubits) == _PAIR and gate.error is not None:
            best[gate.qubits] = min(gate.error, best.get(gate.qubits, 1.0))
    return list(best.values())


def _hash(qubits: Sequence[QubitData], gates: Sequence[GateData]) -> str:
    rows = [
        [[q.t1_us, q.t2_us, q.readout_error, q.readout_ns] for q in qubits],
        sorted([g.name, list(g.qubits), g.error, g.duration_ns] for g in gates),
    ]
    return sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()[:16]


def target_of(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """What `workloads/transpile_circuit` is told of the device: its gates with where they work, durations and errors.

    {"qubits", "dt_s", "rep_delay_s", "gates": {name: [[qubits, duration_s, error], …] or null for everywhere},
    "control_flow": [names]}.
    """
    configuration, properties = told["configuration"], told.get("properties") or {}
    size = int(configuration["n_qubits"])
    faulty = _faulty(properties.get("qubits", []))
    whole = [qubit for qubit in range(size) if qubit not in faulty]
    gates: dict[str, list[list[Any]]] = {}
    for raw in properties.get("gates", []):
        gate = _gate(raw)
        if gate is not None and gate.name in configuration["basis_gates"] and not faulty & set(gate.qubits):
            duration_s = None if gate.duration_ns is None else gate.duration_ns * 1e-9
            gates.setdefault(gate.name, []).append([list(gate.qubits), duration_s, gate.error])
    for name in configuration["basis_gates"]:
        gates.setdefault(name, [[qubits, None, None] for qubits in _places(configuration, name, whole)])
    measured = [_qubit(values) for values in properties.get("qubits", [])] or [QubitData()] * size
    gates["measure"] = [
        [[qubit], _seconds(measured[qubit].readout_ns), measured[qubit].readout_error] for qubit in whole
    ]
    supported = set(configuration.get("supported_instructions") or ["reset", "delay"])
    for name in ("reset", "delay"):
        if name in supported and name not in gates:
            gates[name] = [[[qubit], None, None] for qubit in whole]
    return {
        "qubits": size,
        "dt_s": float(configuration["dt"]) * 1e-9 if configuration.get("dt") else None,
        "rep_delay_s": float(configuration.get("default_rep_delay") or 250.0) * 1e-6,
        "gates": gates,
        "control_flow": sorted(_CONTROL_FLOW & supported),
    }


def _places(configuration: Mapping[str, Any], name: str, whole: Iterable[int]) -> list[list[int]]:
    """Where a gate works of which the properties say nothing."""
    told: Mapping[str, Any] = next((gate for gate in configuration.get("gates", []) if gate.get("name") == name), {})
    allowed = set(whole)
    places = told.get("coupling_map") or [[qubit] for qubit in allowed]
    return [list(place) for place in places if set(place) <= allowed]


def _faulty(qubits: Iterable[Iterable[Mapping[str, Any]]]) -> set[int]:
    return {
        number
        for number, values in enumerate(qubits)
        if any(value["name"] == "operational" and value["value"] == 0 for value in values)
    }


def _qubit(values: Iterable[Mapping[str, Any]]) -> QubitData:
    named = {value["name"]: value for value in values}
    return QubitData(
        t1_us=_micro(named.get("T1")),
        t2_us=_micro(named.get("T2")),
        readout_error=_number(named.get("readout_error")),
        readout_ns=_nano(named.get("readout_length")),
    )


def _gate(told: Mapping[str, Any]) -> GateData | None:
    """None: it is faulty."""
    named = {value["name"]: value for value in told.get("parameters", [])}
    if (named.get("operational") or {}).get("value") == 0:
        return None
    qubits = tuple(int(qubit) for qubit in told["qubits"])
    return GateData(str(told["gate"]), qubits, _number(named.get("gate_error")), _nano(named.get("gate_length")))


def _nano(told: Mapping[str, Any] | None) -> float | None:
    scale = None if told is None else _NS.get(str(told.get("unit")))
    value = _number(told)
    return None if scale is None or value is None else value * scale


def _micro(told: Mapping[str, Any] | None) -> float | None:
    value = _nano(told)
    return None if value is None else value / 1e3


def _seconds(ns: float | None) -> float | None:
    return None if ns is None else ns * 1e-9


def _number(told: Mapping[str, Any] | None) -> float | None:
    value = None if told is None else told.get("value")
    return float(value) if isinstance(value, int | float) else None


def _whole(told: object) -> int | None:
    return int(told) if isinstance(told, int | float) and not isinstance(told, bool) else None


def _coupling(told: object) -> list[tuple[int, int]] | None:
    if not isinstance(told, list):
        return None
    return [(int(pair[0]), int(pair[1])) for pair in told]
