"""What checked, resumable, signed transfers cost: `kyoyo data put` and `get` on the loopback, against plain copies."""

from __future__ import annotations

import asyncio
import filecmp
import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import httpx2

from infra.clock import new_secret
from kyoyo import Client
from portal.app import create_app
from tests.bench._load import sized
from tests.support.benchmark import Result
from tests.support.database import fresh_database
from tests.support.files import MIB, data_store
from tests.support.portal_world import ALPHA, open_world

_MIB = 256


async def run() -> Result:
    size = sized(_MIB)
    with tempfile.TemporaryDirectory(prefix="kyoyo-bench-") as told:
        home = Path(told)
        source = home / "source"
        source.write_bytes((new_secret() * (MIB // 32)) * size)
        figures = await _measured(home, source)
    slower = figures["put_s"] + figures["get_s"]
    plain = figures["copy_s"] * 2
    return Result(
        name="data_transfer",
        figure=round(2 * size / slower),
        unit="MiB/s",
        peer=round(2 * size / plain),
        ratio=round(plain / slower, 4),
        facts={"mib": size, **{name: round(value, 3) for name, value in figures.items()}},
    )


async def _measured(home: Path, source: Path) -> dict[str, float]:
    """Portal and client share this one process, which makes it slower than it is apart."""
    async with fresh_database() as database, open_world(database) as world:
        world.deps = replace(world.deps, data=data_store(home / "store", world.clock))
        world.app = create_app(world.deps)
        async with world.serving() as address:
            token = world.tokens[ALPHA]
            with Client(address, token, environment={}) as client:
                put_s = await _timed(lambda: client.data.put(source, "big"))
                get_s = await _timed(lambda: client.data.get("big", home / "back"))
                asked = await asyncio.to_thread(client._transport.post, "/data/downloads", {"key": "big"})
            plain_get_s = await _timed(lambda: _plain_get(address + asked["url"], home / "plain"))
    copy_s = await _timed(lambda: _copy(source, home / "copy"))
    assert await asyncio.to_thread(filecmp.cmp, home / "back", source, shallow=False)
    return {"put_s": put_s, "get_s": get_s, "plain_get_s": plain_get_s, "copy_s": copy_s}


async def _timed(work: object) -> float:
    began = time.monotonic()
    await asyncio.to_thread(work)  # type: ignore[arg-type]  # any call
    return time.monotonic() - began


def _copy(source: Path, target: Path) -> None:
    """As `cp` does, and durable, as ours is."""
    shutil.copyfile(source, target)
    with target.open("rb+") as file:
        os.fsync(file.fileno())


def _plain_get(url: str, target: Path) -> None:
    """As `curl` does: one stream, nothing checked."""
    with httpx2.stream("GET", url, timeout=60) as response, target.open("wb") as file:
        for piece in response.iter_bytes():
            file.write(piece)
