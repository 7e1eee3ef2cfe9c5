"""Watermarks, accounting rows, usage records and capacity."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from hpc_adapters.contract import UsageRow
from infra.db.connection import Conn
from metering.rows import Derived, Revision, components_text
from pricing.model import BillableAttempt


async def collected_to(conn: Conn, backend: str) -> datetime | None:
    watermark: datetime | None = await conn.fetchval(
        "SELECT collected_to FROM metering.collection WHERE backend = $1", backend
    )
    return watermark


async def set_collected_to(conn: Conn, backend: str, *, collected_to: datetime, now: datetime) -> None:
    """Moves the watermark; it never runs backward."""
    await conn.execute(
        """INSERT INTO metering.collection AS c (backend, collected_to, recorded_at) VALUES ($1, $2, $3)
           ON CONFLICT (backend) DO UPDATE
           SET collected_to = greatest(c.collected_to, excluded.collected_to), recorded_at = excluded.recorded_at""",
        backend,
        collected_to,
        now,
    )


async def newest_revisions(conn: Conn, backend: str, natural_keys: Collection[str]) -> dict[str, Revision]:
    """What we have of these records, by natural key."""
    rows = await conn.fetch(
        """SELECT DISTINCT ON (natural_key) natural_key, id, revision, content_sha256
           FROM metering.accounting_row WHERE backend = $1 AND natural_key = ANY($2)
           ORDER BY natural_key, revision DESC""",
        backend,
        [key for key in natural_keys if _may_be_ours(key)],
    )
    return {
        row["natural_key"]: Revision(row_id=row["id"], number=row["revision"], content_sha256=row["content_sha256"])
        for row in rows
    }


def _may_be_ours(key: str) -> bool:
    """No text of ours has a zero byte or half a character; asking for one would fail, and with it all the others."""
    try:
        return b"\0" not in key.encode()
    except UnicodeEncodeError:
        return False


async def insert_row(
    conn: Conn, row: UsageRow, revision: Revision, *, backend: str, unbilled: str | None, now: datetime
) -> bool:
    """False when this revision is there already."""
    status = await conn.execute(
        """INSERT INTO metering.accounting_row (id, backend, natural_key, revision, content_sha256, attempt_id,
               unbilled, started_at, ended_at, final, ending, components, facts, recorded_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING""",
        revision.row_id,
        backend,
        row.natural_key,
        revision.number,
        revision.content_sha256,
        row.attempt_id,
        unbilled,
        row.started_at,
        row.ended_at,
        row.final,
        row.ending.value,
        components_text(row.components),
        dict(row.facts),
        now,
    )
    return status == "INSERT 0 1"


async def usage_of_row(conn: Conn, row_id: UUID) -> dict[str, tuple[UUID, UUID]]:
    """Component → (usage record, attempt) of one revision."""
    rows = await conn.fetch(
        "SELECT component, id, attempt_id FROM metering.usage_record WHERE accounting_row_id = $1", row_id
    )
    return {row["component"]: (row["id"], row["attempt_id"]) for row in rows}


async def counts_twice(conn: Conn, row_id: UUID) -> bool:
    """Whether usage of a row overlaps in time with what another record counts for the same attempt."""
    return bool(
        await conn.fetchval(
            """SELECT EXISTS (
                   SELECT FROM metering.usage_record u
                   JOIN metering.usage_record o
                     ON o.attempt_id = u.attempt_id AND o.component = u.component AND o.id <> u.id
                    AND o.quantity > 0 AND o.started_at < u.ended_at AND u.started_at < o.ended_at
                   WHERE u.accounting_row_id = $1 AND u.quantity > 0
                     AND NOT EXISTS (SELECT FROM metering.usage_record n WHERE n.supersedes = o.id))""",
            row_id,
        )
    )


async def insert_usage(
    conn: Conn,
    usages: Sequence[Derived],
    *,
    row: UsageRow,
    revision: Revision,
    backend: str,
    billing: BillableAttempt,
    now: datetime,
) -> None:
    await conn.executemany(
        """INSERT INTO metering.usage_record (id, accounting_row_id, attempt_id, job_id, organisation_id, project_id,
               person_id, offering_id, backend, component, quantity, started_at, ended_at, revision, supersedes,
               recorded_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)""",
        [
            (
                usage.usage_record_id,
                revision.row_id,
                billing.attempt_id,
                billing.job_id,
                billing.organisation_id,
                billing.project_id,
                billing.person_id,
                billing.offering_id,
                backend,
                usage.component,
                usage.quantity,
                row.started_at,
                row.ended_at,
                revision.number,
                usage.supersedes,
                now,
            )
            for usage in usages
        ],
    )


async def has_rows(conn: Conn, attempt_id: UUID) -> bool:
    """Whether there is any record that is billed to the attempt."""
    return bool(
        await conn.fetchval(
            "SELECT EXISTS (SELECT FROM metering.accounting_row WHERE attempt_id = $1 AND unbilled IS NULL)",
            attempt_id,
        )
    )


async def units_in_service(conn: Conn, backend: str) -> dict[str, int]:
    """Component → units, as last recorded."""
    rows = await conn.fetch(
        """SELECT DISTINCT ON (component) component, units FROM metering.capacity_fact
           WHERE backend = $1 ORDER BY component, effective_at DESC""",
        backend,
    )
    return {row["component"]: row["units"] for row in rows}


async def insert_capacity(conn: Conn, backend: str, *, component: str, units: int, now: datetime) -> None:
    await conn.execute(
        """INSERT INTO metering.capacity_fact (backend, component, units, effective_at, recorded_at)
           VALUES ($1, $2, $3, $4, $4) ON CONFLICT DO NOTHING""",
        backend,
        component,
        units,
        now,
    )
