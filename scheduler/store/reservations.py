"""The calendar and the reservations in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

import asyncpg

from infra.db.connection import Conn, savepoint
from scheduler.core.snapshot import Booking
from scheduler.reservations.model import Closure, Hour, Quota, Reservable, Reservation
from scheduler.store.attempts import resources_of

_FULL = "KY007"  # raised by scheduler.take_reserved_hours()
_FORGOTTEN_AFTER = timedelta(days=7)  # whatever still waits for a reservation that was over has been ended long ago
_INSERTED = "INSERT 0 1"
_RESERVATION = """SELECT r.id, r.organisation_id, r.number, r.person_id, r.offering_id, r.backend, r.units, r.gpus,
    r.cpus, r.memory_mb, r.qpus, r.since, r.until, r.cancel_by, r.booked_at, c.cancelled_at FROM scheduler.reservation r
    LEFT JOIN scheduler.reservation_cancelled c ON c.reservation_id = r.id"""


# -- the calendar ------------------------------------------------------------------------------------------------------


async def lock_calendar(conn: Conn, backend: str) -> None:
    """One booking of a backend at a time, until this transaction ends: so that its refusal can say why."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('scheduler.calendar:' || $1, 0))", backend)


async def hours(conn: Conn, backend: str, *, since: datetime, until: datetime) -> list[Hour]:
    """Every hour of [since, until), which are whole ones, in order."""
    rows = await conn.fetch(
        "SELECT h.hour, scheduler.reservable_units($1, h.hour) AS units, coalesce(r.units, 0) AS reserved "
        "FROM generate_series($2::timestamptz, $3::timestamptz - interval '1 hour', interval '1 hour') AS h (hour) "
        "LEFT JOIN scheduler.reserved_hour r ON r.backend = $1 AND r.hour = h.hour ORDER BY h.hour",
        backend,
        since,
        until,
    )
    return [Hour(row["hour"], row["units"], row["reserved"]) for row in rows]


async def cancel_before_s(conn: Conn, backend: str, day: date) -> int:
    """So long before its beginning a reservation of this day is cancelled without consequence."""
    found = await conn.fetchval(
        "SELECT cancel_before_s FROM scheduler.reservable WHERE backend = $1 AND first_day <= $2 "
        "AND (last_day IS NULL OR $2 <= last_day) ORDER BY id DESC LIMIT 1",
        backend,
        day,
    )
    return int(found or 0)


async def add_reservable(conn: Conn, new: Reservable, *, by: UUID | None, now: datetime) -> None:
    await conn.execute(
        "INSERT INTO scheduler.reservable (backend, first_day, last_day, units, cancel_before_s, set_by, recorded_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7)",
        new.backend,
        new.first_day,
        new.last_day,
        new.units,
        new.cancel_before_s,
        by,
        now,
    )


async def add_closure(conn: Conn, new: Closure, *, by: UUID | None, now: datetime) -> None:
    await conn.execute(
        "INSERT INTO scheduler.closure (id, backend, since, until, reason, set_by, recorded_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7)",
        new.id,
        new.backend,
        new.since,
        new.until,
        new.reason,
        by,
        now,
    )


async def lift_closure(conn: Conn, closure_id: UUID, *, by: UUID | None, now: datetime) -> bool:
    """False: there is none, or it was lifted before."""
    done = await conn.execute(
        "INSERT INTO scheduler.closure_lifted (closure_id, lifted_by, lifted_at) "
        "SELECT id, $2, $3 FROM scheduler.closure WHERE id = $1 ON CONFLICT DO NOTHING",
        closure_id,
        by,
        now,
    )
    return done == _INSERTED


async def closures(conn: Conn, *, now: datetime) -> list[Closure]:
    """Those that are on or to come."""
    rows = await conn.fetch(
        "SELECT c.id, c.backend, c.since, c.until, c.reason FROM scheduler.closure c WHERE c.until > $1 "
        "AND NOT EXISTS (SELECT FROM scheduler.closure_lifted l WHERE l.closure_id = c.id) ORDER BY c.since, c.id",
        now,
    )
    return [Closure(**row) for row in rows]


# -- quotas ------------------------------------------------------------------------------------------------------------


async def quota(conn: Conn, organisation_id: UUID, *, at: datetime) -> Quota | None:
    """None: none was ever set."""
    row = await conn.fetchrow(
        "SELECT max_units, max_unit_hours, max_days_ahead FROM scheduler.reservation_quota "
        "WHERE organisation_id = $1 AND effective_at <= $2 ORDER BY effective_at DESC LIMIT 1",
        organisation_id,
        at,
    )
    return None if row is None else Quota(**row)


async def add_quota(conn: Conn, organisation_id: UUID, new: Quota, *, effective_at: datetime) -> bool:
    """False: this instant has one already."""
    done = await conn.execute(
        "INSERT INTO scheduler.reservation_quota (organisation_id, max_units, max_unit_hours, max_days_ahead, "
        "effective_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        organisation_id,
        new.max_units,
        new.max_unit_hours,
        new.max_days_ahead,
        effective_at,
    )
    return done == _INSERTED


async def own_peak(conn: Conn, organisation_id: UUID, backend: str, *, since: datetime, until: datetime) -> int:
    """The most units of a backend that an organisation has reserved in any hour of [since, until)."""
    found = await conn.fetchval(
        "SELECT coalesce(max(units), 0) FROM (SELECT sum(r.units) AS units FROM scheduler.reservation r "
        "JOIN generate_series($3::timestamptz, $4::timestamptz - interval '1 hour', interval '1 hour') AS h (hour) "
        "ON r.since <= h.hour AND h.hour < r.until WHERE r.organisation_id = $1 AND r.backend = $2 AND NOT EXISTS "
        "(SELECT FROM scheduler.reservation_cancelled c WHERE c.reservation_id = r.id) GROUP BY h.hour) AS hourly",
        organisation_id,
        backend,
        since,
        until,
    )
    return int(found)


