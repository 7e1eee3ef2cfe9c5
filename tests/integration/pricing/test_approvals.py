"""Two persons for what moves prices and value, as the operator and against the database itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from accounts import service as accounts
from infra.db.connection import Conn
from pricing import service
from pricing.approvals import LIFETIME, Content, ProposalStatus
from pricing.errors import (
    OfferingExists,
    OwnProposal,
    ProposalDecided,
    ProposalExists,
    ProposalExpired,
    ProposalReasonWrong,
    UnknownProposal,
)
from pricing.service.approvals import Order, executes
from tests.support.market import GPU_OFFERING, NOW, OPERATOR, Market, an_id
from tests.support.staff import FIRST, SECOND

KIND = "test.sell"
LATER = NOW + timedelta(days=1)


@executes(KIND)
async def _sell(conn: Conn, order: Order) -> Content:
    offering = replace(GPU_OFFERING, id=order.content["id"], max_gpus=order.content["max_gpus"])
    await service.create_offering(conn, offering, now=order.now)
    return {"offering": offering.id}


async def _propose(market: Market, key: str = "one", content: dict[str, Any] | None = None, **other: Any) -> UUID:
    told = {"reason": "新しい機種", "actor": FIRST, "now": NOW, **other}
    async with market.as_operator() as conn:
        made = await service.propose(
            conn, proposal_id=an_id(key), kind=KIND, content=content or {"id": "gpu-new", "max_gpus": 2}, **told
        )
    return made.id


async def _offerings(market: Market) -> set[str]:
    return {row["id"] for row in await market.database.owner.fetch("SELECT id FROM pricing.offering")}


async def _audited(market: Market, of: UUID) -> list[tuple[str, UUID]]:
    rows = await market.database.owner.fetch(
        "SELECT action, actor_id FROM accounts.audit_entry WHERE subject = 'proposal:' || $1::text ORDER BY seq",
        str(of),
    )
    return [tuple(row) for row in rows]


async def test_it_is_done_when_a_second_person_approves_and_not_before(market: Market) -> None:
    made = await _propose(market)
    assert await _propose(market, now=LATER) == made  # the same again
    before = await _offerings(market)
    async with market.as_operator() as conn:
        approved = await service.approve(conn, made, reason="ok", actor=SECOND, now=LATER)
    async with market.as_operator() as conn:
        again = await service.approve(conn, made, actor=SECOND, now=LATER + LIFETIME)
        kept = await service.proposal(conn, made)
        assert await service.proposals(conn, undecided=True) == []
        assert kept in await service.proposals(conn)
    assert approved == again == kept
    assert await _offerings(market) - before == {"gpu-new"}
    assert kept.decision is not None
    assert (kept.status(LATER), kept.effect, kept.decision.effect) == (
        ProposalStatus.APPROVED,
        {"offering": "gpu-new"},
        {"offering": "gpu-new"},
    )
    assert await _audited(market, made) == [("proposal.make", FIRST), ("proposal.approve", SECOND)]
    async with market.as_operator() as conn:
        assert await accounts.verify_audit_chain(conn) == []


async def test_what_is_rejected_is_never_done(market: Market) -> None:
    made = await _propose(market)
    async with market.as_operator() as conn:
        await service.reject(conn, made, reason="高すぎる", actor=SECOND, now=NOW)
    async with market.as_operator() as conn:
        assert (await service.reject(conn, made, reason="again", actor=SECOND, now=NOW)).decision is not None
    with pytest.raises(ProposalDecided) as refused:
        async with market.as_operator() as conn:
            await service.approve(conn, made, actor=SECOND, now=NOW)
    assert refused.value.facts["decision"] == "rejected"
    assert "gpu-new" not in await _offerings(market)


async def test_what_may_not_be_decided_is_refused_by_name(market: Market) -> None:
    made = await _propose(market)
    cases: list[tuple[type[Exception], Any]] = [
        (OwnProposal, lambda conn: service.approve(conn, made, actor=FIRST, now=NOW)),
        (OwnProposal, lambda conn: service.reject(conn, made, reason="x", actor=FIRST, now=NOW)),
        (ProposalExpired, lambda conn: service.approve(conn, made, actor=SECOND, now=NOW + LIFETIME)),
        (UnknownProposal, lambda conn: service.approve(conn, an_id("none"), actor=SECOND, now=NOW)),
        (UnknownProposal, lambda conn: service.proposal(conn, an_id("none"))),
        (ProposalReasonWrong, lambda conn: service.reject(conn, made, reason=" ", actor=SECOND, now=NOW)),
    ]
    for wrong, call in cases:
        with pytest.raises(wrong):
            async with market.as_operator() as conn:
                await call(conn)
    with pytest.raises(ProposalExists):
        await _propose(market, content={"id": "gpu-other", "max_gpus": 2})
    with pytest.raises(ProposalExists):
        await _propose(market, actor=SECOND)
    for reason in ("", "x" * 501):
        with pytest.raises(ProposalReasonWrong):
            await _propose(market, "two", reason=reason)
    assert await _audited(market, made) == [("proposal.make", FIRST)]


async def test_what_cannot_be_done_is_refused_when_it_is_proposed_and_again_when_it_is_approved(market: Market) -> None:
    with pytest.raises(OfferingExists):
        await _propose(market, content={"id": GPU_OFFERING.id, "max_gpus": 3})
    made = await _propose(market)
    await _propose(market, "two", content={"id": "gpu-new", "max_gpus": 3})  # possible as long as the first is open
    async with market.as_operator() as conn:
        await service.approve(conn, made, actor=SECOND, now=NOW)
    with pytest.raises(OfferingExists):
        async with market.as_operator() as conn:
            await service.approve(conn, an_id("two"), actor=SECOND, now=NOW)
    async with market.as_operator() as conn:
        assert (await service.proposal(conn, an_id("two"))).status(NOW) is ProposalStatus.OPEN


async def test_two_who_decide_at_once_do_it_once(market: Market) -> None:
    made = await _propose(market)

    async def decide(*, approved: bool) -> str:
        try:
            async with market.as_operator() as conn:
                if approved:
                    await service.approve(conn, made, actor=SECOND, now=NOW)
                else:
                    await service.reject(conn, made, reason="no", actor=SECOND, now=NOW)
        except ProposalDecided:
            return "late"
        return "done"

    told = await asyncio.gather(*(decide(approved=number % 2 == 0) for number in range(6)))
    assert sorted(told) == ["done"] * 3 + ["late"] * 3  # the same decision again is nothing
    assert len(await _audited(market, made)) == 2


async def test_the_database_itself_wants_two_operators(market: Market) -> None:
    made = await _propose(market)
    decide = """INSERT INTO pricing.proposal_decision (proposal_id, approved, reason, effect, decided_by, decided_at)
                VALUES ($1, true, '', '{}', $2, $3)"""
    for person, at in ((FIRST, NOW), (SECOND, NOW + LIFETIME), (market.person, NOW)):
        with pytest.raises(asyncpg.PostgresError) as refused:
            async with market.as_operator() as conn:
                await conn.execute(decide, made, person, at)
        assert refused.value.sqlstate == "KY008"
    for role in (market.as_tenant(), market.as_worker()):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with role as conn:
                await conn.execute(decide, made, SECOND, NOW)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with market.as_operator() as conn:
            await conn.execute("UPDATE pricing.proposal SET proposed_by = $1", OPERATOR)
