"""A small metered world for tests: organisations, persons and prices through the real services, jobs that ran as told.

What a backend would say is written down in a `Scripted` one; the scheduler's rows are inserted, as its loops would.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from accounts import service as accounts
from accounts.model import CustomerClass, OrgRole
from hpc_adapters.contract import Capabilities, Capacity, Isolation, Resources, Script, Seen, UsageRow, Window
from hpc_adapters.errors import Unavailable
from infra.db.connection import Conn, Role, transaction
from metering.loops import capacity, collect
from metering.loops.deps import Deps
from pricing import service as pricing
from pricing.model import Ending, JobSize, ServiceClass
from pricing.units import micro
from tests.support import market
from tests.support.database import Database
from tests.support.market import GPU, an_id
from tests.support.staff import add_two_operators

NOON = datetime(2026, 4, 10, 3, 0, tzinfo=UTC)  # noon in Tokyo
CLUSTER = "cluster"
LAG_S = 60.0
_ENDED = {
    Ending.SUCCEEDED: (Seen.SUCCEEDED, "SUCCEEDED"),
    Ending.FAILED: (Seen.FAILED, "FAILED"),
    Ending.CANCELLED: (Seen.CANCELLED, "CANCELLED"),
    Ending.PREEMPTED: (Seen.PREEMPTED, "PREEMPTED"),
    Ending.LOST: (Seen.NODE_FAILED, "LOST"),
}


@dataclass
class Scripted:
    """A backend of which only accounting and size matter. `rows` is what it says, in every window they touch."""

    name: str = CLUSTER
    rows: list[UsageRow] = field(default_factory=list)
    size: Resources = field(default_factory=lambda: Resources(gpus=8, cpus=64, qpus=1))
    online: bool = True
    reachable: bool = True
    asked: list[Window] = field(default_factory=list)

    def capabilities(self) -> Capabilities:
        return Capabilities(
            name=self.name,
            isolation=Isolation.PER_ATTEMPT,
            payloads=frozenset({Script}),
            components=frozenset({"gpu_s", "cpu_s", "qpu_s", "shot"}),
            settle_window_s=20,
            accounting_lag_s=LAG_S,
        )

    async def accounting(self, window: Window) -> Sequence[UsageRow]:
        if not self.reachable:
            raise Unavailable("no-answer", maybe_done=False)
        self.asked.append(window)
        return [
            row
            for row in self.rows
            if row.started_at < window.until and (row.ended_at is None or row.ended_at >= window.since)
        ]

    async def capacity(self) -> Capacity:
        if not self.reachable:
            raise Unavailable("no-answer", maybe_done=False)
        return Capacity(at=NOON, total=self.size, free=self.size, online=self.online)


@dataclass
class World:
    """Ids are made from names: an_id("person", name), an_id("organisation", slug), an_id("attempt", job, 1)."""

    database: Database
    backend: Scripted
    home: dict[str, str] = field(default_factory=dict)

    def deps(self, **changed: object) -> Deps:
        return replace(Deps(pool=self.database.worker, backends={self.backend.name: self.backend}), **changed)

    async def collect(self, now: datetime) -> int:
        return await collect.tick(self.deps(), now)

    async def note_capacity(self, now: datetime) -> int:
        return await capacity.tick(self.deps(), now)

    @asynccontextmanager
    async def as_operator(self) -> AsyncIterator[Conn]:
        async with transaction(self.database.portal, role=Role.OPERATOR) as conn:
            yield conn

    async def organisation(self, slug: str, *, counts: bool = True, grant_yen: str = "1000000") -> UUID:
        organisation_id = an_id("organisation", slug)
        start = market.NOW
        async with self.as_operator() as conn:
            await accounts.create_organisation(
                conn,
                actor=None,
                organisation_id=organisation_id,
                project_id=an_id("project", slug),
                slug=slug,
                name=slug,
                counts=counts,
                now=start,
            )
            await accounts.declare(
                conn,
                actor=None,
                declaration_id=an_id("declaration", slug),
                organisation_id=organisation_id,
                customer_class=CustomerClass.STARTUP,
                valid_from=start,
                valid_until=start + timedelta(days=400),
                now=start,
            )
            await pricing.open_wallet(conn, organisation_id=organisation_id, now=start)
            await pricing.issue_grant(
                conn,
                grant_id=an_id("grant", slug),
                organisation_id=organisation_id,
                amount_micro_yen=micro(grant_yen),
                expires_at=market.NEXT_YEAR,
                reason="programme",
                actor=None,
                now=start,
            )
        return organisation_id

    async def person(
        self, name: str, *slugs: str, counts: bool = True, since: datetime = market.NOW, email: str | None = None
    ) -> UUID:
        person_id = an_id("person", name)
        async with self.as_operator() as conn:
            await accounts.create_person(
                conn,
                actor=None,
                person_id=person_id,
                display_name=name,
                email=email or f"{name}@example.jp",
                counts=counts,
                now=since,
            )
            for slug in slugs:
                await accounts.add_member(
                    conn,
                    actor=None,
                    membership_id=an_id("membership", name, slug),
                    organisation_id=an_id("organisation", slug),
                    person_id=person_id,
                    role=OrgRole.OWNER,
                    now=since,
                )
        self.home[name] = slugs[0] if slugs else ""
        return person_id

    async def submit(
        self,
        job: str,
        *,
        person: str,
        organisation: str | None = None,
        offering_id: str = GPU,
        size: JobSize | None = None,
        now: datetime = NOON,
    ) -> UUID:
        """Job, quote, hold and first attempt, queued. The attempt's id."""
        slug = organisation or self.home[person]
        size = size or (JobSize(gpus=1, walltime_s=7200) if offering_id == GPU else JobSize(walltime_s=600, shots=4000))
        async with transaction(self.database.owner) as conn:
            sold = await pricing.priced(
                conn,
                offering_id,
                customer_class=CustomerClass.STARTUP,
                service_class=ServiceClass.STANDARD,
                now=now,
            )
            quoted = pricing.quote(
                sold,
                quote_id=an_id("quote", job),
                job_id=an_id("job", job),
                organisation_id=an_id("organisation", slug),
                customer_class=CustomerClass.STARTUP,
                service_class=ServiceClass.STANDARD,
                size=size,
                now=now,
            )
            await pricing.place_hold(conn, quote=quoted, now=now)
            await _insert_job(conn, job, person, slug, offering_id, size, now)
            await self.requeue(conn, job, 1, now=now)
        return an_id("attempt", job, 1)

    async def requeue(self, conn: Conn, job: str, ordinal: int, *, now: datetime) -> UUID:
        attempt_id = an_id("attempt", job, ordinal)
        row = await conn.fetchrow("SELECT * FROM scheduler.job WHERE id = $1", an_id("job", job))
        await conn.execute(
            """INSERT INTO scheduler.attempt (id, job_id, organisation_id, ordinal, backend, state, queued_at)
               VALUES ($1, $2, $3, $4, $5, 'QUEUED', $6)""",
            attempt_id, row["id"], row["organisation_id"], ordinal, self.backend.name, now,
        )  # fmt: skip
        await _note(conn, attempt_id, "Queued", "QUEUED", now, now)
        await pricing.open_attempt(
            conn,
            attempt_id=attempt_id,
            job_id=row["id"],
            organisation_id=row["organisation_id"],
            project_id=row["project_id"],
            person_id=row["person_id"],
            offering_id=row["offering_id"],
            now=now,
        )
        return attempt_id

    async def end(
        self,
        job: str,
        *,
        started_at: datetime,
        ended_at: datetime,
        ending: Ending = Ending.SUCCEEDED,
        ordinal: int = 1,
        last: bool = True,
        now: datetime | None = None,
    ) -> UUID:
        """The scheduler has seen it start and end."""
        attempt_id = an_id("attempt", job, ordinal)
        now = now or ended_at
        async with transaction(self.database.worker) as conn:
            await _note(conn, attempt_id, "Dispatched", "DISPATCHING", started_at - timedelta(seconds=1), now)
            await _note(conn, attempt_id, "Started", "RUNNING", started_at, now)
            await _note(conn, attempt_id, "Ended", _ENDED[ending][1], ended_at, now)
            await conn.execute(
                "UPDATE scheduler.attempt SET started_at = $2, ended_at = $3 WHERE id = $1",
                attempt_id, started_at, ended_at,
            )  # fmt: skip
            await pricing.close_attempt(
                conn, attempt_id=attempt_id, ending=ending, ended_at=ended_at, last=last, now=now
            )
        return attempt_id

    async def run(
        self,
        job: str,
        *,
        person: str,
        started_at: datetime,
        ran_s: float,
        organisation: str | None = None,
        gpus: int = 1,
        ending: Ending = Ending.SUCCEEDED,
    ) -> UsageRow:
        """Submitted a minute before it started, ran, ended, and the backend's accounting knows it. Its row."""
        size = JobSize(gpus=gpus, walltime_s=7 * 86_400)
        submitted_at = started_at - timedelta(minutes=1)
        await self.submit(job, person=person, organisation=organisation, size=size, now=submitted_at)
        ended_at = started_at + timedelta(seconds=ran_s)
        await self.end(job, started_at=started_at, ended_at=ended_at, ending=ending)
        return self.tells(job, started_at=started_at, ended_at=ended_at, gpus=gpus, ending=ending)

    def tells(self, job: str, **said: object) -> UsageRow:
        row = a_row(job, **said)
        self.backend.rows.append(row)
        return row


