"""A scheduled world for tests: organisations with members and wallets, a simulated cluster, and the scheduler's ticks.

Time is logical: nothing happens until `advance`, and nobody sleeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from uuid import UUID

from accounts import service as accounts
from accounts.model import CustomerClass, OrgRole, Principal
from accounts.scopes import scopes_of
from accounts.sealing import Sealed
from hpc_adapters.contract import Backend, Resources
from hpc_adapters.simulated.adapter import SimulatedBackend
from hpc_adapters.simulated.behaviour import Behaviour
from hpc_adapters.simulated.clock import SimulatedClock
from hpc_adapters.simulated.faults import RELIABLE, Delays, Faults
from infra.db.connection import Lease, Role, transaction
from pricing import service as pricing
from scheduler import service
from scheduler.core.model import JobKind, State
from scheduler.loops import cancel, dispatch, listening, observe, staging, sweep
from scheduler.loops.deps import Deps, Settings
from scheduler.loops.memory import Memory
from scheduler.service.placing import Foreseen
from scheduler.submission import Submission
from scheduler.views import JobView
from tests.support import market
from tests.support.database import Database
from tests.support.market import GPU, NEXT_YEAR, NOW, an_id

CLUSTER = "local"
SIZE = Resources(gpus=8, cpus=16, memory_mb=64_000)


def a_submission(**changed: object) -> Submission:
    """A small GPU job that succeeds after a second; state what differs."""
    usual: dict[str, object] = {
        "name": "digits",
        "kind": JobKind.BATCH,
        "offering_id": GPU,
        "body": Behaviour().script().body,
        "gpus": 1,
        "walltime_s": 600,
    }
    return Submission(**{**usual, **changed})  # type: ignore[arg-type]  any subset of the fields


@dataclass
class World:
    """One database, one clock, one simulated cluster."""

    market: market.Market
    clock: SimulatedClock
    backend: SimulatedBackend
    backends: Mapping[str, Backend]
    settings: Settings = field(default_factory=Settings)
    numbers: Iterator[int] = field(default_factory=count)
    unseal: Callable[[Sealed], str] | None = None
    memory: Memory = field(default_factory=Memory)
    """Of the one dispatcher: it is told only what has changed. forget() it where another one has worked meanwhile."""

    @property
    def now(self) -> datetime:
        return self.clock()

    def new_id(self) -> UUID:
        return an_id("fresh", next(self.numbers))

    def deps(self, lease: Lease | None = None) -> Deps:
        deps = Deps(
            pool=self.market.database.worker,
            lease=lease,
            backends=self.backends,
            new_id=self.new_id,
            settings=self.settings,
            memory=self.memory,
        )
        return deps if self.unseal is None else replace(deps, unseal=self.unseal)

    # -- as a person --------------------------------------------------------------------------------------------------

    async def member(self, slug: str, *, yen: str = "10000000") -> Principal:
        """A member of a new organisation that may submit and can pay."""
        organisation, person = an_id("organisation", slug), an_id("member", slug)
        if slug != "alpha":
            await self.market.add_organisation(slug)
        async with self.market.as_operator() as conn:
            await accounts.create_person(
                conn, actor=None, person_id=person, display_name=slug, email=f"{slug}@example.jp", now=NOW
            )
            await accounts.add_member(
                conn,
                actor=None,
                membership_id=an_id("membership", slug),
                organisation_id=organisation,
                person_id=person,
                role=OrgRole.OWNER,
                now=NOW,
            )
            await accounts.declare(
                conn,
                actor=None,
                declaration_id=an_id("declaration", slug),
                organisation_id=organisation,
                customer_class=CustomerClass.STARTUP,
                valid_from=NOW,
                valid_until=NEXT_YEAR,
                now=NOW,
            )
        if yen != "0":
            await self.market.grant(yen, key=("grant", slug), organisation=organisation)
        return _principal(organisation, person)

    def as_tenant(self, who: Principal):
        return transaction(self.market.database.portal, role=Role.TENANT, organisation_id=who.organisation_id)

    async def submit(
        self,
        who: Principal,
        request: Submission | None = None,
        *,
        key: str | None = None,
        foreseen: Foreseen | None = None,
    ) -> JobView:
        told = request or a_submission()
        view, _ = await self.submit_again(who, told, key=key or f"key {next(self.numbers)}", foreseen=foreseen)
        return view

    async def submit_again(
        self, who: Principal, request: Submission, *, key: str, foreseen: Foreseen | None = None
    ) -> tuple[JobView, bool]:
        """What is answered is what is stored."""
        async with self.as_tenant(who) as conn:
            view, is_new = await service.submit(
                conn,
                principal=who,
                request=request,
                idempotency_key=key,
                job_id=self.new_id(),
                attempt_id=self.new_id(),
                quote_id=self.new_id(),
                now=self.now,
                capabilities={name: backend.capabilities() for name, backend in self.backends.items()},
                services={} if foreseen is None else {request.offering_id: foreseen},
            )
            assert await service.job(conn, view.id) == view
            return view, is_new

    async def tasks(self, who: Principal, array: JobView) -> list[JobView]:
        """All jobs of an array, by index."""
        assert array.array is not None
        async with self.as_tenant(who) as conn:
            page = await service.jobs(conn, organisation_id=who.organisation_id, array=array.array.number, limit=200)
        return sorted(page.items, key=lambda job: job.array.index if job.array else -1)

    async def cancel(self, who: Principal, job: JobView) -> None:
        async with self.as_tenant(who) as conn:
            await service.request_cancel(conn, principal=who, job_id=job.id, now=self.now)

    # -- as the worker ------------------------------------------------------------------------------------------------

    async def dispatch(self, lease: Lease | None = None) -> int:
        return await dispatch.tick(self.deps(lease or await self.leading()), self.now)

    async def leading(self) -> Lease:
        """Of the dispatcher, whose books are in memory from one tick to the next."""
        token = await self.market.database.owner.fetchval(
            "INSERT INTO infra.leader VALUES ('dispatch', 1, 'test', now(), now()) "
            "ON CONFLICT (loop) DO UPDATE SET holder = excluded.holder RETURNING token"
        )
        return Lease("dispatch", token)

    async def observe(self, lease: Lease | None = None) -> int:
        return await observe.tick(self.deps(lease), self.now)

    async def carry_out_cancels(self, lease: Lease | None = None) -> int:
        return await cancel.tick(self.deps(lease), self.now)

    async def sweep(self, lease: Lease | None = None) -> int:
        return await sweep.tick(self.deps(lease), self.now)

    async def stage(self, lease: Lease | None = None) -> int:
        return await staging.tick(self.deps(lease), self.now)

    async def listen(self, lease: Lease | None = None) -> int:
        return await listening.tick(self.deps(lease), self.now)

    async def round(self, seconds: float = 1) -> None:
        """Some time passes, and every loop ticks once."""
        self.clock.advance(seconds)
        for tick in (self.observe, self.listen, self.carry_out_cancels, self.stage, self.sweep, self.dispatch):
            await tick()

    async def until(self, done: Callable[[JobView], bool], job: JobView, *, rounds: int = 200) -> JobView:
        for _ in range(rounds):
            seen = await self.job(job)
            if done(seen):
                return seen
            await self.round()
        raise AssertionError(f"never so: {await self.job(job)!r}")

    async def until_ended(self, job: JobView, *, rounds: int = 400) -> JobView:
        return await self.until(lambda seen: seen.state.is_terminal, job, rounds=rounds)

    # -- what is there ------------------------------------------------------------------------------------------------

    async def job(self, job: JobView) -> JobView:
        async with self.market.as_worker() as conn:
            return await service.job(conn, job.id)

    async def story(self, job: JobView) -> list[tuple[str, State]]:
        async with self.market.as_worker() as conn:
            return [(line.kind, line.state) for line in await service.story(conn, job.id)]

    async def result(self, job: JobView) -> bytes | None:
        async with self.market.as_worker() as conn:
            return await service.result(conn, job.id)

    async def money(self, job: JobView):
        """The hold's end, and how pricing was told of each attempt: (closed_at, [(ending, last)])."""
        owner = self.market.database.owner
        closed_at = await owner.fetchval("SELECT closed_at FROM pricing.hold WHERE job_id = $1", job.id)
        told = await owner.fetch(
            "SELECT ending::text, last FROM pricing.billable_attempt WHERE job_id = $1 ORDER BY opened_at, ending",
            job.id,
        )
        return closed_at, [tuple(row) for row in told]


async def open_world(
    database: Database,
    *,
    faults: Faults = RELIABLE,
    delays: Delays = Delays(),  # noqa: B008  frozen
    size: Resources = SIZE,
    seed: int = 1,
    settings: Settings | None = None,
) -> World:
    clock = SimulatedClock(NOW)
    backend = SimulatedBackend(name=CLUSTER, total=size, seed=seed, clock=clock, faults=faults, delays=delays)
    opened = await market.open_market(database)
    async with opened.as_operator() as conn:
        quantum = replace(market.QPU_OFFERING, id="qpu-local", backend=CLUSTER)
        await pricing.create_offering(conn, quantum, now=NOW)
        await market.publish(conn, quantum.id, market.QPU_PRICES)
    return World(opened, clock, backend, {CLUSTER: backend}, settings or Settings())


def _principal(organisation: UUID, person: UUID) -> Principal:
    return Principal(
        person_id=person,
        display_name="",
        organisation_id=organisation,
        role=OrgRole.OWNER,
        staff_roles=frozenset(),
        scopes=scopes_of([OrgRole.OWNER]),
        token_id=an_id("token", organisation),
    )
