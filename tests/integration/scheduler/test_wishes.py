"""What a job may be asked to wait for, and what its backend is told of it: as whom it runs, its secrets, its layout."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from accounts import service as accounts
from accounts.errors import SecretUnknown, SiteUserMissing
from accounts.model import Principal
from accounts.sealing import Sealer
from hpc_adapters.contract import Capabilities, Feature, Identity, JobRequest, Placement, Ref, Script, Seen, Torchrun
from hpc_adapters.simulated.behaviour import Behaviour
from pricing import service as pricing
from scheduler import errors, service
from scheduler.core.dependencies import DependencyKind
from scheduler.core.model import EndReason, State
from scheduler.core.reasons import Why
from scheduler.options import ArrayWish, Dependency
from scheduler.submission import Submission
from scheduler.views import JobView
from tests.support.database import Database
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

FAILS = Behaviour(ending=Seen.FAILED, exit_code=3).script().body
SEALER = Sealer([b"k" * 32])


@pytest.fixture
async def world(database: Database) -> World:
    return await open_world(database)


def after(*jobs: JobView | str, kind: DependencyKind = DependencyKind.AFTEROK, **changed: object) -> Submission:
    names = [job if isinstance(job, str) else str(job.number) for job in jobs]
    return a_submission(dependencies=[Dependency(kind=kind, job=name) for name in names], **changed)


async def test_a_job_waits_for_another_and_says_so(world: World) -> None:
    alice = await world.member("alice")
    first = await world.submit(alice)
    then = await world.submit(alice, after(first))
    await world.dispatch()
    waiting = (await world.job(then)).waiting
    assert waiting is not None
    assert (waiting.reason, waiting.facts) == (Why.DEPENDENCY, {"jobs": ["1"]})
    assert (await world.until_ended(then)).state is State.SUCCEEDED
    async with world.as_tenant(alice) as conn:
        (dependency,) = await service.dependencies(conn, then.id)
    assert (dependency.job_id, dependency.number, dependency.state) == (first.id, 1, State.SUCCEEDED)


async def test_what_waits_in_vain_ends_free_of_charge_and_so_does_what_waits_for_that(world: World) -> None:
    alice = await world.member("alice")
    first = await world.submit(alice, a_submission(body=FAILS))
    vain, rescue = (
        await world.submit(alice, after(first)),
        await world.submit(alice, after(first, kind=DependencyKind.AFTERNOTOK)),
    )
    chained = await world.submit(alice, after(vain))
    assert (await world.until_ended(chained)).reason == EndReason.DEPENDENCY_NEVER_SATISFIED
    ended = await world.job(vain)
    assert (ended.state, ended.reason) == (State.CANCELLED, EndReason.DEPENDENCY_NEVER_SATISFIED)
    closed_at, told = await world.money(vain)
    assert (closed_at is not None, told) == (True, [("never_ran", True)])
    assert (await world.until_ended(rescue)).state is State.SUCCEEDED


async def test_an_arrays_number_means_all_its_tasks_and_its_tasks_wait_alike(world: World) -> None:
    alice = await world.member("alice")
    array = await world.submit(alice, a_submission(array=ArrayWish(indices=[0, 1, 2], max_running=1)))
    then = await world.submit(alice, after(array, array=ArrayWish(indices=[0, 1])))
    one = await world.submit(alice, after("1_0"))
    await world.until_ended(one)
    tasks = await world.tasks(alice, then)
    assert [task.state for task in tasks] == [State.QUEUED, State.QUEUED]
    await world.until_ended(tasks[1])
    before = await world.tasks(alice, array)
    assert max(task.ended_at for task in before if task.ended_at) <= min(
        task.started_at for task in await world.tasks(alice, then) if task.started_at
    )


async def test_nobody_learns_whether_a_strangers_job_exists(world: World) -> None:
    alice, bob = await world.member("alice"), await world.member("bob")
    theirs = await world.submit(bob)
    answers = []
    # alice has no job at all: "1" would be the very job that she submits
    for name in (str(theirs.id), str(world.new_id()), "1", "999", "1_1"):
        with pytest.raises(errors.DependencyNotFound) as refused:
            await world.submit(alice, after(name))
        answers.append({**refused.value.facts, "job": ""})
    assert all(answer == answers[0] for answer in answers)


async def test_a_job_does_not_begin_before_its_time(world: World) -> None:
    alice = await world.member("alice")
    job = await world.submit(alice, a_submission(begin_at=world.now + timedelta(seconds=30)))
    await world.round()
    waiting = (await world.job(job)).waiting
    assert waiting is not None
    assert waiting.reason is Why.BEGIN_TIME
    world.clock.advance(30)
    assert (await world.until_ended(job)).state is State.SUCCEEDED


async def test_time_outs_go_on_under_one_hold_as_often_as_was_quoted(world: World) -> None:
    alice = await world.member("alice")
    slow = Behaviour(run_s=1_000).script().body
    once = await world.submit(alice, a_submission(body=slow, walltime_s=60))
    job = await world.submit(alice, a_submission(body=slow, walltime_s=60, max_timeouts=2, max_attempts=5))
    for _ in range(60):
        await world.round(10)
    ended = await world.job(job)
    assert (ended.state, ended.reason, ended.attempt_count) == (State.FAILED, EndReason.TIMED_OUT, 3)
    _, told = await world.money(job)
    assert sorted(told) == [("failed", False), ("failed", False), ("failed", True)]
    async with world.market.as_worker() as conn:
        money = await pricing.charges_by_job(conn, [once.id, job.id])
    assert money[job.id].ceiling_micro_yen == 3 * money[once.id].ceiling_micro_yen


# -- what the backend is told ------------------------------------------------------------------------------------------


class Site:
    """The simulated cluster as a site that knows Unix users, and remembers what it was told."""

    def __init__(self, world: World, **offers: object) -> None:
        self._backend, self._offers = world.backend, offers
        self.told: list[JobRequest] = []
        world.backends = {CLUSTER: self}  # type: ignore[dict-item]  all of the port that is asked here

    def __getattr__(self, name: str) -> object:
        return getattr(self._backend, name)

    def capabilities(self) -> Capabilities:
        return replace(self._backend.capabilities(), **self._offers)

    async def submit(self, request: JobRequest) -> Ref:
        self.told.append(request)
        plain = replace(request, placement=Placement(), payload=a_script(request))
        return await self._backend.submit(plain)


def a_script(request: JobRequest) -> Script:
    assert isinstance(request.payload, Script)
    return Script(body=request.payload.body)


async def _map(world: World, who: Principal, unix_user: str, *, person: bool = True) -> None:
    async with world.market.as_operator() as conn:
        await accounts.map_site_user(
            conn,
            actor=None,
            backend=CLUSTER,
            organisation_id=who.organisation_id,
            person_id=who.person_id if person else None,
            unix_user=unix_user,
            account="alice",
            now=world.now,
        )


async def test_a_site_that_knows_users_is_told_as_whom_it_is_at_that_moment(world: World) -> None:
    site = Site(world, needs_identity=True)
    alice = await world.member("alice")
    with pytest.raises(SiteUserMissing):
        await world.submit(alice)
    await _map(world, alice, "ky-alice")
    job = await world.submit(alice)
    async with world.market.as_operator() as conn:
        await accounts.unmap_site_user(conn, actor=None, backend=CLUSTER, unix_user="ky-alice", now=world.now)
    await world.dispatch()
    waiting = (await world.job(job)).waiting
    assert waiting is not None
    assert (waiting.reason, waiting.facts["code"], site.told) == (Why.NOT_ELIGIBLE, "no-site-user", [])
    await world.dispatch()
    assert (await world.job(job)).waiting == replace(waiting, facts={"code": "no-site-user"})
    await _map(world, alice, "ky-all", person=False)
    world.clock.advance(61)
    await world.dispatch()
    assert [each.identity for each in site.told] == [Identity("ky-all", "alice")]


async def test_secrets_are_opened_for_the_backend_alone(
    world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(world, features=frozenset({Feature.SECRETS}))
    alice = await world.member("alice")
    with pytest.raises(SecretUnknown):
        await world.submit(alice, a_submission(secrets=["HF_TOKEN"]))
    async with world.as_tenant(alice) as conn:
        await accounts.set_secret(
            conn,
            actor=alice,
            sealer=SEALER,
            secret_id=world.new_id(),
            name="HF_TOKEN",
            value="hunter2-hunter2",
            nonce=b"n" * 12,
            now=world.now,
        )
    job = await world.submit(alice, a_submission(secrets=["HF_TOKEN"]))
    await world.dispatch()  # without keys: a fault of ours, and the job steps aside
    assert site.told == []
    waiting = (await world.job(job)).waiting
    assert waiting is not None
    assert waiting.reason is Why.PARKED
    world.unseal = SEALER.unseal
    world.clock.advance(61)
    await world.until_ended(job)
    payload = site.told[0].payload
    assert isinstance(payload, Script)
    assert payload.secrets == {"HF_TOKEN": "hunter2-hunter2"}
    assert "hunter2" not in repr(site.told)
    dump = await world.market.database.owner.fetch(
        "SELECT (SELECT jsonb_agg(j) FROM scheduler.job j), (SELECT jsonb_agg(e) FROM scheduler.attempt_event e), "
        "(SELECT jsonb_agg(a) FROM scheduler.attempt a)"
    )
    assert "hunter2" not in str(dump) + caplog.text + "".join(capsys.readouterr())


async def test_all_that_was_asked_reaches_the_backend(world: World) -> None:
    placement = Placement(nodes=2, tasks_per_node=2, licenses={"matlab": 1}, constraint="ib", exclusive=True)
    site = Site(world, features=frozenset(Feature))
    alice = await world.member("alice")
    wish = a_submission(
        gpus=2,
        cpus=2,
        memory_mb=500,
        placement=placement,
        launch=Torchrun(processes_per_node=1),
        arguments=["--lr", "1"],
        environment={"A": "b"},
        array=ArrayWish(indices=[3, 5]),
    )
    job = await world.submit(alice, wish)
    await world.dispatch()
    first, second = sorted(site.told, key=lambda each: each.array.index if each.array else 0)
    assert (first.placement, first.number, first.ordinal, first.job_id) == (placement, 1, 1, job.id)
    assert (first.resources.gpus, first.resources.cpus, first.resources.memory_mb) == (2, 2, 500)
    assert [(each.array.number, each.array.index, each.array.last) for each in site.told if each.array] == [
        (1, 3, 5),
        (1, 5, 5),
    ]
    for each in (first, second):
        assert isinstance(each.payload, Script)
        assert each.payload == replace(
            Script(body=wish.body), arguments=("--lr", "1"), environment={"A": "b"}, launch=wish.launch
        )


async def test_what_the_machine_does_not_offer_is_refused_by_name_and_reaches_nobody(world: World) -> None:
    alice = await world.member("alice")
    for placement, feature in (
        (Placement(nodes=2), "nodes"),
        (Placement(image="pytorch"), "image"),
        (Placement(exclusive=True), "exclusive"),
    ):
        with pytest.raises(errors.UnsupportedFeature) as refused:
            await world.submit(alice, a_submission(gpus=2, placement=placement))
        assert refused.value.facts["feature"] == feature
    assert await world.dispatch() == 0


async def test_several_are_on_their_way_at_a_time(world: World) -> None:
    alice = await world.member("alice")
    await world.submit(alice, a_submission(array=ArrayWish(indices=range(8))))
    assert await world.dispatch() == 8
    assert [event for event, _ in await world.story(await _newest(world, alice))] == [
        "Queued",
        "Dispatched",
        "Accepted",
    ]


async def _newest(world: World, who: Principal) -> JobView:
    async with world.as_tenant(who) as conn:
        return (await service.jobs(conn, organisation_id=who.organisation_id, limit=1)).items[0]
