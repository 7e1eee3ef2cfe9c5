"""What OQTOPUS tells of a device, as the port's `Device`. Pure. What cannot be read counts as not told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from math import isfinite
from statistics import median
from typing import Any

from hpc_adapters.devices import Calibration, Device, DeviceState, GateData, OfflineWindow, QubitData
from hpc_adapters.quantum.oqtopus.settings import OqtopusSettings
from hpc_adapters.quantum.stamps import instant

Json = dict[str, Any]
_PAIR = re.compile(r"\(\s*(\d{1,6})\s*,\s*(\d{1,6})\s*\)")
_PAIR_OF_QUBITS = 2


class SizeUnknown(Exception):
    """Neither the vendor nor our settings tell how many qubits it has."""


def device_of(told: Json, settings: OqtopusSettings, now: datetime) -> Device:
    """The device now. Its topology and calibration come from `device_info`, in either of the vendor's two forms.

    SizeUnknown.
    """
    info = _info(told.get("device_info"))
    qubits, gates, coupling = _topology(info) if "qubits" in info else _calibration_data(info)
    size = _whole(told.get("n_qubits")) or len(qubits) or settings.qubits
    if not size:
        raise SizeUnknown
    calibration = _calibration(told, info, qubits, gates)
    state, detail = _state(told)
    return Device(
        name=settings.name,
        vendor="oqtopus",
        technology="simulator" if told.get("device_type") == "simulator" else settings.technology,
        qubits=size,
        basis_gates=[gate for gate in _list(told.get("basis_gates")) if isinstance(gate, str)],
        coupling=coupling,
        simulator=told.get("device_type") == "simulator",
        domestic=settings.domestic,
        sessions=False,
        max_shots=settings.max_shots,
        max_circuits=settings.max_circuits,
        state=state,
        detail=detail,
        queue=_whole(told.get("n_pending_jobs")),
        windows=_windows(told, state, now),
        calibration=calibration,
        observed_at=now,
    )


def _state(told: Json) -> tuple[DeviceState, str]:
    match told.get("status"):
        case "available":
            return DeviceState.ONLINE, ""
        case "unavailable":
            back = instant(told.get("available_at"))
            return (DeviceState.OFFLINE if back is None else DeviceState.MAINTENANCE), "unavailable"
        case other:
            return DeviceState.OFFLINE, re.sub(r"[^a-z0-9_-]", "-", str(other).lower())[:40]


def _windows(told: Json, state: DeviceState, now: datetime) -> Sequence[OfflineWindow]:
    back = instant(told.get("available_at"))
    if state is not DeviceState.MAINTENANCE or back is None or back <= now:
        return ()
    return (OfflineWindow(since=now, until=back, kind=state),)


def _calibration(told: Json, info: Json, qubits: Sequence[QubitData], gates: Sequence[GateData]) -> Calibration | None:
    if not qubits and not gates:
        return None
    canonical = json.dumps([[asdict(q) for q in qubits], [asdict(g) for g in gates]], sort_keys=True)
    pairs = [g.error for g in gates if len(g.qubits) == _PAIR_OF_QUBITS and g.error is not None]
    readout = [q.readout_error for q in qubits if q.readout_error is not None]
    return Calibration(
        id=sha256(canonical.encode()).hexdigest()[:16],
        at=instant(told.get("calibrated_at")) or instant(info.get("calibrated_at")),
        qubits=qubits,
        gates=gates,
        two_qubit_error=median(pairs) if pairs else None,
        readout_error=median(readout) if readout else None,
    )


def _topology(info: Json) -> tuple[list[QubitData], list[GateData], list[tuple[int, int]] | None]:
    """As device-gateway writes it: a list of qubits, a list of couplings, fidelities and durations with each."""
    entries = sorted((q for q in map(_mapping, _list(info.get("qubits"))) if _whole(q.get("id")) is not None), key=_at)
    qubits = [_qubit(entry) for entry in entries]
    gates = [gate for entry in entries for gate in _gates(entry, (_at(entry),))]
    coupling: list[tuple[int, int]] = []
    for entry in map(_mapping, _list(info.get("couplings"))):
        control, target = _whole(entry.get("control")), _whole(entry.get("target"))
        if control is not None and target is not None:
            coupling.append((control, target))
            gates += _gates(entry, (control, target))
    return qubits, gates, coupling or None


def _at(entry: Json) -> int:
    return _whole(entry.get("id")) or 0


def _qubit(entry: Json) -> QubitData:
    lifetime, measured = _mapping(entry.get("qubit_lifetime")), _mapping(entry.get("meas_error"))
    return QubitData(
        t1_us=_number(lifetime.get("t1")),
        t2_us=_number(lifetime.get("t2")),
        readout_error=_number(measured.get("readout_assignment_error")),
    )


def _gates(entry: Json, qubits: tuple[int, ...]) -> Iterator[GateData]:
    fidelity = _number(entry.get("fidelity"))
    error = None if fidelity is None else max(0.0, round(1.0 - fidelity, 12))
    for name, told in _mapping(entry.get("gate_duration")).items():
        duration = _number(told)
        yield GateData(name=name, qubits=qubits, error=0.0 if duration == 0 else error, duration_ns=duration)


def _calibration_data(info: Json) -> tuple[list[QubitData], list[GateData], list[tuple[int, int]] | None]:
    """As the API's document shows it: tables from qubit to figure under `calibration_data`."""
    data = _mapping(info.get("calibration_data"))
    t1, t2, readout = (_mapping(data.get(name)) for name in ("t1", "t2", "ro_error"))
    known = sorted({int(at) for table in (t1, t2, readout) for at in table if at.isdecimal()})
    qubits = [
        QubitData(
            t1_us=_number(t1.get(str(at))), t2_us=_number(t2.get(str(at))), readout_error=_number(readout.get(str(at)))
        )
        for at in (range(known[-1] + 1) if known and known[-1] < 10_000 else ())  # noqa: PLR2004  a plausible device
    ]
    errors, durations = _mapping(data.get("gate_error")), _mapping(data.get("gate_duration"))
    gates = [
        GateData(
            name=name,
            qubits=(int(at),),
            error=_number(_mapping(errors.get(name)).get(at)),
            duration_ns=_number(_mapping(durations.get(name)).get(at)),
        )
        for name in sorted({*errors, *durations})
        for at in sorted({*_mapping(errors.get(name)), *_mapping(durations.get(name))})
        if at.isdecimal()
    ]
    pairs = [_PAIR.fullmatch(word) for word in _list(data.get("qubit_connectivity")) if isinstance(word, str)]
    coupling = [(int(pair[1]), int(pair[2])) for pair in pairs if pair is not None]
    return qubits, gates, coupling or None


def _info(told: Any) -> Json:
    if isinstance(told, str):
        try:
            told = json.loads(told)
        except (ValueError, RecursionError):
            return {}
    return _mapping(told)


def _mapping(told: Any) -> Json:
    return dict(told) if isinstance(told, Mapping) else {}


def _list(told: Any) -> list[Any]:
    return told if isinstance(told, list) else []


def _whole(told: Any) -> int | None:
    return told if isinstance(told, int) and not isinstance(told, bool) and told >= 0 else None


def _number(told: Any) -> float | None:
    usable = isinstance(told, int | float) and not isinstance(told, bool) and isfinite(told)
    return float(told) if usable else None
