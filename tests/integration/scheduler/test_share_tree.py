"""Weights and limits of organisations, projects and users: set, enforced at submission and in the queue, and seen."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from prometheus_client import REGISTRY

from accounts import service as accounts
from accounts.errors import NotAMember, ProjectNotFound, ScopeMissing
from accounts.model import OrgRole, Principal
from accounts.scopes import scopes_of
from hpc_adapters.simulated.behaviour import Behaviour
from pricing.model import ServiceClass
from scheduler import errors, service
from scheduler.core.branches import Level
from scheduler.core.model import State
from scheduler.service import BranchName
from scheduler.submission import ArrayWish
from scheduler.views import JobView
from tests.support import market
from tests.support.database import Database
from tests.support.market import NOW, an_id
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

pytestmark = pytest.mark.postgres

HOUR = Behaviour(run_s=3600).script().body


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database)


async def set_of(world: World, who: Principal, *, at: datetime | None = None, **known: object) -> int:
    """Sets a share of who's organisation; project=, person_id=, backend= name the branch."""
    of = {name: known.pop(name) for name in ("project", "person_id", "backend") if name in known}
    actor = known.pop("actor", None)
    async with world.market.as_operator() as conn:
        return await service.set_branch(
            conn,
            actor=actor,  # type: ignore[arg-type]
            of=BranchName(organisation_id=who.organisation_id, **of),  # type: ignore[arg-type]
            changes=known,  # type: ignore[arg-type]
            reason=" agreed in the contract ",
            effective_at=at or world.now,
            now=world.now,
        )


async def project(world: World, who: Principal, slug: str) -> None:
    async with world.as_tenant(who) as conn:
        await accounts.create_project(
            conn,
            actor=who,
            project_id=an_id("project", slug),
            organisation_id=who.organisation_id,
            slug=slug,
            name=slug,
            now=world.now,
        )


async def colleague(world: World, who: Principal, name: str) -> Principal:
    person = an_id("member", name)
    async with world.market.as_operator() as conn:
        await accounts.create_person(
            conn, actor=None, person_id=person, display_name=name, email=f"{name}@example.jp", now=NOW
        )
        await accounts.add_member(
            conn,
            actor=None,
            membership_id=an_id("membership", name),
            organisation_id=who.organisation_id,
            person_id=person,
            role=OrgRole.MEMBER,
            now=NOW,
        )
    return Principal(
        person_id=person,
        display_name=name,
        organisation_id=who.organisation_id,
        role=OrgRole.MEMBER,
        staff_roles=frozenset(),
        scopes=scopes_of([OrgRole.MEMBER]),
        token_id=an_id("token", name),
    )


async def started(world: World, jobs: list[JobView]) -> list[int]:
    """Which of these are no longer queued, by their place in the list."""
    return [place for place, job in enumerate(jobs) if (await world.job(job)).state is not State.QUEUED]


async def test_a_colleagues_flood_does_not_shut_out_another_user_or_project(world: World) -> None:
    alice = await world.member("alice")
    bob = await colleague(world, alice, "bob")
    await project(world, alice, "vision")
    jobs = [await world.submit(alice, a_submission(gpus=4, body=HOUR)) for _ in range(4)]
    jobs.append(await world.submit(bob, a_submission(gpus=2, body=HOUR)))
    jobs.append(await world.submit(alice, a_submission(gpus=2, body=HOUR, project="vision")))
    await world.dispatch()
    assert await started(world, jobs) == [0, 4, 5]


async def test_weights_divide_an_organisations_share_between_its_projects(world: World) -> None:
    alice = await world.member("alice")
    await project(world, alice, "vision")
    await set_of(world, alice, project="vision", weight=3)
    own = [await world.submit(alice, a_submission(gpus=1, body=HOUR)) for _ in range(8)]
    vision = [await world.submit(alice, a_submission(gpus=1, body=HOUR, project="vision")) for _ in range(8)]
    await world.dispatch()
    assert (len(await started(world, own)), len(await started(world, vision))) == (2, 6)


