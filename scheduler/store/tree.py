"""The share tree as it is set, and what each branch of it has used."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from infra.db.ahead import Look, Row, rows_of
from infra.db.connection import Conn
from scheduler.core.branches import Branch, branches_of
from scheduler.core.fairshare import MICRO
from scheduler.core.snapshot import Limits, Place

_FORGOTTEN_AFTER_HALF_LIVES = 20  # a millionth is left
_LIMITS = (
    "max_queued_jobs, max_running_jobs, max_gpus, max_month_micro_nu, max_borrow_percent, max_lend_percent, "
    "reserved_units"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRow:
    """Weight (None: a backend has none) and limits of a branch on a backend (None: in total), from an instant on."""

    place: Place
    weight: int | None
    limits: Limits
    effective_at: datetime
    reason: str
    set_by: UUID | None = None
    recorded_at: datetime | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """What is set at an instant: weights of branches, limits of places."""

    weights: Mapping[Branch, int] = field(default_factory=dict)
    limits: Mapping[Place, Limits] = field(default_factory=dict)


async def settings(
    conn: Conn, *, at: datetime, organisation_id: UUID | None = None, leaf: tuple[UUID, UUID, UUID] | None = None
) -> Settings:
    """Of all organisations, of one, or of the branches of one leaf."""
    rows = await rows_of(conn, settings_look(at=at, organisation_id=organisation_id, leaf=leaf))
    return Settings(
        weights={_place(row)[0]: row["weight"] for row in rows if row["backend"] is None},
        limits={_place(row): _limits(row) for row in rows},
    )


def settings_look(
    *, at: datetime, organisation_id: UUID | None = None, leaf: tuple[UUID, UUID, UUID] | None = None
) -> Look:
    """What settings() asks."""
    return Look(
        f"SELECT DISTINCT ON (organisation_id, project_id, person_id, backend) organisation_id, project_id, person_id, "  # noqa: S608  our own words
        f"backend, weight, {_LIMITS} FROM scheduler.share WHERE effective_at <= $1 "
        "AND ($2::uuid IS NULL OR organisation_id = $2) "
        "AND ($3::uuid IS NULL OR ((project_id IS NULL OR project_id = $3) AND (person_id IS NULL OR person_id = $4))) "
        "ORDER BY organisation_id, project_id, person_id, backend, effective_at DESC",
        (at, organisation_id if leaf is None else leaf[0], *((None, None) if leaf is None else leaf[1:])),
    )


async def history(conn: Conn, organisation_id: UUID) -> Sequence[ShareRow]:
    """Everything that was ever set for an organisation and below it, the newest last."""
    rows = await conn.fetch(
        f"SELECT organisation_id, project_id, person_id, backend, weight, {_LIMITS}, effective_at, reason, set_by, "  # noqa: S608  our own words
        "recorded_at, version FROM scheduler.share WHERE organisation_id = $1 ORDER BY version",
        organisation_id,
    )
    return [
        ShareRow(
            place=_place(row),
            weight=row["weight"],
            limits=_limits(row),
            effective_at=row["effective_at"],
            reason=row["reason"],
            set_by=row["set_by"],
            recorded_at=row["recorded_at"] or row["effective_at"],
            version=row["version"],
        )
        for row in rows
    ]


async def add(conn: Conn, new: ShareRow) -> int | None:
    """Its version. None: this instant has one of this place already."""
    branch, backend = new.place
    organisation_id, project_id, person_id = (*branch, None, None)[:3]
    version = await conn.fetchval(
        f"INSERT INTO scheduler.share (organisation_id, project_id, person_id, backend, weight, {_LIMITS}, "  # noqa: S608  our own words
        "effective_at, reason, set_by, recorded_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) "
        "ON CONFLICT DO NOTHING RETURNING version",
        organisation_id,
        project_id,
        person_id,
        backend,
        new.weight,
        new.limits.max_queued_jobs,
        new.limits.max_running_jobs,
        new.limits.max_gpus,
        new.limits.max_month_micro_nu,
        new.limits.max_borrow_percent,
        new.limits.max_lend_percent,
        new.limits.reserved_units,
        new.effective_at,
        new.reason,
        new.set_by,
        new.recorded_at,
    )
    return None if version is None else int(version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """Jobs of one user in one project that wait for a backend, or are with it: how many, and what they hold."""

    leaf: tuple[UUID, UUID, UUID]
    backend: str
    is_queued: bool
    jobs: int
    gpus: int
    micro_nu: int


async def alive(conn: Conn, organisation_id: UUID) -> Sequence[Alive]:
    """All that lives of an organisation. Calls are no jobs."""
    rows = await conn.fetch(
        "SELECT j.project_id, j.person_id, a.backend, a.state = 'QUEUED' AS is_queued, count(*) AS jobs, "
        "sum(a.gpus) AS gpus, sum(a.nu) AS nu FROM scheduler.attempt a JOIN scheduler.job j ON j.id = a.job_id "
        "WHERE a.organisation_id = $1 AND a.state IN ('QUEUED', 'DISPATCHING', 'RUNNING', 'CANCELLING') "
        "AND a.ordinal > 0 GROUP BY 1, 2, 3, 4",
        organisation_id,
    )
    return [
        Alive(
            leaf=(organisation_id, row["project_id"], row["person_id"]),
            backend=row["backend"],
            is_queued=row["is_queued"],
            jobs=row["jobs"],
            gpus=row["gpus"],
            micro_nu=micro(row["nu"]),
        )
        for row in rows
    ]


# -- use ---------------------------------------------------------------------------------------------------------------


async def used_micro_nu(
    conn: Conn, *, at: datetime, half_life: timedelta, organisation_id: UUID | None = None
) -> dict[Branch, int]:
    """Decayed use of every branch that has one.

    It is core.fairshare.decayed() summed up where the rows are; a test compares the two.
    """
    rows = await conn.fetch(
        "SELECT organisation_id, project_id, person_id, sum(nu * power(0.5::float8, "
        "greatest(0, extract(epoch FROM $1::timestamptz - charged_at)::float8) / $2::float8)) AS used "
        "FROM scheduler.fairshare_charge WHERE charged_at > $3 AND ($4::uuid IS NULL OR organisation_id = $4) "
        "GROUP BY organisation_id, project_id, person_id",
        at,
        half_life.total_seconds(),
        at - _FORGOTTEN_AFTER_HALF_LIVES * half_life,
        organisation_id,
    )
    used: dict[Branch, float] = {}
    for row in rows:
        for branch in branches_of((row["organisation_id"], row["project_id"], row["person_id"])):
            used[branch] = used.get(branch, 0.0) + row["used"]
    return {branch: micro(nu) for branch, nu in used.items()}


async def month_micro_nu(conn: Conn, places: Collection[Place], *, since: datetime) -> dict[Place, int]:
    """What attempts that ended since then have used, of these places."""
    organisations = sorted({branch[0] for branch, _ in places if branch[0] is not None})
    if not organisations:
        return {}
    rows = await conn.fetch(
        "SELECT organisation_id, project_id, person_id, backend, sum(nu) AS used FROM scheduler.fairshare_charge "
        "WHERE charged_at >= $1 AND organisation_id = ANY($2) GROUP BY organisation_id, project_id, person_id, backend",
        since,
        organisations,
    )
    used: dict[Place, float] = {}
    for row in rows:
        for branch in branches_of((row["organisation_id"], row["project_id"], row["person_id"])):
            for backend in (None, row["backend"]):
                used[branch, backend] = used.get((branch, backend), 0.0) + row["used"]
    return {place: micro(used[place]) for place in places if place in used}


def micro(nu: float) -> int:
    return round(nu * MICRO)


def _place(row: Row) -> Place:
    path = row["organisation_id"], row["project_id"], row["person_id"]
    return path[: 3 - path.count(None)], row["backend"]


def _limits(row: Row) -> Limits:
    return Limits(
        max_queued_jobs=row["max_queued_jobs"],
        max_running_jobs=row["max_running_jobs"],
        max_gpus=row["max_gpus"],
        max_month_micro_nu=row["max_month_micro_nu"],
        max_borrow_percent=row["max_borrow_percent"],
        max_lend_percent=row["max_lend_percent"],
        reserved_units=row["reserved_units"],
    )
