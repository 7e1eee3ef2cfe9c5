"""Submission on a real PostgreSQL, as the role that serves tenants."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from accounts import service as accounts
from accounts.errors import DeclarationExpired, OrganisationSuspended, ProjectNotFound, ScopeMissing
from accounts.model import CustomerClass
from accounts.scopes import OrgRole, scopes_of
from accounts.service import set_suspended
from hpc_adapters.contract import Placement
from infra.refusal import Refusal
from pricing.errors import InsufficientFunds, NoPrice, TooManyGpus, UnknownOffering, WalltimeTooLong
from pricing.model import ServiceClass
from scheduler import errors, service
from scheduler.core.model import JobKind, State
from scheduler.core.quotas import Share
from tests.support.database import Database
from tests.support.market import NEXT_YEAR, QPU
from tests.support.scheduled import World, a_submission, open_world


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database)


async def test_job_hold_and_attempt_are_there_or_none_of_them(world: World) -> None:
    poor = await world.member("poor", yen="0")
    with pytest.raises(InsufficientFunds):
        await world.submit(poor)
    counts = await world.market.database.owner.fetchrow(
        "SELECT (SELECT count(*) FROM scheduler.job), (SELECT count(*) FROM pricing.hold), "
        "(SELECT count(*) FROM pricing.quote), (SELECT count(*) FROM scheduler.attempt)"
    )
    assert counts is not None
    assert tuple(counts) == (0, 0, 0, 0)


async def test_one_like_the_one_before_takes_four_statements_and_no_answer_is_kept_for_it(world: World) -> None:
    alice = await world.member("alice")
    said: list[str] = []

    async def submit() -> None:
        async with world.as_tenant(alice) as conn:
            said.clear()
            with conn.query_logger(lambda query: said.append(query.query)):
                await service.submit(
                    conn,
                    principal=alice,
                    request=a_submission(),
                    idempotency_key=f"key {next(world.numbers)}",
                    job_id=world.new_id(),
                    attempt_id=world.new_id(),
                    quote_id=world.new_id(),
                    now=world.now,
                )

    for _ in range(2):  # the first tells what the second asks
        await submit()
    assert len(said) == 4, said  # the locks, all looks, what pricing writes, what we write
    async with world.market.as_operator() as conn:
        await accounts.declare(
            conn,
            actor=None,
            declaration_id=world.new_id(),
            organisation_id=alice.organisation_id,
            customer_class=CustomerClass.UNIVERSITY,
            valid_from=world.now,
            valid_until=NEXT_YEAR,
            now=world.now + timedelta(seconds=1),
        )
    with pytest.raises(NoPrice):  # of the class that it has now
        await submit()


async def test_the_same_key_gives_the_same_job_also_when_it_may_not_be_asked_for_any_more(world: World) -> None:
    alice = await world.member("alice")
    first, created = await world.submit_again(alice, a_submission(), key="k")
    async with world.market.as_operator() as conn:
        await set_suspended(
            conn, actor=None, organisation_id=alice.organisation_id, suspended=True, reason="x", now=world.now
        )
    again, created_again = await world.submit_again(alice, a_submission(), key="k")
    assert (again.id, created, created_again) == (first.id, True, False)


async def test_the_same_key_with_another_request_is_refused_with_the_job_it_stands_for(world: World) -> None:
    alice = await world.member("alice")
    first, _ = await world.submit_again(alice, a_submission(), key="k")
    with pytest.raises(errors.IdempotencyKeyReused) as refused:
        await world.submit_again(alice, a_submission(gpus=2), key="k")
    assert refused.value.facts == {"job_id": str(first.id)}


async def test_keys_of_different_people_do_not_meet(world: World) -> None:
    alice, bob = await world.member("alice"), await world.member("bob")
    first, _ = await world.submit_again(alice, a_submission(), key="k")
    second, created = await world.submit_again(bob, a_submission(gpus=2), key="k")
    assert (created, first.id == second.id) == (True, False)


async def test_identical_requests_at_the_same_moment_are_one_job(world: World) -> None:
    alice = await world.member("alice")
    answers = await asyncio.gather(*(world.submit_again(alice, a_submission(), key="k") for _ in range(10)))
    assert len({view.id for view, _ in answers}) == 1
    assert [created for _, created in answers].count(True) == 1


async def test_simultaneous_submissions_never_exceed_the_queue_quota(world: World) -> None:
    alice = await world.member("alice")
    await _share(world, alice.organisation_id, Share(max_queued_jobs=3))
    answers = await asyncio.gather(*(world.submit(alice) for _ in range(10)), return_exceptions=True)
    refused = [each for each in answers if isinstance(each, errors.QueueFull)]
    assert len(refused) == 7
    assert refused[0].facts == {"level": "organisation", "on": "*", "queued": 3, "max": 3, "asked": 1}


async def test_simultaneous_submissions_never_spend_the_same_money(world: World) -> None:
    # One GPU for 600 s at 330 yen an hour holds 55 yen: the wallet is for four.
    alice = await world.member("alice", yen="230")
    answers = await asyncio.gather(*(world.submit(alice) for _ in range(10)), return_exceptions=True)
    assert len([each for each in answers if isinstance(each, InsufficientFunds)]) == 6


@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"offering_id": "nothing"}, UnknownOffering),
        ({"gpus": 9}, TooManyGpus),
        ({"walltime_s": 8 * 86_400}, WalltimeTooLong),
        ({"walltime_s": 2**40}, WalltimeTooLong),
        ({"kind": JobKind.QUANTUM, "body": b"OPENQASM 3;", "gpus": 0, "shots": 1}, errors.KindMismatch),
        ({"offering_id": QPU}, errors.KindMismatch),
        ({"project": "other"}, ProjectNotFound),
        ({"service_class": ServiceClass.SPOT}, NoPrice),
        ({"service_class": ServiceClass.INTERACTIVE}, NoPrice),
        ({"service_class": ServiceClass.INTERACTIVE, "walltime_s": 4 * 3600 + 1}, errors.InteractiveTooLong),
        ({"service_class": ServiceClass.RESERVED}, errors.ReservedWithoutReservation),
        (
            {"service_class": ServiceClass.RESERVED, "placement": Placement(reservation="the-sites-own")},
            errors.ReservedWithoutReservation,
        ),
    ],
)
async def test_each_no_has_its_name(world: World, changed: dict[str, object], refusal: type[Refusal]) -> None:
    alice = await world.member("alice")
    with pytest.raises(refusal):
        await world.submit(alice, a_submission(**changed))


async def test_who_is_not_eligible_does_not_submit(world: World) -> None:
    alice = await world.member("alice")
    world.clock.advance((NEXT_YEAR - world.now + timedelta(seconds=1)).total_seconds())
    with pytest.raises(DeclarationExpired):
        await world.submit(alice)
    async with world.market.as_operator() as conn:
        await set_suspended(
            conn, actor=None, organisation_id=alice.organisation_id, suspended=True, reason="x", now=world.now
        )
    with pytest.raises(OrganisationSuspended):
        await world.submit(alice)


async def test_a_role_that_may_not_submit_does_not(world: World) -> None:
    alice = await world.member("alice")
    clerk = replace(alice, role=OrgRole.BILLING, scopes=scopes_of([OrgRole.BILLING]))
    with pytest.raises(ScopeMissing):
        await world.submit(clerk)


async def test_another_organisations_job_is_not_found(world: World) -> None:
    alice, bob = await world.member("alice"), await world.member("bob")
    job = await world.submit(alice)
    for ask in (service.job, service.attempts, service.story, service.result):
        async with world.as_tenant(bob) as conn:
            with pytest.raises(errors.JobNotFound):
                await ask(conn, job.id)
    with pytest.raises(errors.JobNotFound):
        await world.cancel(bob, job)
    async with world.as_tenant(bob) as conn:
        assert (await service.jobs(conn, organisation_id=None)).items == []


async def test_a_list_is_read_page_by_page_newest_first(world: World) -> None:
    alice = await world.member("alice")
    jobs = []
    for _ in range(5):
        world.clock.advance(1)
        jobs.append((await world.submit(alice)).id)
    seen, cursor = [], None
    for _ in range(3):
        async with world.as_tenant(alice) as conn:
            page = await service.jobs(conn, organisation_id=alice.organisation_id, limit=2, cursor=cursor)
        seen += [each.id for each in page.items]
        cursor = page.next_cursor
    assert (seen, cursor) == (jobs[::-1], None)


async def test_a_list_can_be_narrowed_to_a_state(world: World) -> None:
    alice = await world.member("alice")
    waiting, cancelled = await world.submit(alice), await world.submit(alice)
    await world.cancel(alice, cancelled)
    await world.carry_out_cancels()
    async with world.as_tenant(alice) as conn:
        page = await service.jobs(conn, organisation_id=alice.organisation_id, state=State.QUEUED)
        with pytest.raises(errors.BadLimit):
            await service.jobs(conn, organisation_id=None, limit=0)
    assert [each.id for each in page.items] == [waiting.id]


async def test_a_submission_wakes_the_dispatcher(world: World) -> None:
    alice = await world.member("alice")
    heard: list[str] = []
    async with world.market.database.owner.acquire() as conn:
        await conn.add_listener("kyoyo_wake", lambda *notice: heard.append(notice[-1]))
        await world.cancel(alice, await world.submit(alice))
        await conn.fetchval("SELECT 1")
        await conn.reset()
    assert heard == ["dispatch", "cancel"]


async def test_an_operator_sees_the_queue_and_the_standings(world: World) -> None:
    alice, bob = await world.member("alice"), await world.member("bob")
    await _share(world, bob.organisation_id, Share(weight=3))
    await world.submit(alice, a_submission(gpus=8))
    await world.submit(bob, a_submission(gpus=4))
    await world.dispatch()
    async with world.market.as_operator() as conn:
        seen = await service.queue_view(conn, now=world.now)
    assert [(each.state, each.position) for each in seen.entries] == [(State.DISPATCHING, None), (State.QUEUED, 1)]
    assert {each.organisation_id: (each.weight, each.queued_jobs, each.running_jobs) for each in seen.standings} == {
        alice.organisation_id: (1, 0, 1),
        bob.organisation_id: (3, 1, 0),
    }


async def test_shares_and_rates_are_set_once_for_an_instant_and_only_sensibly(world: World) -> None:
    alice = await world.member("alice")
    for share in (Share(weight=0), Share(max_queued_jobs=-1), Share(max_running_jobs=10**9)):
        with pytest.raises(errors.InvalidShare):
            await _share(world, alice.organisation_id, share)
    await _share(world, alice.organisation_id, Share())
    with pytest.raises(errors.ShareExists):
        await _share(world, alice.organisation_id, Share(weight=2))
    for rate in (-1.0, float("nan"), float("inf")):
        with pytest.raises(errors.InvalidExchangeRate):
            await _rate(world, rate)
    await _rate(world, 2.0)
    with pytest.raises(errors.ExchangeRateExists):
        await _rate(world, 3.0)
    assert await _nu_of_a_job(world) == pytest.approx(2.0 / 6)


async def _nu_of_a_job(world: World) -> float:
    job = await world.submit(await world.member("carol"))
    nu = await world.market.database.owner.fetchval("SELECT nu FROM scheduler.job WHERE id = $1", job.id)
    return float(nu)


async def _share(world: World, organisation_id: object, share: Share) -> None:
    async with world.market.as_operator() as conn:
        await service.set_share(
            conn, actor=None, organisation_id=organisation_id, share=share, reason="agreed", now=world.now
        )


async def _rate(world: World, nu_per_hour: float) -> None:
    async with world.market.as_operator() as conn:
        await service.publish_exchange_rate(
            conn,
            actor=None,
            resource_type="gpu:demo",
            nu_per_hour=nu_per_hour,
            effective_at=world.now,
            now=world.now,
            reason="measured anew",
        )