async def test_use_of_a_project_is_charged_to_it_and_shown(world: World) -> None:
    alice = await world.member("alice")
    await project(world, alice, "vision")
    await world.until_ended(await world.submit(alice, a_submission(gpus=8, project="vision")))
    running = await world.submit(alice, a_submission(gpus=2, body=HOUR))
    await world.dispatch()
    await set_of(world, alice, project="vision", backend=CLUSTER, max_gpus=4, max_month_nu=100)
    async with world.as_tenant(alice) as conn:
        seen = await service.share_tree(conn, alice.organisation_id, now=world.now)
    by_name = {(each.level, each.project): each for each in seen.branches}
    vision, default = by_name[Level.PROJECT, "vision"], by_name[Level.PROJECT, "default"]
    assert (vision.used_nu > 0, default.used_nu, vision.weight) == (True, 0, 1)
    assert [(each.backend, each.max_gpus, each.max_month_nu) for each in vision.limits] == [
        (None, None, None),
        (CLUSTER, 4, 100),
    ]
    assert vision.limits[1].month_nu == pytest.approx(vision.used_nu, rel=0.01)
    assert (default.limits[0].gpus, default.limits[0].running_jobs) == (2, 1)
    assert by_name[Level.USER, "vision"].person_id == alice.person_id
    top = by_name[Level.ORGANISATION, None].limits[0]
    assert (top.max_queued_jobs, top.max_running_jobs, top.running_jobs) == (1_000, 100, 1)
    (change,) = seen.history
    assert (change.project, change.backend, change.reason) == ("vision", CLUSTER, "agreed in the contract")
    assert (await world.job(running)).state is State.DISPATCHING
    async with world.as_tenant(await world.member("bob")) as conn:
        with pytest.raises(errors.Refusal):
            await service.share_tree(conn, alice.organisation_id, now=world.now)


@pytest.mark.parametrize(
    ("place", "limit", "why"),
    [
        ({}, {"max_gpus": 5}, "GPU_QUOTA"),
        ({"project": "default"}, {"max_running_jobs": 1}, "RUNNING_QUOTA"),
        ({"project": "default", "backend": CLUSTER}, {"max_gpus": 5}, "GPU_QUOTA"),
        ({"project": "default", "person_id": an_id("member", "alice")}, {"max_month_nu": 1}, "NU_QUOTA"),
        ({"backend": CLUSTER}, {"max_month_nu": 1}, "NU_QUOTA"),
    ],
)
async def test_what_is_beyond_a_limit_waits_with_its_reason(
    world: World, place: dict[str, object], limit: dict[str, object], why: str
) -> None:
    alice = await world.member("alice")
    await set_of(world, alice, **place, **limit)
    jobs = [await world.submit(alice, a_submission(gpus=4, body=HOUR, walltime_s=800)) for _ in range(2)]
    await world.dispatch()
    assert await started(world, jobs) == [0]
    waiting = (await world.job(jobs[1])).waiting
    assert waiting is not None
    assert waiting.reason == why
    await _is_told_what_would_help(world, alice, jobs)
    world.clock.advance(1)
    await set_of(world, alice, **place, **dict.fromkeys(limit, 99))
    await world.dispatch()
    assert await started(world, jobs) == [0, 1]


async def _is_told_what_would_help(world: World, alice: Principal, jobs: list[JobView]) -> None:
    """The first of these runs, to its limit at most; the second waits for a limit. Nobody else is told anything."""
    runs, waits = [await world.job(each) for each in jobs]
    async with world.as_tenant(alice) as conn:
        found = {each.code: each for each in await service.what_would_help(conn, waits, now=world.now)}
    assert "raise_limit" in found
    assert waits.waiting is not None
    if waits.waiting.reason == "GPU_QUOTA":
        assert found["fewer_gpus"].facts == {"gpus": 1}
    if waits.waiting.reason != "NU_QUOTA":
        back = found["own_ends"]
        assert (back.facts["job"], back.facts["gpus"]) == (str(runs.number), 4)
        assert f"job {runs.number} ends" in back.sentence.en
    async with world.as_tenant(await world.member("mallory")) as conn:
        blind = await service.what_would_help(conn, waits, now=world.now)
    assert "own_ends" not in {each.code for each in blind}


