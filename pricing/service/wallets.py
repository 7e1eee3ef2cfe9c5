"""Value that comes into a wallet, lapses, or leaves it again; and what lies in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from accounts.service import append_audit
from infra.db.connection import Conn
from pricing import prepaid
from pricing.errors import (
    AlreadyBooked,
    AmountNotPositive,
    GrantExpired,
    InsufficientFunds,
    LedgerConflict,
    MoreThanOwed,
)
from pricing.ledger import templates
from pricing.ledger.balances import LotBalance, spendable
from pricing.ledger.entries import Transaction
from pricing.ledger.templates import Template
from pricing.model import GrantPurpose, LotKind
from pricing.statement import Balance
from pricing.store import ledger as store
from pricing.units import yen_text


async def open_wallet(conn: Conn, *, organisation_id: UUID, now: datetime) -> None:
    """Give an organisation a wallet. Again: nothing happens."""
    await store.add_wallet(conn, organisation_id, now=now)


async def issue_grant(
    conn: Conn,
    *,
    grant_id: UUID,
    organisation_id: UUID,
    amount_micro_yen: int,
    expires_at: datetime,
    reason: str,
    actor: UUID | None,
    now: datetime,
    purpose: GrantPurpose = GrantPurpose.SUBSIDY,
) -> None:
    """Give free value that lapses at `expires_at`. Again with the same id: nothing happens.

    AmountNotPositive, GrantExpired, NoWallet; AlreadyBooked: the id stands for another grant.
    """
    _require_positive(amount_micro_yen)
    await store.lock_wallet(conn, organisation_id)
    granted = templates.issue_grant(
        organisation_id=organisation_id, lot_id=grant_id, amount_micro_yen=amount_micro_yen, at=now
    )
    if expires_at <= now and not await store.is_posted(conn, granted.id):
        raise GrantExpired(expires_at=expires_at.isoformat())
    is_same = await store.add_lot(
        conn,
        lot_id=grant_id,
        organisation_id=organisation_id,
        kind=LotKind.GRANT,
        expires_at=expires_at,
        reason=reason,
        created_by=actor,
        now=now,
        purpose=purpose,
    )
    if not is_same:
        raise AlreadyBooked(id=str(grant_id))
    await _post(conn, granted, key=grant_id, amount_micro_yen=amount_micro_yen, reason=reason, actor=actor, now=now)


async def receive_payment(
    conn: Conn,
    *,
    payment_id: UUID,
    organisation_id: UUID,
    amount_micro_yen: int,
    reason: str,
    actor: UUID | None,
    now: datetime,
    months: int | None = prepaid.LAWFUL_MONTHS,
) -> None:
    """Money came in and becomes prepaid value that lapses before `months` are over (None: never), a lot of its own.

    Again: nothing happens. AmountNotPositive, NoWallet; AlreadyBooked: the id stands for another payment.
    """
    _require_positive(amount_micro_yen)
    await store.lock_wallet(conn, organisation_id)
    booked = await store.parts_of(conn, templates.transaction_id(Template.RECEIVE_PAYMENT, payment_id))
    lot_id = booked[0][0] if booked else templates.transaction_id("lot", organisation_id, LotKind.PREPAID, payment_id)
    paid = templates.receive_payment(
        organisation_id=organisation_id,
        lot_id=lot_id,
        payment_id=payment_id,
        amount_micro_yen=amount_micro_yen,
        at=now,
    )
    if not booked:
        await store.add_lot(
            conn,
            lot_id=lot_id,
            organisation_id=organisation_id,
            kind=LotKind.PREPAID,
            expires_at=prepaid.expiry(now, months=months),
            reason=reason,
            created_by=actor,
            now=now,
        )
    await _post(conn, paid, key=payment_id, amount_micro_yen=amount_micro_yen, reason=reason, actor=actor, now=now)


async def pay_back(
    conn: Conn,
    *,
    payment_id: UUID,
    organisation_id: UUID,
    amount_micro_yen: int,
    reason: str,
    actor: UUID | None,
    now: datetime,
) -> None:
    """Prepaid value goes back to the customer in money, what lapses first first. Again: nothing happens.

    AmountNotPositive, NoWallet, InsufficientFunds; AlreadyBooked: the id stands for another amount.
    """
    _require_positive(amount_micro_yen)
    await store.lock_wallet(conn, organisation_id)
    booked = await store.parts_of(conn, templates.transaction_id(Template.PAY_BACK, payment_id))
    parts = {lot_id: -moved for lot_id, moved in booked}
    if not booked:
        paid = [lot for lot in await store.lots(conn, organisation_id) if lot.kind is LotKind.PREPAID]
        parts = _first_to_lapse(spendable(paid, now), amount_micro_yen)
    elif sum(parts.values()) != amount_micro_yen:
        raise AlreadyBooked(id=str(payment_id))
    back = templates.pay_back(organisation_id=organisation_id, payment_id=payment_id, parts=parts, at=now)
    await _post(conn, back, key=payment_id, amount_micro_yen=amount_micro_yen, reason=reason, actor=actor, now=now)


async def open_credit_line(
    conn: Conn,
    *,
    credit_id: UUID,
    organisation_id: UUID,
    amount_micro_yen: int,
    reason: str,
    actor: UUID | None,
    now: datetime,
) -> None:
    """Open a credit line, or raise it by this amount. Again with the same id: nothing happens. As `issue_grant`."""
    lot_id = await _credit_line(conn, organisation_id, amount_micro_yen, now)
    opened = templates.open_credit_line(
        organisation_id=organisation_id,
        lot_id=lot_id,
        credit_id=credit_id,
        amount_micro_yen=amount_micro_yen,
        at=now,
    )
    await _post(conn, opened, key=credit_id, amount_micro_yen=amount_micro_yen, reason=reason, actor=actor, now=now)


async def repay_credit(
    conn: Conn,
    *,
    payment_id: UUID,
    organisation_id: UUID,
    amount_micro_yen: int,
    reason: str,
    actor: UUID | None,
    now: datetime,
    was_asked: bool = False,
) -> None:
    """Money came in for what was used on credit. AmountNotPositive, NoWallet, MoreThanOwed.

    was_asked: a document asks for it, so it may be more than is owed by now.
    """
    lot_id = await _credit_line(conn, organisation_id, amount_micro_yen, now)
    repaid = templates.repay_credit(
        organisation_id=organisation_id,
        lot_id=lot_id,
        payment_id=payment_id,
        amount_micro_yen=amount_micro_yen,
        at=now,
    )
    owed = await store.owed(conn, organisation_id)
    if not was_asked and owed < amount_micro_yen and not await store.is_posted(conn, repaid.id):
        raise MoreThanOwed(amount_yen=yen_text(amount_micro_yen), owed_yen=yen_text(owed))
    await _post(conn, repaid, key=payment_id, amount_micro_yen=amount_micro_yen, reason=reason, actor=actor, now=now)


async def expire_lots(conn: Conn, *, organisation_id: UUID, now: datetime) -> int:
    """Book what lapsed by now; how many lots it was. What a job holds stays held. NoWallet."""
    await store.lock_wallet(conn, organisation_id)
    lapsed = [
        lot for lot in await store.lots(conn, organisation_id) if lot.is_expired(now) and lot.available_micro_yen > 0
    ]
    for lot in lapsed:
        booked = templates.expire(
            organisation_id=organisation_id,
            lot_id=lot.lot_id,
            ordinal=await store.times_expired(conn, lot.lot_id),
            amount_micro_yen=lot.available_micro_yen,
            at=now,
        )
        await store.post(conn, booked, now=now)
    return len(lapsed)


async def organisations_with_expired_lots(conn: Conn, *, now: datetime, limit: int) -> list[UUID]:
    """For whom `expire_lots` has something to book."""
    return await store.organisations_with_expired(conn, now=now, limit=limit)


async def balance(conn: Conn, organisation_id: UUID, *, now: datetime) -> Balance:
    """What lies in a wallet now. An organisation without a wallet has an empty one."""
    lots = await store.lots(conn, organisation_id)
    return Balance.of(organisation_id, lots, owed_micro_yen=await store.owed(conn, organisation_id), now=now)


def _first_to_lapse(lots: Iterable[LotBalance], amount_micro_yen: int) -> dict[UUID, int]:
    """What to take of lots in their order of consumption. InsufficientFunds."""
    parts: dict[UUID, int] = {}
    left = amount_micro_yen
    for lot in lots:
        taken = min(left, lot.available_micro_yen)
        if taken:
            parts[lot.lot_id] = taken
            left -= taken
    if left:
        available = yen_text(amount_micro_yen - left)
        raise InsufficientFunds(needed_yen=yen_text(amount_micro_yen), available_yen=available)
    return parts


async def _credit_line(conn: Conn, organisation_id: UUID, amount_micro_yen: int, now: datetime) -> UUID:
    """The organisation's one credit line, made when it is first needed; its wallet is locked."""
    _require_positive(amount_micro_yen)
    await store.lock_wallet(conn, organisation_id)
    lot_id = templates.transaction_id("lot", organisation_id, LotKind.CREDIT)
    await store.add_lot(
        conn,
        lot_id=lot_id,
        organisation_id=organisation_id,
        kind=LotKind.CREDIT,
        expires_at=None,
        reason=LotKind.CREDIT.value,
        created_by=None,
        now=now,
    )
    return lot_id


def _require_positive(amount_micro_yen: int) -> None:
    if amount_micro_yen <= 0:
        raise AmountNotPositive(amount_yen=yen_text(amount_micro_yen))


async def _post(
    conn: Conn, booked: Transaction, *, key: UUID, amount_micro_yen: int, reason: str, actor: UUID | None, now: datetime
) -> None:
    """Book it and leave a trace of who decided it; nothing when it is booked already. AlreadyBooked."""
    memo = {"reason": reason} | ({"actor": str(actor)} if actor else {})
    try:
        is_new = await store.post(conn, replace(booked, memo=memo), now=now)
    except LedgerConflict as conflict:
        raise AlreadyBooked(id=str(key)) from conflict
    if is_new:
        await append_audit(
            conn,
            actor=actor,
            organisation_id=booked.organisation_id,
            action=f"wallet.{booked.template}",
            subject=f"transaction:{booked.id}",
            facts={"amount_yen": yen_text(amount_micro_yen), "reason": reason, "id": str(key)},
            now=now,
        )
