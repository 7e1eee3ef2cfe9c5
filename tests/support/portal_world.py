"""The portal over HTTP with a real database behind it: two startups, an operator and an officer, each with a token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import httpx2
from fastapi import FastAPI

from accounts import service as accounts
from accounts.model import CustomerClass, OrgRole, StaffRole
from accounts.scopes import scopes_of
from accounts.sealing import Sealer
from hpc_adapters.contract import Backend, Resources
from hpc_adapters.simulated.adapter import SimulatedBackend
from hpc_adapters.simulated.behaviour import Behaviour
from infra.clock import new_id
from infra.db.connection import Conn, transaction
from metering.loops import capacity, collect
from metering.loops.deps import Deps as MeteringDeps
from portal.app import create_app
from portal.auth.sessions import Sessions
from portal.deps import Limits, PortalDeps
from portal.serve import server
from scheduler.loops import cancel, dispatch, listening, observe, sweep
from scheduler.loops.deps import Deps as SchedulerDeps
from tests.support.database import Database
from tests.support.market import NOW, Market, an_id, open_market

ALPHA, BETA = "alpha", "beta"
OPERATOR, SECOND, OFFICER = "operator", "second", "officer"
GHZ = """OPENQASM 3;
include "stdgates.inc";
qubit[2] q;
bit[2] c;
h q[0];
cx q[0], q[1];
c = measure q;
"""
SCRIPT = Behaviour(run_s=5, stdout="epoch 1\nepoch 2 ✓\n", result={"accuracy": 0.97}).script().body.decode()


@dataclass(slots=True)
class Clock:
    """Time as a test tells it."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass(slots=True)
class World:
    """app: the portal. tokens: by organisation's slug or staff role. step(): one turn of every loop."""

    database: Database
    market: Market
    clock: Clock
    backends: Mapping[str, Backend]
    deps: PortalDeps
    app: FastAPI
    tokens: dict[str, str] = field(default_factory=dict)

    def client(self, who: str | None = ALPHA, **headers: str) -> httpx2.AsyncClient:
        """A browserless caller, straight into the application."""
        return self._client(httpx2.ASGITransport(self.app), "http://portal.test", who, headers)

    def over_http(self, address: str, who: str | None = ALPHA, *, connections: int = 20) -> httpx2.AsyncClient:
        """A caller over real connections; see serving()."""
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        return self._client(httpx2.AsyncHTTPTransport(limits=limits), address, who, {})

    def _client(
        self, transport: httpx2.AsyncBaseTransport, address: str, who: str | None, headers: Mapping[str, str]
    ) -> httpx2.AsyncClient:
        signed = {} if who is None else {"Authorization": f"Bearer {self.tokens.get(who, who)}"}
        return httpx2.AsyncClient(
            transport=transport, base_url=address, headers={**signed, "Accept-Language": "en", **headers}, timeout=60
        )

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """The application behind a real server on the loopback; its address."""
        running = server(self.app, self.deps.streams, host="127.0.0.1", port=0)
        task = asyncio.create_task(running.serve())
        try:
            while not running.started:
                if task.done():
                    task.result()
                await asyncio.sleep(0.01)
            port = running.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}"
        finally:
            running.stop()
            await task

    async def step(self, seconds: float = 1.0) -> None:
        """Time passes, and every loop of the worker turns once."""
        self.clock.pass_s(seconds)
        scheduling = SchedulerDeps(pool=self.database.worker, lease=None, backends=self.backends, new_id=new_id)
        metering = MeteringDeps(pool=self.database.worker, backends=self.backends)
        for tick in (dispatch.tick, cancel.tick, observe.tick, listening.tick, sweep.tick):
            await tick(scheduling, self.clock.now)
        for tick in (capacity.tick, collect.tick):
            await tick(metering, self.clock.now)

    async def run_to_end(self) -> None:
        """Enough turns for a short job to run, end and be settled."""
        for _ in range(14):
            await self.step(2)

    async def token(
        self,
        who: str,
        *,
        scopes: Iterable[str] | None = None,
        expires_in: timedelta = timedelta(days=30),
        key: object = "extra",
    ) -> str:
        """Another token for the same person, with fewer scopes or another expiry."""
        person, organisation, role = PEOPLE[who]
        async with transaction(self.database.owner) as conn:
            return await _token(
                conn, (person, organisation), scopes or scopes_of([role]), expires_in, key=(who, key, *(scopes or ()))
            )


