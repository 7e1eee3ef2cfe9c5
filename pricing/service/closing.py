"""The close of a month: decided once, done organisation by organisation, gone on with after any interruption.

A batch of organisations is one transaction: under their wallets' locks their documents are made, numbered, frozen
and booked, and the organisations are marked as closed, or nothing of it. So closing twice, two closers at once and a
process that is killed make the same documents with the same numbers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from accounts import service as accounts
from infra.db.connection import Conn, notify
from pricing import billing, closing
from pricing.approvals import sha256_of
from pricing.billing import Account, Bill, Customer, Lots, Named
from pricing.closing import ClosePlan, CloseRules, Findings, MonthState, Step
from pricing.days import Month, day_of
from pricing.document import Document, DocumentKind, fiscal_year
from pricing.invoicing import Cover
from pricing.ledger import templates
from pricing.ledger.templates import transaction_id
from pricing.service import collecting, pricebook
from pricing.service.renewal import renewed_moves
from pricing.store import catalog as catalog_store
from pricing.store import closing as store
from pricing.store import collecting as asked_store
from pricing.store import issued
from pricing.store import ledger as ledger_store
from pricing.store.closing import ClosedAccount

_NOBODY = UUID(int=0)
_LOOK = 500
MOST_MONTHS = 24


async def mark_ended(conn: Conn, *, now: datetime) -> int:
    """Note which months are over; how many that is. As the worker."""
    first = await store.first_day(conn)
    if first is None:
        return 0
    known = {each.month for each in await store.steps(conn)}
    month, marked = min(known, default=Month.of(first)), 0
    while month.until <= now:
        if month not in known:
            marked += await store.add_step(conn, month, Step.GRACE, decided_by=None, facts={}, now=now)
        month = month.following
    return marked


async def months(conn: Conn, *, now: datetime) -> list[MonthState]:
    """Every month from the first that anything happened in to the present one (24 at most); as an operator."""
    first = await store.first_day(conn)
    known = {each.month: each for each in await store.steps(conn)}
    month = min([*known, *([Month.of(day_of(now))] if first is None else [Month.of(first)])])
    found = []
    while month.since <= now:
        step = Step.GRACE if month.until <= now else Step.DRAFT
        found.append(known.get(month) or MonthState(month=month, step=step))
        month = month.following
    return found[-MOST_MONTHS:]


async def state_of(conn: Conn, month: Month, *, now: datetime) -> MonthState:
    """How far a month has come."""
    found = [each for each in await store.steps(conn, since=month) if each.month == month]
    return found[0] if found else MonthState(month=month, step=Step.GRACE if month.until <= now else Step.DRAFT)


async def findings(conn: Conn, month: Month, *, unexplained: int | None, now: datetime) -> Findings:
    """What is known about a month. unexplained: what reconciliation says; None: it was not asked."""
    open_months = [each.month for each in await months(conn, now=now) if each.step is not Step.CLOSED]
    return Findings(
        earlier_open=next((each for each in open_months if each < month), None),
        unsettled=await store.unsettled(conn, month),
        unexplained=unexplained,
    )


async def begin_close(
    conn: Conn,
    month: Month,
    *,
    unexplained: int | None,
    rules: CloseRules,
    leave_unsettled: str | None = None,
    actor: UUID | None,
    now: datetime,
) -> MonthState:
    """Decide that a month is closed; the worker's loop does it. Again: nothing happens. As an operator.

    unexplained, leave_unsettled: closing.require_closable, with its refusals.
    """
    before = await state_of(conn, month, now=now)
    if before.step in {Step.CLOSING, Step.CLOSED}:
        return before
    known = await findings(conn, month, unexplained=unexplained, now=now)
    closing.require_closable(month, known, rules, leave_unsettled=leave_unsettled, now=now)
    facts = closing.decision(known, rules, leave_unsettled=leave_unsettled, now=now)
    if await store.add_step(conn, month, Step.CLOSING, decided_by=actor, facts=facts, now=now):
        await notify(conn, "closing")
        said = {name: facts[name] for name in ("issue_date", "unsettled", "leave_unsettled")}
        await accounts.append_audit(
            conn, actor=actor, organisation_id=None, action="month.close", subject=f"month:{month}", facts=said, now=now
        )
    return await state_of(conn, month, now=now)


async def closing_month(conn: Conn) -> ClosePlan | None:
    """The month whose documents are being issued."""
    found = [each for each in await store.steps(conn) if each.step is Step.CLOSING]
    return closing.plan_of(found[0].month, found[0].facts or {}) if found else None


async def close_some(conn: Conn, plan: ClosePlan, *, limit: int, now: datetime) -> int:
    """Close the next organisations, at most so many; how many it was. As the worker, one transaction."""
    taken = await store.take(conn, plan.month, limit=limit)
    if not taken:
        return 0
    bills = [billing.bill(each, plan, now=now) for each in await _accounts(conn, taken, plan.month)]
    documents = await _documents(conn, bills, plan, now=now)
    await issued.add_documents(conn, documents)
    ids = {each.organisation_id: each.id for each in documents}
    await store.add_closed(
        conn,
        plan.month,
        [_closed(each, ids.get(each.account.customer.organisation_id)) for each in bills],
        now=now,
    )
    told = [each for each in bills if each.kind is not None]
    moves = [billing.posting(each, ids[each.account.customer.organisation_id], at=now) for each in told]
    booked = [templates.invoice(each) for each in await renewed_moves(conn, moves, now=now)]
    await ledger_store.post_all(conn, [each for each in booked if each is not None], now=now)
    await collecting.request_all(conn, documents, now=now)
    await _credit(conn, bills, documents, now=now)
    return len(taken)


async def _credit(conn: Conn, bills: Sequence[Bill], documents: Sequence[Document], *, now: datetime) -> None:
    """Lower what is open of earlier documents, as the new ones say."""
    issued_to = {each.organisation_id: each for each in documents}
    for each in bills:
        for of, yen in each.lowers:
            note = issued_to[of.organisation_id]
            await collecting.credit(conn, of.document_id, note_id=note.id, number=note.number, amount_yen=yen, now=now)


async def finish_close(conn: Conn, month: Month, *, now: datetime) -> bool:
    """Say that a month is closed, when every organisation is. As the worker."""
    closed = await store.finish(conn, month)
    if closed is None:
        return False
    return await store.add_step(conn, month, Step.CLOSED, decided_by=None, facts=closed.facts, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a close would issue to an organisation."""

    customer: Customer
    kind: DocumentKind
    total_yen: int
    prepaid_applied_yen: int
    carried_in_yen: int
    carried_out_yen: int
    amount_due_yen: int


