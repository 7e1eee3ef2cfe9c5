"""`kyoyo data` against the portal behind a real server: large files, broken connections, kills, strangers' names."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from kyoyo import Client
from kyoyo.cli.app import run
from kyoyo.cli.session import Session
from kyoyo.errors import NotFound, Refused, UsageError
from kyoyo.transport import Pace
from portal.app import create_app
from tests.support.database import Database
from tests.support.files import MIB, data_store
from tests.support.portal_world import ALPHA, BETA, World, open_world

LARGE = os.urandom(MIB) * 70  # five parts
PATIENT = Pace(sleep=lambda _: None)


@pytest.fixture
async def house(database: Database, tmp_path: Path) -> AsyncIterator[tuple[World, str]]:
    async with open_world(database) as world:
        store = data_store(tmp_path / "store", world.clock)
        world.deps = replace(world.deps, data=store)
        world.app = create_app(world.deps)
        async with world.serving() as address:
            yield world, address


class Faulty(httpx2.HTTPTransport):
    """Breaks transfers as it is told: by the number of the request for a transfer."""

    def __init__(self, wrong: Callable[[int, httpx2.Request], httpx2.Request]) -> None:
        super().__init__()
        self._wrong, self.transfers, self._lock = wrong, 0, threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if "/transfers/" in request.url.path:
            with self._lock:
                self.transfers += 1
                count = self.transfers
            request = self._wrong(count, request)
        return super().handle_request(request)


def client(house: tuple[World, str], who: str = ALPHA, http: httpx2.BaseTransport | None = None) -> Client:
    world, address = house
    return Client(address, world.tokens[who], environment={}, http=http, pace=PATIENT)


async def test_a_large_file_goes_and_comes(house: tuple[World, str], tmp_path: Path) -> None:
    source, target = tmp_path / "weights.bin", tmp_path / "back.bin"
    source.write_bytes(LARGE)
    with client(house) as mine:
        moved: list[int] = []
        kept = await asyncio.to_thread(mine.data.put, source, "models/weights.bin", moved=moved.append)
        assert (kept.size_bytes, sum(moved)) == (len(LARGE), len(LARGE))
        again = await asyncio.to_thread(mine.data.put, source, "models/weights.bin")
        assert again.raw == kept.raw
        assert await asyncio.to_thread(mine.data.get, "models/weights.bin", target) == target
        assert target.read_bytes() == LARGE
        with pytest.raises(UsageError, match="already"):
            await asyncio.to_thread(mine.data.get, "models/weights.bin", target)
    with client(house, BETA) as theirs, pytest.raises(NotFound):
        await asyncio.to_thread(theirs.data.get, "models/weights.bin", tmp_path / "stolen")
    assert not (tmp_path / "stolen").exists()


async def test_broken_transfers_are_made_good(house: tuple[World, str], tmp_path: Path) -> None:
    source = tmp_path / "weights.bin"
    source.write_bytes(LARGE)

    def wrong(count: int, request: httpx2.Request) -> httpx2.Request:
        if count % 3 == 1:
            raise httpx2.WriteError("reset by peer")
        if count == 2:  # a bit that flips on the way
            data = bytearray(b"".join(request.stream))  # type: ignore[arg-type]  # a synchronous one
            if data:
                data[len(data) // 2] ^= 1
            return httpx2.Request(request.method, request.url, headers=request.headers, content=bytes(data))
        return request

    http = Faulty(wrong)
    with client(house, http=http) as mine:
        await asyncio.to_thread(mine.data.put, source, "w.bin")
        await asyncio.to_thread(mine.data.get, "w.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == LARGE
    assert http.transfers > 10
    assert sorted(os.listdir(tmp_path)) == ["back.bin", "store", "weights.bin"]  # noqa: PTH208  names


async def test_a_killed_client_goes_on_where_it_stopped(house: tuple[World, str], tmp_path: Path) -> None:
    """Kill -9 after two parts; then also the portal begins anew on the same folder."""
    world, address = house
    source = tmp_path / "weights.bin"
    source.write_bytes(LARGE)
    program = (
        "import os, signal, sys, threading; from kyoyo import Client; import kyoyo.transfer as t\n"
        "t.WORKERS = 1; done = []\n"
        "def moved(count):\n"
        "    done.append(count)\n"
        f"    if sum(done) > {40 * MIB}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Client(sys.argv[1], sys.argv[2], environment={}).data.put(sys.argv[3], 'w.bin', moved=moved)\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, address, world.tokens[ALPHA], str(source)
    )
    assert await process.wait() == -signal.SIGKILL
    world.deps = replace(world.deps, data=data_store(tmp_path / "store", world.clock))
    world.app = create_app(world.deps)
    http = Faulty(lambda _, request: request)
    async with world.serving() as reborn:
        with client((world, reborn), http=http) as mine:
            assert list(await asyncio.to_thread(lambda: list(mine.data.objects()))) == []
            await asyncio.to_thread(mine.data.put, source, "w.bin")
            assert http.transfers <= 3  # two of five had arrived
            await asyncio.to_thread(mine.data.get, "w.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == LARGE


async def test_a_broken_off_download_fetches_what_is_missing(house: tuple[World, str], tmp_path: Path) -> None:
    source = tmp_path / "weights.bin"
    source.write_bytes(LARGE)
    with client(house) as mine:
        await asyncio.to_thread(mine.data.put, source, "w.bin")

    two_have_come, sizes = threading.Event(), list[int]()

    def come(size: int) -> None:
        sizes.append(size)
        if sum(sizes) >= 2 * 16 * MIB:
            two_have_come.set()

    def wrong(count: int, request: httpx2.Request) -> httpx2.Request:
        if count > 2:
            assert two_have_come.wait(60)
            raise httpx2.ReadError("gone")
        return request

    with client(house, http=Faulty(wrong)) as mine, pytest.raises(Exception, match="gone"):
        await asyncio.to_thread(mine.data.get, "w.bin", tmp_path / "back.bin", moved=come)
    assert not (tmp_path / "back.bin").exists()
    http = Faulty(lambda _, request: request)
    with client(house, http=http) as mine:
        await asyncio.to_thread(mine.data.get, "w.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == LARGE
    assert http.transfers == 3


async def test_a_file_that_changes_on_the_way_is_not_kept(house: tuple[World, str], tmp_path: Path) -> None:
    source = tmp_path / "weights.bin"
    source.write_bytes(LARGE)

    def wrong(_: int, request: httpx2.Request) -> httpx2.Request:
        with source.open("r+b") as file:
            file.write(b"changed")
        return request

    with client(house, http=Faulty(wrong)) as mine:
        with pytest.raises(Refused) as caught:
            await asyncio.to_thread(mine.data.put, source, "w.bin")
        assert caught.value.code == "checksum-wrong"
        assert await asyncio.to_thread(lambda: list(mine.data.objects())) == []


def kyoyo(house: tuple[World, str], *arguments: str, **environment: str) -> tuple[int, str, str]:
    world, address = house
    out, err = io.StringIO(), io.StringIO()
    session = Session(
        environment={"KYOYO_URL": address, "KYOYO_TOKEN": world.tokens[ALPHA], **environment},
        out_stream=out,
        err_stream=err,
        in_stream=io.StringIO(),
        pace=PATIENT,
    )
    return run(arguments, session), out.getvalue(), err.getvalue()


async def test_the_command(house: tuple[World, str], tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)

    async def call(*arguments: str, **environment: str) -> tuple[int, str, str]:
        return await asyncio.to_thread(kyoyo, house, *arguments, **environment)

    code, out, _ = await call("data", "put", str(tmp_path / "a.txt"), "set/")
    assert (code, out.split(" (")[0]) == (0, "set/a.txt is kept")
    code, out, _ = await call("data", "put", str(tmp_path / "b.txt"), "set/deep/b.txt", "--json")
    assert json.loads(out)["key"] == "set/deep/b.txt"
    code, out, err = await call("data", "ls", "set/", KYOYO_LANG="ja")
    assert "set/deep/b.txt" in out
    assert "100.0 GiB のうち 10 B を使用中" in err
    home = tmp_path / "home"
    assert (await call("data", "get", "set/", str(home)))[0] == 0
    assert ((home / "a.txt").read_text(), (home / "deep" / "b.txt").read_text()) == ("a.txt", "b.txt")
    assert (await call("data", "get", "set/", str(home)))[0] == 2
    assert (await call("data", "get", "set/a.txt", str(home / "a.txt"), "--force"))[0] == 0
    assert (await call("data", "rm", "set/a.txt"))[0] == 0
    assert (await call("data", "get", "set/a.txt"))[0] == 5
    assert (await call("data", "put", str(tmp_path / "a.txt"), "../up"))[0] == 4
    assert (await call("data", "put", str(tmp_path)))[0] == 2
