"""The service as real processes that somebody keeps killing, and what must be true of the books afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import random  # noqa: TID251  one seeded instance
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from kyoyo import Job, Unavailable
from tests.support.database import Database
from tests.support.forked import Forked, kyoyod

PATIENCE_S = 240


class Victim:
    """One process of the service, which can be killed and comes back."""

    def __init__(self, command: str, environment: Mapping[str, str], log: Path) -> None:
        self._command, self._environment, self._log = command, {**os.environ, **environment}, log
        self.deaths = 0
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = Forked([self._command], self._environment, out=log, err=log)

    def kill_and_restart(self) -> None:
        assert self._process.poll() is None, f"{self._command} ended by itself, see {self._log}"
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.deaths += 1
        self.start()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def settings_of(database: Database, folder: Path, backends: str) -> Mapping[str, str]:
    """Of portal and worker, on a port that is free now. backends: the text of their file."""
    (folder / "backends.toml").write_text(backends)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {
        "KYOYO_DATABASE_URL": database.url,
        "KYOYO_DATA_DIR": str(folder),
        "KYOYO_BACKENDS_FILE": str(folder / "backends.toml"),
        "KYOYO_HOST": "127.0.0.1",
        "KYOYO_PORT": str(port),
    }


@contextmanager
def service(environment: Mapping[str, str], logs: Path) -> Iterator[dict[str, Victim]]:
    victims = {command: Victim(command, environment, logs / f"{command}.log") for command in ("portal", "worker")}
    try:
        yield victims
    finally:
        for victim in victims.values():
            victim.stop()


Ready = Callable[[], Awaitable[object]]
"""Something that changes once a process that was just started does its work."""


async def keep_killing(
    victim: Victim, ready: Ready, chance: random.Random, *, deaths: int, until: asyncio.Event
) -> None:
    """Kills again and again, mostly at a moment of work, one time in five while it still starts."""
    for _ in range(deaths):
        if until.is_set():
            return
        if chance.random() < 0.8:
            await ready()
        with suppress(TimeoutError):
            async with asyncio.timeout(chance.uniform(0.1, 3.0)):
                await until.wait()
        if not until.is_set():
            await asyncio.to_thread(victim.kill_and_restart)


async def portal_listens(port: int, *, patience_s: float = 60) -> None:
    """TimeoutError: it never came; its log says why."""
    async with asyncio.timeout(patience_s):
        await _listens(port)


async def _listens(port: int) -> None:
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.1)


async def worker_leads(database: Database) -> None:
    """A worker that has just come takes every loop, with a new token: after the kill before, under a new name."""
    leaders = "SELECT coalesce(sum(token), 0) FROM infra.leader"
    before = await database.owner.fetchval(leaders)
    async with asyncio.timeout(PATIENCE_S):
        while await database.owner.fetchval(leaders) == before:  # noqa: ASYNC110  the event is in another process
            await asyncio.sleep(0.1)


def patiently(call: Callable[[], Job]) -> Job:
    """What a person does when the command says "not reachable": call again, with the same key."""
    for _ in range(30):
        with suppress(Unavailable):
            return call()
    return call()


async def until_settled(database: Database, *, patience_s: float = PATIENCE_S) -> None:
    """Until the worker has collected and settled the last attempt."""
    async with asyncio.timeout(patience_s):
        while (await imbalance_and_open_holds(database))[1]:  # noqa: ASYNC110  the event is in another process
            await asyncio.sleep(0.5)


async def ended_states(database: Database) -> dict[str, int]:
    rows = await database.owner.fetch("SELECT state::text, count(*) FROM scheduler.attempt GROUP BY state")
    return {row["state"]: row["count"] for row in rows}


async def imbalance_and_open_holds(database: Database) -> tuple[int, int]:
    return (
        abs(
            await database.owner.fetchval("SELECT coalesce(sum(amount_micro_yen), 0)::bigint FROM pricing.ledger_entry")
        ),
        await database.owner.fetchval("SELECT count(*) FROM pricing.hold WHERE closed_at IS NULL"),
    )


def unexplained(environment: Mapping[str, str]) -> int:
    audit = kyoyod(["audit", "--json"], {**os.environ, **environment}, timeout_s=120)
    assert audit.returncode in {0, 1}, audit.stderr.decode()
    found = json.loads(audit.stdout)
    print(json.dumps(found, ensure_ascii=False, indent=1))  # noqa: T201  shown where the test fails
    return int(found["unexplained"])
