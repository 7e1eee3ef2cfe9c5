"""The register of devices in the database: a projection of the latest word, and the history that it left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg

from hpc_adapters.devices import Calibration, Device, DeviceState, OfflineWindow
from infra.db.connection import Conn
from scheduler.devices import (
    CalibrationThen,
    Condition,
    ConditionThen,
    Registered,
    calibration_told,
    condition_of,
    figure,
    gates_read,
    pairs,
    qubits_read,
    windows_read,
    windows_told,
)

_DEVICE = """SELECT d.*, c.at AS calibrated_at, c.two_qubit_error, c.readout_error
    FROM scheduler.device d
    LEFT JOIN scheduler.device_calibration c ON c.device = d.backend AND c.id = d.calibration_id"""


# -- what the worker keeps ---------------------------------------------------------------------------------------------


async def conditions(conn: Conn) -> dict[str, Condition]:
    """Of every device that was ever heard of."""
    rows = await conn.fetch("SELECT backend, condition::text, detail, queue, windows FROM scheduler.device")
    return {row["backend"]: _condition(row) for row in rows}


async def keep(conn: Conn, backend: str, told: Device, *, now: datetime) -> bool:
    """The device's own word. Whether anything is new."""
    condition = condition_of(told)
    known = await conn.fetchrow(
        "SELECT condition::text, detail, queue, windows FROM scheduler.device WHERE backend = $1 FOR UPDATE", backend
    )
    before = None if known is None else _condition(known)
    is_new = told.calibration is not None and await _add_calibration(conn, backend, told.calibration, now=now)
    await _upsert(conn, backend, told, condition, now=now)
    if before != condition:
        await _append(conn, backend, condition, now=now)
    return before != condition or is_new


async def change(conn: Conn, backend: str, condition: Condition, *, now: datetime) -> None:
    """What we conclude of a device that does not tell of itself."""
    await conn.execute(
        "UPDATE scheduler.device SET condition = $2::text::scheduler.device_condition, detail = $3, queue = $4, "
        "windows = $5, condition_since = CASE WHEN condition::text = $2 THEN condition_since ELSE $6 END "
        "WHERE backend = $1",
        backend,
        condition.state.value,
        condition.detail,
        condition.queue,
        windows_told(condition.windows),
        now,
    )
    await _append(conn, backend, condition, now=now)


async def _upsert(conn: Conn, backend: str, told: Device, condition: Condition, *, now: datetime) -> None:
    await conn.execute(
        """INSERT INTO scheduler.device (backend, name, vendor, technology, qubits, basis_gates, coupling, simulator,
               domestic, sessions, max_shots, max_circuits, clops, quantum_volume, condition, detail, queue, windows,
               calibration_id, condition_since, heard_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
               $15::text::scheduler.device_condition, $16, $17, $18, $19, $20, $20)
           ON CONFLICT (backend) DO UPDATE SET (name, vendor, technology, qubits, basis_gates, coupling, simulator,
               domestic, sessions, max_shots, max_circuits, clops, quantum_volume, condition, detail, queue, windows,
               calibration_id, condition_since, heard_at)
           = (excluded.name, excluded.vendor, excluded.technology, excluded.qubits, excluded.basis_gates,
               excluded.coupling, excluded.simulator, excluded.domestic, excluded.sessions, excluded.max_shots,
               excluded.max_circuits, excluded.clops, excluded.quantum_volume, excluded.condition, excluded.detail,
               excluded.queue, excluded.windows, coalesce(excluded.calibration_id, device.calibration_id),
               CASE WHEN device.condition = excluded.condition THEN device.condition_since
                    ELSE excluded.condition_since END, excluded.heard_at)""",
        backend,
        told.name,
        told.vendor,
        told.technology,
        told.qubits,
        list(told.basis_gates),
        None if told.coupling is None else [list(pair) for pair in told.coupling],
        told.simulator,
        told.domestic,
        told.sessions,
        told.max_shots,
        told.max_circuits,
        told.clops,
        told.quantum_volume,
        condition.state.value,
        condition.detail,
        condition.queue,
        windows_told(condition.windows),
        None if told.calibration is None else told.calibration.id,
        now,
    )


async def _add_calibration(conn: Conn, backend: str, new: Calibration, *, now: datetime) -> bool:
    """False: we have heard of it before."""
    done = await conn.execute(
        "INSERT INTO scheduler.device_calibration (device, id, at, two_qubit_error, readout_error, data, recorded_at) "
        "SELECT $1, $2, $3, $4, $5, $6, $7 "
        "WHERE NOT EXISTS (SELECT FROM scheduler.device_calibration WHERE device = $1 AND id = $2) "
        "ON CONFLICT DO NOTHING",
        backend,
        new.id,
        new.at,
        figure(new.two_qubit_error),
        figure(new.readout_error),
        calibration_told(new),
        now,
    )
    return done == "INSERT 0 1"


