"""The SQL of who runs as whom on a site."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from accounts.model import SiteUser, Standing
from infra.db.ahead import Look, row_of
from infra.db.connection import Conn

_NAMES = ("backend", "unix_user", "organisation_id", "person_id", "account", "created_at", "removed_at")
_COLUMNS = ", ".join(f"s.{name}" for name in _NAMES)


_OF_A_MEMBER = (
    f"SELECT {_COLUMNS} FROM accounts.site_user s "  # noqa: S608  no value is in it
    "WHERE s.backend = $1 AND s.organisation_id = $2 AND (s.person_id = $3 OR s.person_id IS NULL) "
    "AND s.removed_at IS NULL AND EXISTS (SELECT FROM accounts.membership m "
    "WHERE m.organisation_id = $2 AND m.person_id = $3 AND m.until IS NULL) "
    "ORDER BY s.person_id NULLS LAST LIMIT 1"
)


async def site_user(conn: Conn, *, backend: str, organisation_id: UUID, person_id: UUID) -> SiteUser | None:
    """The person's own row, else the organisation's; None also for whoever is no member."""
    found = await row_of(conn, site_user_look(backend=backend, organisation_id=organisation_id, person_id=person_id))
    return SiteUser(**found) if found else None


def site_user_look(*, backend: str, organisation_id: UUID, person_id: UUID) -> Look:
    """What site_user() asks."""
    return Look(_OF_A_MEMBER, (backend, organisation_id, person_id))


async def standing_and_user(
    conn: Conn, *, backend: str, organisation_id: UUID, person_id: UUID, at: datetime
) -> tuple[Standing, SiteUser | None]:
    """Of an organisation that there is, with site_user(), in one statement."""
    look = standing_look(backend=backend, organisation_id=organisation_id, person_id=person_id, at=at)
    row = await row_of(conn, look)
    if row is None:
        raise LookupError(f"there is no organisation {organisation_id}")
    user = {name: row[name] for name in _NAMES}
    standing = Standing(
        organisation_id=organisation_id,
        suspended_at=row["suspended_at"],
        is_declared=row["is_declared"],
        expired_at=row["expired_at"],
    )
    return standing, None if user["backend"] is None else SiteUser(**user)


def standing_look(*, backend: str, organisation_id: UUID, person_id: UUID, at: datetime) -> Look:
    """What standing_and_user() asks."""
    return Look(
        "SELECT o.suspended_at, EXISTS (SELECT FROM accounts.declaration d "  # noqa: S608  no value is in it
        "WHERE d.organisation_id = o.id AND d.valid_from <= $4 AND $4 < d.valid_until) AS is_declared, "
        "(SELECT max(d.valid_until) FROM accounts.declaration d "
        "WHERE d.organisation_id = o.id AND d.valid_until <= $4) AS expired_at, u.* FROM accounts.organisation o "
        f"LEFT JOIN LATERAL ({_OF_A_MEMBER}) u ON true WHERE o.id = $2",
        (backend, organisation_id, person_id, at),
    )


async def by_name(conn: Conn, *, backend: str, unix_user: str) -> SiteUser | None:
    """Whoever has or had this name there."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM accounts.site_user s WHERE s.backend = $1 AND s.unix_user = $2",  # noqa: S608
        backend,
        unix_user,
    )
    return SiteUser(**row) if row else None


async def current_of(conn: Conn, *, backend: str, organisation_id: UUID, person_id: UUID | None) -> SiteUser | None:
    """The very row of a person, or (None) of the organisation."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM accounts.site_user s WHERE s.backend = $1 AND s.organisation_id = $2 "  # noqa: S608
        "AND s.person_id IS NOT DISTINCT FROM $3 AND s.removed_at IS NULL",
        backend,
        organisation_id,
        person_id,
    )
    return SiteUser(**row) if row else None


async def account_is_anothers(conn: Conn, *, backend: str, account: str, organisation_id: UUID) -> bool:
    """Whether another organisation has or had this account there."""
    return bool(
        await conn.fetchval(
            "SELECT EXISTS (SELECT FROM accounts.site_user "
            "WHERE backend = $1 AND account = $2 AND organisation_id <> $3)",
            backend,
            account,
            organisation_id,
        )
    )


async def site_users(conn: Conn, *, backend: str) -> list[SiteUser]:
    """Everybody who is or was mapped there."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM accounts.site_user s WHERE s.backend = $1 ORDER BY s.unix_user",  # noqa: S608
        backend,
    )
    return [SiteUser(**row) for row in rows]


async def insert(conn: Conn, user: SiteUser, *, created_by: UUID | None) -> None:
    await conn.execute(
        "INSERT INTO accounts.site_user (backend, unix_user, organisation_id, person_id, account, created_at, "
        "created_by) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        user.backend,
        user.unix_user,
        user.organisation_id,
        user.person_id,
        user.account,
        user.created_at,
        created_by,
    )


async def remove(conn: Conn, *, backend: str, unix_user: str, now: datetime) -> None:
    await conn.execute(
        "UPDATE accounts.site_user SET removed_at = greatest($3, created_at) "
        "WHERE backend = $1 AND unix_user = $2 AND removed_at IS NULL",
        backend,
        unix_user,
        now,
    )


async def of_person(conn: Conn, *, organisation_id: UUID, person_id: UUID) -> list[SiteUser]:
    """What a person has of their own in an organisation, on every backend."""
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM accounts.site_user s WHERE s.organisation_id = $1 AND s.person_id = $2 "  # noqa: S608
        "AND s.removed_at IS NULL ORDER BY s.backend",
        organisation_id,
        person_id,
    )
    return [SiteUser(**row) for row in rows]
