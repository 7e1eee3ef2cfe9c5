"""A proxy between two of ours that lets connections suffer: resets, stalls, cuts, lost answers, delays.

    async with FaultProxy.before("unix:/…/restd.sock", folder=tmp_path) as proxy:
        client = …(proxy.url)
        with proxy.failing(Fault.DROP):      # the backend acts, and nobody hears of it
            …

Faults are switched at run time and strike connections that are open already. What chance decides comes from the seed.
"""

from __future__ import annotations

import asyncio
import random  # noqa: TID251  one seeded instance
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

CHUNK = 2**16
UNIX = "unix:"


class Fault(StrEnum):
    """What happens to data that comes by while the fault lasts."""

    RESET = "reset"
    """It is lost, and the connection is torn down: of a request, the backend hears nothing."""
    DROP = "drop"
    """Requests pass; answers are lost and the connection is torn down: the backend has acted."""
    CUT = "cut"
    """So many bytes of it pass, then the connection is torn down."""
    STALL = "stall"
    """It waits until the fault is over."""
    DELAY = "delay"
    """It passes late."""


class Direction(StrEnum):
    REQUEST = "request"
    ANSWER = "answer"


BOTH = frozenset(Direction)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weather:
    """One fault as it is set; `share` of the pieces of data meet it."""

    fault: Fault
    directions: frozenset[Direction]
    share: float
    after_bytes: int
    delay_s: float
    over: asyncio.Event = field(default_factory=asyncio.Event)


class _TornDown(Exception):
    """The connection is to end now."""


_End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class FaultProxy:
    """Listens at `url`, speaks to the backend. struck counts what each fault has hit."""

    def __init__(self, backend: str, url: str, seed: int) -> None:
        self.url = url
        self.backend = backend
        self.struck: Counter[Fault] = Counter()
        self.connections = 0
        self._chance = random.Random(seed)
        self._weather: _Weather | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def before(
        cls, backend: str, *, folder: Path, seed: int = 0, tcp: bool | None = None
    ) -> AsyncIterator[FaultProxy]:
        """Runs until the block ends. tcp: how it listens itself; None: as the backend does.

        backend: `unix:/path` or `http://host:port`.
        """
        proxy = cls(backend, "", seed)
        if tcp or (tcp is None and not backend.startswith(UNIX)):
            server = await asyncio.start_server(proxy._accept, "127.0.0.1", 0)
            proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        else:
            path = folder / "fault-proxy.sock"
            server = await asyncio.start_unix_server(proxy._accept, path)
            proxy.url = f"{UNIX}{path}"
        try:
            yield proxy
        finally:
            server.close()
            await proxy._end()

    @contextmanager
    def failing(
        self,
        fault: Fault,
        *,
        directions: frozenset[Direction] = BOTH,
        share: float = 1.0,
        after_bytes: int = 0,
        delay_s: float = 0.5,
    ) -> Iterator[Self]:
        """The fault lasts until the block ends; what it held then goes on. One at a time: the newest counts.

        directions: of RESET, CUT, STALL and DELAY. after_bytes: what CUT lets through. share: of the pieces of data
        that come by, each by itself.
        """
        before = self._weather
        weather = _Weather(fault=fault, directions=directions, share=share, after_bytes=after_bytes, delay_s=delay_s)
        self._weather = weather
        try:
            yield self
        finally:
            weather.over.set()
            if self._weather is weather:
                self._weather = before

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._join((reader, writer))
        except asyncio.CancelledError:
            pass  # the proxy ends: asyncio's server would report it as an error
        finally:
            self._tasks.discard(task)
            await _close(writer)

    async def _join(self, client: _End) -> None:
        """Both directions until one is torn down or both have ended."""
        try:
            backend = await _connect(self.backend)
        except OSError:
            _tear_down(client[1])
            return
        pumps = [
            asyncio.ensure_future(self._pump(client[0], backend[1], Direction.REQUEST)),
            asyncio.ensure_future(self._pump(backend[0], client[1], Direction.ANSWER)),
        ]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
            if any(pump.exception() for pump in done):
                _tear_down(client[1])
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await _close(backend[1])

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction) -> None:
        """_TornDown, or the connection's own error."""
        while data := await reader.read(CHUNK):
            await self._pass(data, writer, way)
        with suppress(OSError, RuntimeError):
            writer.write_eof()

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter, way: Direction) -> None:
        weather = self._weather
        if weather is None or not self._strikes(weather, way):
            await _send(writer, data)
            return
        self.struck[weather.fault] += 1
        match weather.fault:
            case Fault.RESET | Fault.DROP:
                raise _TornDown
            case Fault.CUT:
                await _send(writer, data[: weather.after_bytes])
                raise _TornDown
            case Fault.STALL:
                await weather.over.wait()
            case Fault.DELAY:
                with suppress(TimeoutError):
                    await asyncio.wait_for(weather.over.wait(), weather.delay_s)
        await _send(writer, data)

    def _strikes(self, weather: _Weather, way: Direction) -> bool:
        directions = {Direction.ANSWER} if weather.fault is Fault.DROP else weather.directions
        return way in directions and self._chance.random() < weather.share

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _connect(url: str) -> _End:
    if url.startswith(UNIX):
        return await asyncio.open_unix_connection(url.removeprefix(UNIX))
    where = urlsplit(url)
    return await asyncio.open_connection(where.hostname, where.port)


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


def _tear_down(writer: asyncio.StreamWriter) -> None:
    """Over TCP a reset (RST), not an orderly end; a Unix socket knows no difference."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.family != socket.AF_UNIX:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
