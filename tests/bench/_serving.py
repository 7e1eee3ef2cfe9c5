"""Serves the portal, or a bare handler of the same statements, in this process: for a benchmark in another one.

    python -m tests.bench._serving portal URL          python -m tests.bench._serving bare URL < pickled statements

Prints its port, and serves until it is stopped. A bare handler answers every request with the rows of its statements.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from infra.db.connection import Pool, open_pool
from portal import logs
from portal.app import create_app
from portal.auth.sessions import Sessions
from portal.deps import PortalDeps
from portal.serve import SUPERVISED, server, when_supervisor_dies
from portal.streams import Streams
from tests.support.market import NOW

Statement = tuple[str, Sequence[object]]
_POOL_SIZE = 10
_ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def serving(mode: str, url: str, statements: Sequence[Statement] = ()) -> AsyncIterator[int]:
    """Its port; it runs until the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.bench._serving", mode, url),
        cwd=_ROOT,
        env={**os.environ, SUPERVISED: "1"},  # it ends when its standard input closes, even if we are killed
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # the portal's log: written, and read by nobody
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(pickle.dumps(list(statements)))
    try:
        yield int(await process.stdout.readline() or "0")
    finally:
        process.stdin.close()
        await process.wait()


async def _serve(mode: str, url: str) -> None:
    statements = pickle.load(sys.stdin.buffer)
    async with AsyncExitStack() as stack:
        if mode == "portal":
            app = _portal(await stack.enter_async_context(open_pool(url, user="kyoyo_portal", size=_POOL_SIZE)))
        else:
            app = _bare(await stack.enter_async_context(open_pool(url, size=_POOL_SIZE)), statements)
        running = server(app, Streams(), host="127.0.0.1", port=0)
        loop = asyncio.get_running_loop()
        when_supervisor_dies(lambda: loop.call_soon_threadsafe(running.stop))
        task = asyncio.create_task(running.serve())
        while not running.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.01)
        print(running.servers[0].sockets[0].getsockname()[1], flush=True)  # noqa: T201  told to who started us
        await task


def _portal(pool: Pool) -> ASGIApp:
    """As `kyoyod portal` serves it, with its log."""
    logs.configure()
    log = structlog.get_logger("portal")
    return create_app(PortalDeps(pool=pool, backends={}, sessions=Sessions(key=b"k" * 32), clock=lambda: NOW, log=log))


def _bare(pool: Pool, statements: Sequence[Statement]) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        async with pool.acquire() as conn:
            rows = [[dict(row) for row in await conn.fetch(query, *values)] for query, values in statements]
        body = json.dumps(rows, default=str).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