async def _append(conn: Conn, backend: str, condition: Condition, *, now: datetime) -> None:
    await conn.execute(
        "INSERT INTO scheduler.device_state (device, recorded_at, condition, detail, queue, windows) "
        "VALUES ($1, $2, $3::text::scheduler.device_condition, $4, $5, $6)",
        backend,
        now,
        condition.state.value,
        condition.detail,
        condition.queue,
        windows_told(condition.windows),
    )


# -- what others read --------------------------------------------------------------------------------------------------


async def devices(conn: Conn) -> list[Registered]:
    """All, by name, with the latest calibration's summary."""
    return [_registered(row) for row in await conn.fetch(f"{_DEVICE} ORDER BY d.backend")]


async def device(conn: Conn, backend: str, *, calibrated: bool = True) -> Registered | None:
    """One, with the whole of its latest calibration where that is asked for."""
    row = await conn.fetchrow(f"{_DEVICE} WHERE d.backend = $1", backend)
    if row is None or not calibrated:
        return None if row is None else _registered(row)
    data = await conn.fetchval(
        "SELECT data FROM scheduler.device_calibration WHERE device = $1 AND id = $2", backend, row["calibration_id"]
    )
    return _registered(row, data)


async def calibrations(
    conn: Conn, backend: str, *, before: tuple[datetime, str] | None, limit: int
) -> list[CalibrationThen]:
    """Newest first, without their data. before: (recorded_at, id) of the last one seen."""
    at, last = before or (None, None)
    rows = await conn.fetch(
        "SELECT id, at, two_qubit_error, readout_error, recorded_at FROM scheduler.device_calibration "
        "WHERE device = $1 AND ($2::timestamptz IS NULL OR (recorded_at, id) < ($2, $3::text)) "
        "ORDER BY recorded_at DESC, id DESC LIMIT $4",
        backend,
        at,
        last,
        limit,
    )
    return [
        CalibrationThen(calibration=_calibration(row["id"], row["at"], row, None), recorded_at=row["recorded_at"])
        for row in rows
    ]


async def calibration(conn: Conn, backend: str, calibration_id: str) -> CalibrationThen | None:
    """One with its data."""
    row = await conn.fetchrow(
        "SELECT id, at, two_qubit_error, readout_error, data, recorded_at FROM scheduler.device_calibration "
        "WHERE device = $1 AND id = $2",
        backend,
        calibration_id,
    )
    if row is None:
        return None
    return CalibrationThen(
        calibration=_calibration(row["id"], row["at"], row, row["data"]), recorded_at=row["recorded_at"]
    )


async def history(conn: Conn, backend: str, *, limit: int) -> list[ConditionThen]:
    """What its condition was, newest first."""
    rows = await conn.fetch(
        "SELECT recorded_at, condition::text, detail, queue, windows FROM scheduler.device_state "
        "WHERE device = $1 ORDER BY recorded_at DESC LIMIT $2",
        backend,
        limit,
    )
    return [ConditionThen(recorded_at=row["recorded_at"], condition=_condition(row)) for row in rows]


async def waiting_at(conn: Conn) -> dict[str, int]:
    """Jobs in our queue by backend, everybody's."""
    return {row["backend"]: row["jobs"] for row in await conn.fetch("SELECT * FROM scheduler.waiting_by_backend()")}


def _condition(row: asyncpg.Record) -> Condition:
    return Condition(
        state=DeviceState(row["condition"]),
        detail=row["detail"],
        queue=row["queue"],
        windows=windows_read(row["windows"]),
    )


def _registered(row: asyncpg.Record, data: Mapping[str, object] | None = None) -> Registered:
    windows: Sequence[OfflineWindow] = windows_read(row["windows"])
    name = row["calibration_id"]
    return Registered(
        backend=row["backend"],
        device=Device(
            name=row["name"],
            vendor=row["vendor"],
            technology=row["technology"],
            qubits=row["qubits"],
            basis_gates=tuple(row["basis_gates"]),
            coupling=pairs(row["coupling"]),
            simulator=row["simulator"],
            domestic=row["domestic"],
            sessions=row["sessions"],
            max_shots=row["max_shots"],
            max_circuits=row["max_circuits"],
            clops=row["clops"],
            quantum_volume=row["quantum_volume"],
            state=DeviceState(row["condition"]),
            detail=row["detail"],
            queue=row["queue"],
            windows=windows,
            calibration=None if name is None else _calibration(name, row["calibrated_at"], row, data),
            observed_at=row["heard_at"],
        ),
        since=row["condition_since"],
        heard_at=row["heard_at"],
    )


def _calibration(name: str, at: datetime | None, row: asyncpg.Record, data: Mapping[str, object] | None) -> Calibration:
    return Calibration(
        id=name,
        at=at,
        qubits=() if data is None else qubits_read(data),
        gates=() if data is None else gates_read(data),
        two_qubit_error=row["two_qubit_error"],
        readout_error=row["readout_error"],
    )
