"""The proxy that hurts connections: each fault does what it says, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.support.fault_proxy import Direction, Fault, FaultProxy

PATIENCE_S = 30.0
ANSWER = b"done: " + b"x" * 20


class Backend:
    """Answers every line, and remembers what it did."""

    def __init__(self) -> None:
        self.did: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            self.did.append(line)
            writer.write(ANSWER + b"\n")
        writer.close()


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, word: bytes = b"do it\n") -> bytes:
        """What comes back: empty, or a part, when the connection ends."""
        self.writer.write(word)
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readline()

    async def is_cut_off(self) -> bool:
        """Whether the answer is the connection's end."""
        try:
            return await self.ask() == b""
        except ConnectionError:
            return True


@asynccontextmanager
async def calling(proxy: FaultProxy) -> AsyncIterator[Caller]:
    if proxy.url.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(proxy.url.removeprefix("unix:"))
    else:
        host, _, port = proxy.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Caller(reader, writer)
    finally:
        writer.close()


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture(params=["unix", "tcp"])
async def proxy(request: pytest.FixtureRequest, backend: Backend, tmp_path: Path) -> AsyncIterator[FaultProxy]:
    if request.param == "unix":
        server = await asyncio.start_unix_server(backend.serve, tmp_path / "backend.sock")
        url = f"unix:{tmp_path / 'backend.sock'}"
    else:
        server = await asyncio.start_server(backend.serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with FaultProxy.before(url, folder=tmp_path, seed=7) as running:
        yield running
    server.close()


async def test_without_a_fault_everything_passes(proxy: FaultProxy, backend: Backend) -> None:
    async with calling(proxy) as caller:
        assert [await caller.ask() for _ in range(3)] == [ANSWER + b"\n"] * 3
    assert len(backend.did) == 3
    assert proxy.struck == {}
    assert proxy.connections == 1


async def test_a_reset_loses_the_request(proxy: FaultProxy, backend: Backend) -> None:
    async with calling(proxy) as caller:
        assert await caller.ask() == ANSWER + b"\n"
        with proxy.failing(Fault.RESET):
            assert await caller.is_cut_off()  # although it was open before
    assert len(backend.did) == 1
    assert proxy.struck == {Fault.RESET: 1}


async def test_a_dropped_answer_leaves_the_deed(proxy: FaultProxy, backend: Backend) -> None:
    with proxy.failing(Fault.DROP):
        async with calling(proxy) as caller:
            assert await caller.is_cut_off()
    assert len(backend.did) == 1
    async with calling(proxy) as caller:
        assert await caller.ask() == ANSWER + b"\n"


async def test_a_cut_lets_so_many_bytes_through(proxy: FaultProxy, backend: Backend) -> None:
    with proxy.failing(Fault.CUT, directions=frozenset({Direction.ANSWER}), after_bytes=4):
        async with calling(proxy) as caller:
            with suppress(ConnectionError):  # a reset may overtake the bytes
                assert await caller.ask() == b"done"
    assert len(backend.did) == 1


async def test_what_is_stalled_goes_on_when_the_fault_is_over(proxy: FaultProxy, backend: Backend) -> None:
    async with calling(proxy) as caller:
        with proxy.failing(Fault.STALL, directions=frozenset({Direction.REQUEST})):
            asking = asyncio.ensure_future(caller.ask())
            async with asyncio.timeout(PATIENCE_S):
                while not proxy.struck:  # noqa: ASYNC110  it tells nobody
                    await asyncio.sleep(0)
            assert backend.did == []
        assert await asking == ANSWER + b"\n"


async def test_a_delay_ends_by_itself(proxy: FaultProxy) -> None:
    loop = asyncio.get_running_loop()
    async with calling(proxy) as caller:
        with proxy.failing(Fault.DELAY, directions=frozenset({Direction.ANSWER}), delay_s=0.2):
            began = loop.time()
            assert await caller.ask() == ANSWER + b"\n"
            assert loop.time() - began >= 0.2


async def test_the_seed_decides_which_ones_are_hit(backend: Backend, tmp_path: Path) -> None:
    server = await asyncio.start_unix_server(backend.serve, tmp_path / "backend.sock")

    async def run(seed: int) -> list[bool]:
        async with FaultProxy.before(f"unix:{tmp_path / 'backend.sock'}", folder=tmp_path, seed=seed) as proxy:
            hit = []
            with proxy.failing(Fault.DROP, share=0.5):
                for _ in range(20):
                    async with calling(proxy) as caller:
                        hit.append(await caller.is_cut_off())
            return hit

    first, again, other = await run(1), await run(1), await run(2)
    server.close()
    assert first == again != other
    assert 0 < sum(first) < 20


async def test_a_backend_that_is_gone_is_a_connection_that_ends(tmp_path: Path) -> None:
    nobody = f"unix:{tmp_path / 'nobody.sock'}"
    async with FaultProxy.before(nobody, folder=tmp_path) as proxy, calling(proxy) as caller:
        assert await caller.is_cut_off()


async def test_it_ends_with_connections_open_and_stalled(backend: Backend, tmp_path: Path) -> None:
    server = await asyncio.start_unix_server(backend.serve, tmp_path / "backend.sock")
    async with asyncio.timeout(PATIENCE_S):
        async with FaultProxy.before(f"unix:{tmp_path / 'backend.sock'}", folder=tmp_path, tcp=True) as proxy:
            assert proxy.url.startswith("http://")
            async with calling(proxy) as caller:
                with proxy.failing(Fault.STALL):
                    caller.writer.write(b"do it\n")
    server.close()
