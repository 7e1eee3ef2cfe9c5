"""Prepaid value that comes back when its lot has lapsed meanwhile: it becomes a lot of today.

The customer paid it and did use it in time; that it comes back is a decision or a correction of ours. So it lapses no
sooner than what is paid in today. What lapsed unused, in a wallet or in a hold, stays lapsed; and so do grants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from infra.db.connection import Conn
from pricing import prepaid
from pricing.ledger.balances import Draw
from pricing.ledger.templates import InvoiceMove, transaction_id
from pricing.model import LotKind
from pricing.store import ledger as store

_REASON = "given back after it lapsed"


async def renewed_lots(
    conn: Conn, before: Draw, after: Draw, organisation_id: UUID, *, key: Iterable[object], now: datetime
) -> Mapping[UUID, UUID]:
    """Lapsed lot → the lot of today, for what a smaller charge gives back; empty where nothing has lapsed.

    key: of the posting. Its wallet is locked.
    """
    lapsed = [
        was.lot_id
        for was, left in zip(before.by_lot, after.by_lot, strict=True)
        if was.kind is LotKind.PREPAID and left.amount_micro_yen < was.amount_micro_yen
        if was.expires_at is not None and was.expires_at <= now
    ]
    if not lapsed:
        return {}
    return dict.fromkeys(lapsed, await _lot(conn, organisation_id, key, now))


async def renewed_moves(conn: Conn, moves: Sequence[InvoiceMove], *, now: datetime) -> list[InvoiceMove]:
    """The same, what a month's document gives back going to a lot of today where its own has lapsed."""
    lots = [each.prepaid_lot for each in moves if each.prepaid_lot and each.given_back_yen > 0]
    lapsed = await store.lapsed(conn, lots, now=now) if lots else set()
    return [
        replace(each, prepaid_lot=await _lot(conn, each.organisation_id, (each.document_id,), now))
        if each.given_back_yen > 0 and each.prepaid_lot in lapsed
        else each
        for each in moves
    ]


async def _lot(conn: Conn, organisation_id: UUID, key: Iterable[object], now: datetime) -> UUID:
    lot_id = transaction_id("lot", organisation_id, LotKind.PREPAID, *key)
    await store.add_lot(
        conn,
        lot_id=lot_id,
        organisation_id=organisation_id,
        kind=LotKind.PREPAID,
        expires_at=prepaid.expiry(now),
        reason=_REASON,
        created_by=None,
        now=now,
    )
    return lot_id