async def preview(conn: Conn, month: Month, rules: CloseRules, *, now: datetime) -> AsyncIterator[Preview]:
    """Everything that closing the month now would issue, by organisation; issues nothing. In one snapshot."""
    facts = closing.decision(
        Findings(earlier_open=None, unsettled=0, unexplained=None), rules, leave_unsettled=None, now=now
    )
    plan, after = closing.plan_of(month, facts), _NOBODY
    while found := await store.to_close(conn, month, after=after, limit=_LOOK):
        after = found[-1]
        for account in await _accounts(conn, found, month):
            made = billing.bill(account, plan, now=now)
            if made.kind is not None:
                yield _preview(made, made.kind)


def _preview(made: Bill, kind: DocumentKind) -> Preview:
    amounts = made.amounts
    return Preview(
        customer=made.account.customer,
        kind=kind,
        total_yen=amounts.total_yen,
        prepaid_applied_yen=amounts.prepaid_applied_yen,
        carried_in_yen=amounts.carried_in_yen,
        carried_out_yen=amounts.carried_out_yen,
        amount_due_yen=amounts.amount_due_yen,
    )


async def _accounts(conn: Conn, organisations: Sequence[UUID], month: Month) -> list[Account]:
    sums = await store.sums(conn, organisations, month)
    usage = {organisation: each.usage for organisation, each in sums.items()}
    covers = {organisation: each.covers for organisation, each in sums.items()}
    corrected = [organisation for organisation, used in usage.items() if any(each.corrects for each in used)]
    originals = await store.originals(conn, corrected, month) if corrected else {}
    carried = await store.carried(conn, organisations, month)
    lots = await store.lots(conn, list(usage))
    unpaid = await asked_store.open_of(conn, [each for each in usage if _may_give_back(each, covers, carried)])
    less = await pricebook.extras(conn, month, usage, covers)
    return [
        Account(
            customer=Customer(organisation_id=each.id, name=each.name, corporate_number=each.corporate_number),
            usage=usage.get(each.id, ()),
            covers=covers.get(each.id, ()),
            extras=less.get(each.id, ()),
            carried_in_yen=carried.get(each.id, 0),
            originals=originals.get(each.id, {}),
            lots=lots.get(each.id, Lots()),
            open=unpaid.get(each.id, ()),
        )
        for each in await accounts.organisations_among(conn, organisations)
    ]