async def test_the_months_limit_counts_what_ran_and_opens_with_the_next_month(world: World) -> None:
    alice = await world.member("alice")
    await set_of(world, alice, project="default", max_month_nu=1)
    await world.until_ended(await world.submit(alice, a_submission(gpus=8, walltime_s=400)))
    used = await world.market.database.owner.fetchval("SELECT sum(nu) FROM scheduler.fairshare_charge")
    assert 0 < used < 1
    job = await world.submit(alice, a_submission(gpus=8, walltime_s=450))
    await world.dispatch()
    waiting = (await world.job(job)).waiting
    assert waiting is not None
    assert (waiting.reason, waiting.facts["used"]) == ("NU_QUOTA", pytest.approx(used, abs=1e-6))
    world.clock.advance(31 * 86_400)
    await world.dispatch()
    assert await started(world, [job]) == [0]


async def test_a_queue_that_is_full_on_any_branch_refuses_and_an_array_counts_by_its_tasks(world: World) -> None:
    alice = await world.member("alice")
    bob = await colleague(world, alice, "bob")
    mine = {"project": "default", "person_id": alice.person_id}
    await set_of(world, alice, **mine, max_queued_jobs=3)
    await set_of(world, alice, project="default", backend=CLUSTER, max_queued_jobs=5)
    await world.submit(alice, a_submission(array=ArrayWish(indices=frozenset(range(2)))))
    with pytest.raises(errors.QueueFull) as refused:
        await world.submit(alice, a_submission(array=ArrayWish(indices=frozenset(range(2)))))
    assert refused.value.facts == {"level": "user", "on": "*", "queued": 2, "max": 3, "asked": 2}
    await world.submit(bob, a_submission(array=ArrayWish(indices=frozenset(range(3)))))
    with pytest.raises(errors.QueueFull) as refused:
        await world.submit(alice)
    assert refused.value.facts == {"level": "project", "on": CLUSTER, "queued": 5, "max": 5, "asked": 1}


async def test_what_could_never_start_is_refused_by_name(world: World) -> None:
    alice = await world.member("alice")
    await set_of(world, alice, backend=CLUSTER, max_gpus=4)
    await set_of(world, alice, project="default", max_month_nu=1)
    with pytest.raises(errors.OverQuota) as refused:
        await world.submit(alice, a_submission(gpus=5))
    assert refused.value.facts == {
        "quota": "max_gpus",
        "level": "organisation",
        "on": CLUSTER,
        "asked": 5,
        "max": 4,
    }
    with pytest.raises(errors.OverQuota) as refused:
        await world.submit(alice, a_submission(gpus=4, walltime_s=3600))
    assert refused.value.facts == {"quota": "max_month_nu", "level": "project", "on": "*", "asked": 4.0, "max": 1.0}


async def test_a_setting_takes_effect_when_it_says_and_keeps_what_it_does_not_name(world: World) -> None:
    alice = await world.member("alice")
    await set_of(world, alice, weight=3, max_gpus=2)
    await set_of(world, alice, at=world.now + timedelta(days=1), max_gpus=None)
    async with world.market.as_operator() as conn:
        today = await service.share_tree(conn, alice.organisation_id, now=world.now)
        later = await service.share_tree(conn, alice.organisation_id, now=world.now + timedelta(days=2))
    assert [(each.branches[0].weight, each.branches[0].limits[0].max_gpus) for each in (today, later)] == [
        (3, 2),
        (3, None),
    ]
    assert [each.version for each in later.history] == sorted(each.version for each in later.history)


def _labels(name: str) -> dict[str, str]:
    return {"class": "standard"} if name == "waiting_by_class" else {}


