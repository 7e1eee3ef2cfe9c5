"""The register of devices for whoever is signed in: it is the same for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.db.connection import Conn
from scheduler.cursor import word_cursor_of, word_position_of
from scheduler.devices import CalibrationThen, ConditionThen, Registered
from scheduler.errors import BadLimit, CalibrationNotFound, DeviceNotFound
from scheduler.service.reading import MAX_PAGE
from scheduler.store import devices as store


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationPage:
    """Newest first. next_cursor: None on the last page."""

    items: Sequence[CalibrationThen]
    next_cursor: str | None


async def devices(conn: Conn) -> Sequence[Registered]:
    """Every device that was ever heard of, by name."""
    return await store.devices(conn)


async def device(conn: Conn, name: str) -> Registered:
    """One with its latest calibration. DeviceNotFound."""
    found = await store.device(conn, name)
    if found is None:
        raise DeviceNotFound(device=name)
    return found


async def calibrations(conn: Conn, name: str, *, limit: int = 50, cursor: str | None = None) -> CalibrationPage:
    """Its calibrations as we heard of them, without their data. DeviceNotFound, BadCursor, BadLimit."""
    if not 1 <= limit <= MAX_PAGE:
        raise BadLimit(requested=limit, limit=MAX_PAGE)
    before = None if cursor is None else word_position_of(cursor)
    await device(conn, name)
    found = await store.calibrations(conn, name, before=before, limit=limit + 1)
    more = len(found) > limit
    page = found[:limit]
    last = page[-1] if more else None
    return CalibrationPage(
        items=page, next_cursor=None if last is None else word_cursor_of(last.recorded_at, last.calibration.id)
    )


async def calibration(conn: Conn, name: str, calibration_id: str) -> CalibrationThen:
    """One with its data: what a result was made under. CalibrationNotFound."""
    found = await store.calibration(conn, name, calibration_id)
    if found is None:
        raise CalibrationNotFound(device=name, calibration=calibration_id)
    return found


async def device_history(conn: Conn, name: str, *, limit: int = 50) -> Sequence[ConditionThen]:
    """What its condition was, newest first."""
    return await store.history(conn, name, limit=limit)


async def waiting_at(conn: Conn) -> Mapping[str, int]:
    """How many jobs of ours, everybody's, wait in our queue for each backend."""
    return await store.waiting_at(conn)
