"""What metering does with a row of accounting, inside the caller's transaction, and the figures it can give."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from accounts.service import append_audit
from hpc_adapters.contract import UsageRow
from infra.db.connection import Conn
from metering.definitions import calculate
from metering.errors import Unreadable, UnreadableRow
from metering.kpi import Facts
from metering.periods import Period
from metering.report import Report
from metering.rows import Derived, check, check_time, derive, is_news, next_revision
from metering.store import collection as store
from metering.store import facts as facts_store
from metering.windows import clipped
from pricing.model import BillableAttempt, UsageToRate
from pricing.service import billing_of, offering, record_usage


class Taken(StrEnum):
    """What became of a row."""

    SAME = "same"
    """Said before: nothing was written."""
    BILLED = "billed"
    """Written, with usage, and handed to pricing."""
    OUTSIDE_PORTAL = "outside-portal"
    """Written; it belongs to no attempt and is never billed."""
    UNKNOWN_ATTEMPT = "unknown-attempt"
    """Written; it names an attempt that we do not have on that backend, and is never billed."""


async def take_row(conn: Conn, row: UsageRow, *, backend: str, complete: bool, now: datetime) -> Taken:
    """One final row of a backend's accounting: stored, turned into usage, handed to pricing; all of it or nothing.

    complete: with this row the accounting of its attempt is complete. UnreadableRow when it cannot be true.
    """
    check(row)
    known = (await store.newest_revisions(conn, backend, [row.natural_key])).get(row.natural_key)
    if not is_news(row, known):
        return Taken.SAME
    billing = await _billing(conn, row, backend)
    taken = _kind_of(row, billing)
    revision = next_revision(backend, row, known)
    unbilled = None if taken is Taken.BILLED else taken.value
    if not await store.insert_row(conn, row, revision, backend=backend, unbilled=unbilled, now=now):
        return Taken.SAME  # another worker was faster
    before = {} if known is None else await store.usage_of_row(conn, known.row_id)
    if any(attempt_id != row.attempt_id for _, attempt_id in before.values()):
        raise UnreadableRow(Unreadable.ATTEMPT_CHANGED)
    if billing is not None:
        check_time(row, opened_at=billing.opened_at, now=now)
        usages = derive(revision.row_id, row.components, {name: record for name, (record, _) in before.items()})
        await store.insert_usage(conn, usages, row=row, revision=revision, backend=backend, billing=billing, now=now)
        handed_over = [_to_rate(usage, row) for usage in usages]
        await record_usage(conn, handed_over, attempt_id=billing.attempt_id, final=complete, now=now)
        if await store.counts_twice(conn, revision.row_id):  # asked under the wallet's lock: the other one is seen
            raise UnreadableRow(Unreadable.COUNTED_ALREADY)
    return taken


async def conclude_attempt(conn: Conn, attempt_id: UUID, *, backend: str, now: datetime) -> bool:
    """The backend has nothing more to say of an ended attempt: it can be settled with what there is.

    True when there is no record at all: then the audit trail says that it was settled without one.
    """
    without_record = not await store.has_rows(conn, attempt_id)
    await record_usage(conn, [], attempt_id=attempt_id, final=True, now=now)
    if without_record:  # the trail's lock after the wallet's, as everywhere
        await append_audit(
            conn,
            actor=None,
            organisation_id=None,
            action="usage.none",
            subject=f"attempt:{attempt_id}",
            facts={"backend": backend},
            now=now,
        )
    return without_record


async def _billing(conn: Conn, row: UsageRow, backend: str) -> BillableAttempt | None:
    """Whose run it is; None: nobody's. A backend is not believed about attempts that were never its own."""
    billing = None if row.attempt_id is None else await billing_of(conn, row.attempt_id)
    if billing is None or (await offering(conn, billing.offering_id)).backend != backend:
        return None
    return billing


def _kind_of(row: UsageRow, billing: BillableAttempt | None) -> Taken:
    if billing is not None:
        return Taken.BILLED
    return Taken.OUTSIDE_PORTAL if row.attempt_id is None else Taken.UNKNOWN_ATTEMPT


def _to_rate(usage: Derived, row: UsageRow) -> UsageToRate:
    if row.ended_at is None:
        raise UnreadableRow(Unreadable.NO_END)
    return UsageToRate(
        usage_record_id=usage.usage_record_id,
        supersedes=usage.supersedes,
        component=usage.component,
        quantity=usage.quantity,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


async def facts_of(conn: Conn, period: Period, *, as_known_at: datetime) -> Facts:
    """What the figures of a period may use, as known at an instant. Also for whoever needs the persons themselves."""
    window = clipped(period.window, as_known_at)
    return Facts(
        window=window,
        members=await facts_store.members(conn, as_known_at=as_known_at),
        uses=await facts_store.uses(conn, window, as_known_at=as_known_at),
        units=await facts_store.units(conn, as_known_at=as_known_at),
        money=await facts_store.money(conn, period, as_known_at=as_known_at),
    )


async def gpu_seconds(conn: Conn, *, backend: str) -> Mapping[UUID, Decimal]:
    """What each organisation has used of a backend's GPUs in all, charged or not."""
    return await facts_store.gpu_seconds(conn, backend=backend)


async def kpis(conn: Conn, period: Period, *, as_known_at: datetime) -> Report:
    """Every figure for a period, as known at an instant. Give it one snapshot: transaction(…, snapshot=True)."""
    facts = await facts_of(conn, period, as_known_at=as_known_at)
    return Report(period=period, as_known_at=as_known_at, figures=calculate(facts))