# -- reservations ------------------------------------------------------------------------------------------------------


async def next_number(conn: Conn, organisation_id: UUID) -> int:
    """Under the lock of the organisation's queue."""
    found = await conn.fetchval(
        "SELECT coalesce(max(number), 0) + 1 FROM scheduler.reservation WHERE organisation_id = $1", organisation_id
    )
    return int(found)


async def insert(conn: Conn, new: Reservation, *, key: str) -> bool:
    """False, and nothing written: the database has found that there are not so many units. It has the last word."""
    needs = new.needs
    try:
        async with savepoint(conn):
            await conn.execute(
                "INSERT INTO scheduler.reservation (id, organisation_id, number, person_id, offering_id, backend, "
                "units, gpus, cpus, memory_mb, qpus, since, until, cancel_by, idempotency_key, booked_at) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
                *(new.id, new.organisation_id, new.number, new.person_id, new.offering_id, new.backend, new.units),
                *(needs.gpus, needs.cpus, needs.memory_mb, needs.qpus, new.since, new.until, new.cancel_by),
                *(key, new.booked_at),
            )
    except asyncpg.PostgresError as problem:
        if problem.sqlstate != _FULL:
            raise
        return False
    return True


async def cancel(conn: Conn, reservation: Reservation, *, by: UUID, now: datetime) -> None:
    """Once."""
    await conn.execute(
        "INSERT INTO scheduler.reservation_cancelled (reservation_id, organisation_id, cancelled_by, cancelled_at) "
        "VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        reservation.id,
        reservation.organisation_id,
        by,
        now,
    )


async def of_key(conn: Conn, organisation_id: UUID, person_id: UUID, key: str) -> Reservation | None:
    """What the same person booked under the same key."""
    row = await conn.fetchrow(
        f"{_RESERVATION} WHERE r.organisation_id = $1 AND r.person_id = $2 AND r.idempotency_key = $3",
        organisation_id,
        person_id,
        key,
    )
    return None if row is None else _reservation(row)


async def of_number(conn: Conn, organisation_id: UUID, number: int) -> Reservation | None:
    row = await conn.fetchrow(f"{_RESERVATION} WHERE r.organisation_id = $1 AND r.number = $2", organisation_id, number)
    return None if row is None else _reservation(row)


async def of_id(conn: Conn, reservation_id: UUID) -> Reservation | None:
    row = await conn.fetchrow(f"{_RESERVATION} WHERE r.id = $1", reservation_id)
    return None if row is None else _reservation(row)


async def reservations(conn: Conn, *, organisation_id: UUID | None, until_after: datetime | None) -> list[Reservation]:
    """By their beginning; organisation_id None: everybody's. until_after: only those that end later."""
    rows = await conn.fetch(
        f"{_RESERVATION} WHERE ($1::uuid IS NULL OR r.organisation_id = $1) "
        "AND ($2::timestamptz IS NULL OR r.until > $2) ORDER BY r.since, r.number, r.id LIMIT 1000",
        organisation_id,
        until_after,
    )
    return [_reservation(row) for row in rows]


async def add_jobs(conn: Conn, reservation: Reservation, job_ids: Sequence[UUID], *, shorten: bool) -> None:
    """These run in it, and nowhere else."""
    await conn.execute(
        "INSERT INTO scheduler.reservation_job (job_id, organisation_id, reservation_id, shorten) "
        "SELECT job_id, $2, $3, $4 FROM unnest($1::uuid[]) AS jobs (job_id)",
        list(job_ids),
        reservation.organisation_id,
        reservation.id,
        shorten,
    )


def _reservation(row: asyncpg.Record) -> Reservation:
    kinds = {"gpus", "cpus", "memory_mb", "qpus"}
    return Reservation(**{name: value for name, value in row.items() if name not in kinds}, needs=resources_of(row))


# -- what a plan needs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ahead:
    """Reservations and closures that are on or to come."""

    bookings: Sequence[Booking] = ()
    closures: Sequence[Closure] = ()


async def ahead(conn: Conn, *, now: datetime) -> Ahead:
    """One look where nothing is reserved or closed."""
    rows = await conn.fetch(
        "SELECT r.id, r.backend, r.since, r.until, r.gpus, r.cpus, r.memory_mb, r.qpus, NULL::text AS reason, "
        "c.reservation_id IS NOT NULL AS is_cancelled FROM scheduler.reservation r "
        "LEFT JOIN scheduler.reservation_cancelled c ON c.reservation_id = r.id WHERE r.until > $1 UNION ALL "
        "SELECT c.id, c.backend, c.since, c.until, 0, 0, 0, 0, c.reason, false FROM scheduler.closure c "
        "WHERE c.until > $2 AND NOT EXISTS (SELECT FROM scheduler.closure_lifted l WHERE l.closure_id = c.id) "
        "ORDER BY since, id",
        now - _FORGOTTEN_AFTER,
        now,
    )
    closed = [row for row in rows if row["reason"] is not None]
    reserved = [row for row in rows if row["reason"] is None]
    return Ahead(
        bookings=[_booking(row) for row in reserved if now < row["until"] and not row["is_cancelled"]],
        closures=[
            Closure(id=row["id"], backend=row["backend"], since=row["since"], until=row["until"], reason=row["reason"])
            for row in closed
        ],
    )


def _booking(row: asyncpg.Record) -> Booking:
    return Booking(
        reservation_id=row["id"],
        backend=row["backend"],
        needs=resources_of(row),
        since=row["since"],
        until=row["until"],
    )
