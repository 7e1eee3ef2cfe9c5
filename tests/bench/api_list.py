"""GET /api/v1/jobs of the portal behind its real server, everything on: token, role, policies, headers, metrics, log.

Peer: a bare ASGI handler behind the same server, which runs the same statements as superuser and dumps the rows.
"""

from __future__ import annotations

import asyncio
import json
from statistics import quantiles
from time import perf_counter

from asyncpg.connection import LoggedQuery

from infra.db.connection import Conn, transaction
from pricing import service as pricing
from scheduler import service as scheduler
from tests.bench._load import CONNECTIONS, closed_loop, in_turns, sized
from tests.bench._serving import Statement, serving
from tests.support.benchmark import Result
from tests.support.database import fresh_database
from tests.support.portal_world import ALPHA, World, key, open_world, training

_REQUESTS, _JOBS, _PAGE = 1_500, 120, 50


async def run() -> Result:
    async with fresh_database() as database, open_world(database) as world:
        await _submit_jobs(world)
        statements = await _statements(world)
        async with serving("portal", database.url) as portal, serving("bare", database.url, statements) as bare:
            ours, peer = _Caller(portal, world.tokens[ALPHA]), _Caller(bare, "")
            await _require_newest_first(ours)
            count = sized(_REQUESTS)
            ours_s, peer_s = await in_turns(database, count, ours.load, peer.load)
    p50, p99 = (quantiles(ours.latencies_ms, n=100)[each] for each in (49, 98))
    return Result(
        name="api_list",
        figure=round(count / ours_s),
        unit="requests/s",
        peer=round(count / peer_s),
        ratio=round(peer_s / ours_s, 4),
        facts={
            "requests": count,
            "connections": CONNECTIONS,
            "jobs_per_page": _PAGE,
            "p50_ms": round(p50, 1),
            "p99_ms": round(p99, 1),
        },
    )


async def _submit_jobs(world: World) -> None:
    await world.market.grant("10000000")
    async with world.client() as client:
        for number in range(1, _JOBS + 1):
            world.clock.pass_s(0.001)
            answer = await client.post("/api/v1/jobs", json=training(name=f"job {number}"), headers=key(str(number)))
            assert answer.status_code == 201, answer.text


async def _statements(world: World) -> list[Statement]:
    """What the portal asks the database for this page, written down while it asks."""
    asked: list[Statement] = []

    def note(query: LoggedQuery) -> None:
        asked.append((query.query, query.args))

    async with transaction(world.database.owner) as conn:
        await _ask(conn, world)  # the driver learns the types: its own questions are not the portal's
        with conn.query_logger(note):
            await _ask(conn, world)
    return asked


async def _ask(conn: Conn, world: World) -> None:
    page = await scheduler.jobs(conn, organisation_id=world.market.organisation, limit=_PAGE)
    await pricing.charges_by_job(conn, [job.id for job in page.items])


async def _require_newest_first(caller: _Caller) -> None:
    names = [job["name"] for job in json.loads(await caller.get())["items"]]
    assert names == [f"job {_JOBS - each}" for each in range(_PAGE)], names


class _Caller:
    """HTTP over kept connections, with as little work of its own as possible."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._request = (
            f"GET /api/v1/jobs?limit={_PAGE} HTTP/1.1\r\nHost: localhost\r\nAccept-Language: en\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        ).encode()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.latencies_ms: list[float] = []

    async def load(self, numbers: range) -> float:
        spent_s = await closed_loop(numbers, self._timed)
        for _, writer in self._idle:  # the server would close them while the other side has its turn
            writer.close()
        self._idle.clear()
        return spent_s

    async def _timed(self, _number: int) -> None:
        began = perf_counter()
        await self.get()
        self.latencies_ms.append(1000 * (perf_counter() - began))

    async def get(self) -> bytes:
        """The body of an answer, which must be a good one."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").lower().split("\r\n")
        length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
        body = await reader.readexactly(length)
        assert " 200 " in status, (status, body)
        self._idle.append((reader, writer))
        return body