def _may_give_back(organisation: UUID, covers: Mapping[UUID, Sequence[Cover]], carried: Mapping[UUID, int]) -> bool:
    back = sum(each.credit_micro_yen for each in covers.get(organisation, ()))
    return back < 0 or carried.get(organisation, 0) < 0


async def _documents(conn: Conn, bills: Sequence[Bill], plan: ClosePlan, *, now: datetime) -> list[Document]:
    """Numbered in the order of the bills, each kind by itself."""
    told = [each for each in bills if each.kind is not None]
    organisations = [each.account.customer.organisation_id for each in told]
    projects = {
        each.id: Named(id=each.slug, ja=each.name, en=each.name)
        for each in await accounts.projects_of(conn, organisations)
    }
    offerings = {
        each.id: Named(id=each.id, ja=each.title_ja, en=each.title_en)
        for each in await catalog_store.offerings(conn, retired=True)
    }
    year = fiscal_year(plan.issue_date)
    made: list[Document] = []
    for kind in DocumentKind:
        of_kind = [each for each in told if each.kind is kind]
        if of_kind:
            first = await issued.take_ordinals(conn, kind, year, count=len(of_kind))
            for ordinal, each in enumerate(of_kind, start=first):
                made.append(_document(each, plan, kind, ordinal, projects, offerings, now))
    return made


def _document(
    made: Bill,
    plan: ClosePlan,
    kind: DocumentKind,
    ordinal: int,
    projects: Mapping[UUID, Named],
    offerings: Mapping[str, Named],
    now: datetime,
) -> Document:
    customer = made.account.customer
    document = Document(
        id=transaction_id("document", customer.organisation_id, plan.month),
        organisation_id=customer.organisation_id,
        kind=kind,
        fiscal_year=fiscal_year(plan.issue_date),
        ordinal=ordinal,
        month=plan.month,
        original_id=made.originals[0].id if kind is DocumentKind.CREDIT_NOTE else None,
        issued_at=now,
        issue_date=plan.issue_date,
        due_date=plan.due_date if made.amounts.amount_due_yen else None,
        counterparty=customer.name,
        amounts=made.amounts,
        content={},
        content_sha256=b"",
    )
    content = billing.content(made, plan, document.number, projects=projects, offerings=offerings)
    return replace(document, content=content, content_sha256=sha256_of(content))


def _closed(made: Bill, document_id: UUID | None) -> ClosedAccount:
    return ClosedAccount(
        organisation_id=made.account.customer.organisation_id,
        document_id=document_id,
        charged_micro_yen=made.charged_micro_yen,
        cover=made.covered,
        carried_in_yen=made.amounts.carried_in_yen,
        carried_out_yen=made.amounts.carried_out_yen,
    )
