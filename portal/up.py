"""`kyoyod up`: database, tables, portal and worker, from nothing to an address that answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

from infra.db.migrate import migrate
from portal.bootstrap import database_urls, start_embedded
from portal.settings import Settings
from portal.supervise import kyoyod, stop_on_signals, supervise

_READY_TRIES, _READY_PAUSE_S = 240, 0.25


async def run_up(settings: Settings, *, announce: Callable[[str], object]) -> None:
    """Until SIGINT or SIGTERM. The embedded database is stopped with it; one that was given is left alone."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    urls = await asyncio.to_thread(database_urls, settings)
    try:
        if urls.owner:
            await migrate(urls.owner)
        ready = asyncio.create_task(_announce(settings, stop, announce))
        await supervise([kyoyod("portal", {}), kyoyod("worker", {})], stop=stop)
        ready.cancel()
    finally:
        if settings.is_embedded:
            await asyncio.to_thread(lambda: start_embedded(settings).stop())


async def _announce(settings: Settings, stop: asyncio.Event, announce: Callable[[str], object]) -> None:
    for _ in range(_READY_TRIES):
        if await is_ready(settings.host, settings.port):
            announce(f"Kyoyo: {settings.address}")
            announce("Nobody can sign in yet? kyoyod add-staff EMAIL --name NAME makes the first operator.")
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_READY_PAUSE_S):
                await stop.wait()
                return


async def is_ready(host: str, port: int) -> bool:
    """Whether the portal says that it can serve."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return str(HTTPStatus.OK.value).encode() in status