@pytest.mark.parametrize(
    ("of_alice", "of_bob", "starts", "why"),
    [
        ({"max_borrow_percent": 50}, {}, 6, "BORROW_LIMIT"),
        ({"max_borrow_percent": 0}, {}, 4, "BORROW_LIMIT"),
        ({}, {"max_lend_percent": 25}, 5, "KEPT_SHARE"),
        ({"max_borrow_percent": 50}, {"max_lend_percent": 0}, 4, "KEPT_SHARE"),
        ({}, {}, 8, None),
    ],
)
async def test_idle_share_is_borrowed_and_lent_as_far_as_is_set(
    world: World, of_alice: dict[str, int], of_bob: dict[str, int], starts: int, why: str | None
) -> None:
    alice, bob = await world.member("alice"), await world.member("bob")
    await set_of(world, alice, weight=1, **of_alice)
    await set_of(world, bob, weight=1, **of_bob)
    jobs = [await world.submit(alice, a_submission(gpus=1, body=HOUR)) for _ in range(9)]
    await world.dispatch()
    assert await started(world, jobs) == list(range(starts))
    figures = ("held_nu_per_hour", "capacity_nu_per_hour", "borrowed_nu_per_hour", "waiting_by_class")
    told = {name: REGISTRY.get_sample_value(f"kyoyo_scheduler_{name}", _labels(name)) for name in figures}
    assert told == dict(zip(figures, (starts, 8, starts - 4, 9 - starts), strict=True))
    if why is not None:
        waiting = (await world.job(jobs[8])).waiting
        assert waiting is not None
        assert (waiting.reason, waiting.facts["nominal"], waiting.facts["held"]) == (why, 4, starts)
    async with world.as_tenant(alice) as conn:
        seen = await service.share_tree(conn, alice.organisation_id, now=world.now)
    total, change = seen.branches[0].limits[0], seen.history[-1]
    assert total.max_borrow_percent == change.max_borrow_percent == of_alice.get("max_borrow_percent")
    assert total.max_lend_percent is change.max_lend_percent is None
    async with world.as_tenant(bob) as conn:
        with pytest.raises(errors.Refusal):
            await service.share_tree(conn, alice.organisation_id, now=world.now)


async def test_only_sensible_settings_of_what_exists_are_taken(world: World, subtests: pytest.Subtests) -> None:
    alice = await world.member("alice")
    stranger = (await world.member("bob")).person_id
    wrong: list[tuple[dict[str, object], type[Exception]]] = [
        ({"weight": 0}, errors.InvalidShare),
        ({"weight": None}, errors.InvalidShare),
        ({"weight": 10**9}, errors.InvalidShare),
        ({"max_gpus": -1}, errors.InvalidShare),
        ({"max_running_jobs": None}, errors.InvalidShare),
        ({"max_ponies": 1}, errors.UnknownShareField),
        ({"backend": CLUSTER, "weight": 2}, errors.BackendHasNoWeight),
        ({"max_lend_percent": 101}, errors.InvalidShare),
        ({"max_borrow_percent": 10**9}, errors.InvalidShare),
        ({"project": "default", "max_lend_percent": 0}, errors.OnlyOrganisationsLend),
        ({"backend": CLUSTER, "max_borrow_percent": 0}, errors.OnlyOrganisationsLend),
        ({"reserved_units": 2}, errors.ReservedShareOfMachine),
        ({"project": "default", "backend": CLUSTER, "reserved_units": 2}, errors.ReservedShareOfMachine),
        ({"backend": "nowhere", "max_gpus": 2}, errors.UnknownBackend),
        ({"project": "nothing", "weight": 2}, ProjectNotFound),
        ({"project": "default", "person_id": stranger, "weight": 2}, NotAMember),
        ({"person_id": alice.person_id, "weight": 2}, errors.UserWithoutProject),
        ({"at": NOW - timedelta(days=1), "weight": 2}, errors.NotRetroactive),
        ({"actor": alice, "weight": 2}, ScopeMissing),
    ]
    for known, refusal in wrong:
        with subtests.test(str(known)), pytest.raises(refusal):
            await set_of(world, alice, **known)
    await set_of(world, alice, project="default", person_id=alice.person_id, max_running_jobs=None, weight=2)
    with pytest.raises(errors.ShareExists):
        await set_of(world, alice, project="default", person_id=alice.person_id, weight=2)