PEOPLE: Mapping[str, tuple[UUID, UUID | None, OrgRole | StaffRole]] = {
    ALPHA: (an_id("person"), an_id("organisation", ALPHA), OrgRole.OWNER),
    BETA: (an_id("person", BETA), an_id("organisation", BETA), OrgRole.OWNER),
    OPERATOR: (an_id("person", OPERATOR), None, StaffRole.OPERATOR),
    SECOND: (an_id("person", SECOND), None, StaffRole.OPERATOR),
    OFFICER: (an_id("person", OFFICER), None, StaffRole.OFFICER),
}


def training(**changes: Any) -> dict[str, Any]:
    """A good submission, but for the changes."""
    return {
        "name": "digits",
        "kind": "training",
        "offering": "gpu-demo",
        "gpus": 1,
        "walltime_s": 3600,
        "script": SCRIPT,
        **changes,
    }


def circuit(**changes: Any) -> dict[str, Any]:
    """A good quantum submission, but for the changes."""
    return {
        "name": "ghz",
        "kind": "quantum",
        "offering": "qpu-demo",
        "walltime_s": 60,
        "shots": 4000,
        "program": GHZ,
        **changes,
    }


def key(text: str = "once") -> dict[str, str]:
    """The header that every submission needs."""
    return {"Idempotency-Key": text}


@asynccontextmanager
async def open_world(database: Database, *, live_poll_s: float = 0.05) -> AsyncIterator[World]:
    """Everything in place; no value in any wallet yet."""
    market = await open_market(database)
    clock = Clock()
    units = Resources(gpus=8, cpus=64, memory_mb=262_144)
    backends: dict[str, Backend] = {
        "local": SimulatedBackend(name="local", total=units, seed=1, clock=clock),
        "aer": SimulatedBackend(name="aer", total=replace(units, gpus=0, qpus=1), seed=2, clock=clock),
    }
    deps = PortalDeps(
        pool=database.portal,
        backends=backends,
        sessions=Sessions(key=b"k" * 32),
        sealer=Sealer([b"s" * 32]),
        clock=clock,
        limits=Limits(live_poll_s=live_poll_s),
    )
    world = World(database, market, clock, backends, deps, create_app(deps))
    async with transaction(database.owner) as conn:
        await _people(conn, market)
    for who, (person, organisation, role) in PEOPLE.items():
        async with transaction(database.owner) as conn:
            world.tokens[who] = await _token(
                conn, (person, organisation), scopes_of([role]), timedelta(days=30), key=who
            )
    yield world
    deps.streams.stop()


async def _people(conn: Conn, market: Market) -> None:
    await market.add_organisation(BETA)
    for who in (BETA, OPERATOR, SECOND, OFFICER):
        await accounts.create_person(
            conn,
            actor=None,
            person_id=PEOPLE[who][0],
            display_name=who,
            email=f"{who}@example.jp",
            counts=who == BETA,
            now=NOW,
        )
    for who, (person, organisation, role) in PEOPLE.items():
        if isinstance(role, StaffRole) or organisation is None:
            await accounts.grant_staff_role(conn, actor=None, person_id=person, role=StaffRole(role), now=NOW)
            continue
        await accounts.declare(
            conn,
            actor=None,
            declaration_id=an_id("declaration", who),
            organisation_id=organisation,
            customer_class=CustomerClass.STARTUP,
            valid_from=NOW,
            valid_until=NOW + timedelta(days=300),
            now=NOW,
        )
        await accounts.add_member(
            conn,
            actor=None,
            membership_id=an_id("membership", who),
            organisation_id=organisation,
            person_id=person,
            role=role,
            now=NOW,
        )


async def _token(
    conn: Conn,
    whose: tuple[UUID, UUID | None],
    scopes: Iterable[str],
    expires_in: timedelta,
    *,
    key: object,
) -> str:
    seed = uuid5(an_id("token"), str(key))
    issued = await accounts.issue_token(
        conn,
        actor=None,
        token_id=seed,
        secret=seed.bytes * 2,
        person_id=whose[0],
        organisation_id=whose[1],
        label="test",
        scopes=scopes,
        expires_at=NOW + expires_in,
        now=NOW,
    )
    return issued.plain
