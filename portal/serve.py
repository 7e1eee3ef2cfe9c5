"""Runs the portal's HTTP server in this process until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from portal.app import create_app
from portal.bootstrap import DatabaseUrls, portal_deps
from portal.closing import close_rules, unexplained
from portal.settings import Settings
from portal.streams import Streams

SUPERVISED = "KYOYO_SUPERVISED"
"""Set by `kyoyod up` for its children: their standard input closes when it dies, and then they stop too."""
_GRACE_S = 10


class _Server(uvicorn.Server):
    """Ends the live streams first: they would otherwise hold the server open."""

    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config)
        self._streams = streams

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._streams.stop()
        super().handle_exit(sig, frame)

    def stop(self) -> None:
        """As if asked by a signal."""
        self._streams.stop()
        self.should_exit = True


def server(app: ASGIApp, streams: Streams, *, host: str, port: int) -> _Server:
    """A server for an application; errors are the application's own to log."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
        lifespan="off",
    )
    return _Server(config, streams)


async def serve_portal(settings: Settings, urls: DatabaseUrls) -> None:
    """Until SIGINT, SIGTERM, or the end of the supervisor."""
    rules = close_rules(settings)
    async with portal_deps(settings, urls) as opened:
        deps = replace(opened, close_rules=rules, unexplained=partial(unexplained, urls, opened.backends))
        running = server(create_app(deps), deps.streams, host=settings.host, port=settings.port)
        loop = asyncio.get_running_loop()
        when_supervisor_dies(lambda: loop.call_soon_threadsafe(running.stop))
        await running.serve()


def when_supervisor_dies(act: Callable[[], object]) -> None:
    """Calls `act` (in another thread) when standard input closes; only in a supervised process."""
    if os.environ.get(SUPERVISED) != "1":
        return

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):  # not sys.stdin.read: its lock would break the interpreter's end
            pass
        act()

    threading.Thread(target=watch, name="supervisor watch", daemon=True).start()