async def test_the_exchange_table_tells_its_versions_and_who_set_them(world: World) -> None:
    alice = await world.member("alice")
    async with world.market.as_operator() as conn:
        for nu, at, reason in ((2.0, 0, "first"), (3.0, 86_400, "measured anew")):
            await service.publish_exchange_rate(
                conn,
                actor=None,
                resource_type="gpu:demo",
                nu_per_hour=nu,
                effective_at=world.now + timedelta(seconds=at),
                now=world.now,
                reason=reason,
            )
        for resource_type in ("pony", "gpu:", "gpu:H200", "horse:a", ""):
            with pytest.raises(errors.InvalidResourceType):
                await service.publish_exchange_rate(
                    conn,
                    actor=None,
                    resource_type=resource_type,
                    nu_per_hour=1,
                    effective_at=world.now,
                    now=world.now,
                    reason="x",
                )
    async with world.as_tenant(alice) as conn:
        today = await service.exchange_table(conn, now=world.now)
        later = await service.exchange_table(conn, now=world.now + timedelta(days=2))
    assert [(each.unit, each.nu_per_hour, each.holds, each.reason) for each in today] == [
        ("gpu", 2.0, True, "first"),
        ("gpu", 3.0, False, "measured anew"),
    ]
    assert [each.holds for each in later] == [False, True]


async def test_class_reserved_needs_a_share_that_is_large_enough_and_seen(world: World) -> None:
    alice, bob = await world.member("alice"), await world.member("bob")
    await set_of(world, alice, backend=CLUSTER, reserved_units=4)
    reserved = {"service_class": ServiceClass.RESERVED}
    with pytest.raises(errors.OverQuota) as refused:
        await world.submit(alice, a_submission(gpus=5, **reserved))
    assert refused.value.facts == {
        "quota": "reserved_units",
        "level": "organisation",
        "on": CLUSTER,
        "asked": 5,
        "max": 4,
    }
    with pytest.raises(errors.ReservedWithoutReservation):
        await world.submit(bob, a_submission(gpus=1, **reserved))
    async with world.as_tenant(alice) as conn:
        seen = await service.share_tree(conn, alice.organisation_id, now=world.now)
    assert {each.backend: each.reserved_units for each in seen.branches[0].limits} == {None: None, CLUSTER: 4}
    assert seen.history[-1].reserved_units == 4


async def test_a_share_of_class_reserved_is_kept_for_it(world: World) -> None:
    alice, bob = await world.member("alice"), await world.member("bob")
    await set_of(world, alice, backend=CLUSTER, reserved_units=4)
    of_bob = [await world.submit(bob, a_submission(gpus=2, body=HOUR)) for _ in range(3)]
    await world.dispatch()
    assert await started(world, of_bob) == [0, 1]
    waits = await world.job(of_bob[2])
    assert waits.waiting is not None
    assert (waits.waiting.reason, waits.waiting.facts["own"]) == ("KEPT_FOR_RESERVED", 0)
    async with world.as_tenant(bob) as conn:
        told = await service.what_would_help(conn, waits, now=world.now)
    assert [each.code for each in told] == ["as_spot"]
    async with world.market.as_operator() as conn:
        await market.publish(conn, market.GPU, [market.gpu_price("400")], service_class=ServiceClass.RESERVED)
    reserved = a_submission(gpus=4, service_class=ServiceClass.RESERVED, body=HOUR)
    of_alice = [await world.submit(alice, reserved) for _ in range(2)]
    await world.dispatch()
    assert await started(world, of_alice) == [0]
    second = (await world.job(of_alice[1])).waiting
    assert second is not None
    assert (second.reason, second.facts["held"], second.facts["max"]) == ("RESERVED_SHARE", 4, 4)