def a_row(
    job: str = "job",
    *,
    started_at: datetime = NOON,
    ended_at: datetime | None = NOON + timedelta(hours=1),
    gpus: int = 1,
    ending: Ending = Ending.SUCCEEDED,
    key: str | None = None,
    ordinal: int = 1,
    **changed: object,
) -> UsageRow:
    """What the accounting says of a job's attempt: by default one GPU for an hour."""
    ran_s = Decimal(((ended_at or started_at) - started_at) // timedelta(microseconds=1)) / 1_000_000
    row = UsageRow(
        natural_key=key or f"{job}.{ordinal}",
        attempt_id=an_id("attempt", job, ordinal),
        started_at=started_at,
        ended_at=ended_at,
        final=ended_at is not None,
        ending=_ENDED[ending][0] if ended_at else Seen.RUNNING,
        components={"gpu_s": gpus * ran_s, "cpu_s": 2 * gpus * ran_s},
        facts={"gpus": gpus, "peak_memory_mb": 512},
    )
    return replace(row, **changed)


def a_quantum_row(job: str, *, started_at: datetime = NOON, ran_s: int = 3, shots: int = 4000) -> UsageRow:
    return a_row(
        job,
        started_at=started_at,
        ended_at=started_at + timedelta(seconds=ran_s),
        components={"qpu_s": Decimal(ran_s), "shot": Decimal(shots)},
        facts={},
    )


async def open_world(database: Database) -> World:
    """A GPU and a quantum offering on one scripted backend, priced for startups; nobody there yet."""
    async with transaction(database.portal, role=Role.OPERATOR) as conn:
        await add_two_operators(conn, now=market.NOW)
        for offering in (market.GPU_OFFERING, market.QPU_OFFERING):
            await pricing.create_offering(conn, replace(offering, backend=CLUSTER), now=market.NOW)
        for reference in market.MARKET:
            await pricing.record_market_reference(conn, reference, now=market.NOW)
        await market.publish_first(conn)
    return World(database, Scripted())


async def _insert_job(
    conn: Conn, job: str, person: str, slug: str, offering_id: str, size: JobSize, now: datetime
) -> None:
    kind = "batch" if offering_id == GPU else "quantum"
    await conn.execute(
        """INSERT INTO scheduler.job (id, organisation_id, project_id, person_id, name, kind, offering_id, backend,
               service_class, gpus, cpus, memory_mb, qpus, shots, walltime_s, max_attempts, nu, options,
               idempotency_key, request_sha256, submitted_at)
           VALUES ($1, $2, $3, $4, $5, $6::text::scheduler.job_kind, $7, $8, 'standard', $9, $10, 0, $11, $12, $13, 3,
                   1, '{}', $5, sha256('x'), $14)""",
        an_id("job", job), an_id("organisation", slug), an_id("project", slug), an_id("person", person), job, kind,
        offering_id, CLUSTER, size.gpus, 2 * size.gpus, int(kind == "quantum"), size.shots, size.walltime_s, now,
    )  # fmt: skip


async def _note(conn: Conn, attempt_id: UUID, kind: str, state: str, at: datetime, now: datetime) -> None:
    """An event, and the projection after it."""
    seq = await conn.fetchval(
        """UPDATE scheduler.attempt SET state = $2::text::scheduler.attempt_state, version = version + 1
           WHERE id = $1 RETURNING version""",
        attempt_id, state,
    )  # fmt: skip
    await conn.execute(
        """INSERT INTO scheduler.attempt_event (attempt_id, seq, organisation_id, kind, state, facts, effective_at,
               recorded_at)
           SELECT id, $2, organisation_id, $3, $4::text::scheduler.attempt_state, '{}', $5, $6
           FROM scheduler.attempt WHERE id = $1""",
        attempt_id, seq, kind, state, at, now,
    )  # fmt: skip
