"""The demo's house: database, portal and worker as they run anywhere, in a folder of their own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from time import monotonic, sleep

import httpx2

from infra.clock import new_id, utc_now
from infra.db.connection import Role, open_pool, transaction
from infra.db.migrate import migrate
from infra.slurm.cluster import Cluster
from kyoyo import Client
from portal.bootstrap import DatabaseUrls, database_urls
from portal.demo import ground, slurm, world
from portal.demo.leftovers import end_all
from portal.demo.seed import Keys, seed
from portal.demo.stage import Children
from portal.settings import Settings
from portal.supervise import kyoyod
from pricing import service as pricing
from pricing.days import Month, day_of
from pricing.figures import Books

READY_LIMIT_S = 60.0
COMMAND_LIMIT_S = 120.0
POLL_S = 0.1


class CommandFailed(Exception):
    """A command of kyoyod did not do what it should. The message is what it printed."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        super().__init__(f"{' '.join(done.args[2:])}: {done.returncode}\n{done.stdout}\n{done.stderr}")


class House:
    """Opened once, closed once. Nothing of it outlives close(): no process, no job, no database."""

    def __init__(self, folder: Path, port: int, *, gpu_backend: str = world.GPU_BACKEND) -> None:
        self.folder = folder
        self.gpu_backend = gpu_backend
        self.cluster: Cluster | None = None
        self.address = f"http://127.0.0.1:{port}"
        self.children = Children(folder / "logs")
        self.month = str(Month.of(day_of(utc_now())))
        self.keys = Keys(startup="", operator="", officer="")
        ground.take_over(os.environ, ground.environment(folder, port=port))
        self._settings = Settings()
        self._urls: DatabaseUrls | None = None

    def open(self) -> None:
        """Cluster, database, tables, cast, processes; they may not answer yet. ClusterFailed, CommandFailed."""
        if self.gpu_backend == world.SLURM_BACKEND:
            self.cluster = slurm.start(self.folder / "slurm")
            ground.furnish(self.folder, slurm.table(self.cluster))
        self._urls = database_urls(self._settings)
        self.keys = asyncio.run(_prepare(self._urls, self.gpu_backend))
        if self.cluster is not None:
            synced = _kyoyod("site", "sync", world.SLURM_BACKEND)
            if synced.returncode != 0:
                raise CommandFailed(synced)
        for name in ("portal", "worker"):
            self.children.start(kyoyod(name, {}))

    def wait_until_ready(self) -> None:
        """TimeoutError."""
        began_s = monotonic()
        with httpx2.Client(base_url=self.address, timeout=2.0) as http:
            while monotonic() - began_s < READY_LIMIT_S:
                try:
                    if http.get("/readyz").is_success:
                        return
                except httpx2.TransportError:
                    pass  # not listening yet
                sleep(POLL_S)
        raise TimeoutError(f"{self.address}/readyz: {READY_LIMIT_S:g} s")

    def restart(self, name: str) -> None:
        """Ends one process and starts it again, as a deployment does."""
        self.children.stop_one(name)
        self.children.start(kyoyod(name, {}))

    def client(self, token: str, language: str) -> Client:
        """The real client, as somebody."""
        return Client(self.address, token, language=language, environment={})

    def audit(self) -> int:
        """How many differences `kyoyod audit` cannot explain. CommandFailed."""
        done = _kyoyod("audit", "--json")
        try:
            return int(json.loads(done.stdout)["unexplained"])
        except (ValueError, KeyError, TypeError) as unreadable:
            raise CommandFailed(done) from unreadable

    def books(self) -> Books:
        """The ledger as a whole, as an operator sees it."""
        assert self._urls is not None
        return asyncio.run(_books(self._urls))

    def close(self) -> None:
        """Ends everything that was started, in whatever state it is."""
        self.children.stop()
        try:
            asyncio.run(end_all(self.folder))
        finally:
            if self.cluster is not None:
                self.cluster.stop()  # its jobs end with it
                self.cluster = None


def _kyoyod(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command to its end."""
    child = kyoyod(name, {})
    return subprocess.run(  # noqa: S603  our own program
        [*child.command, *words],
        env=dict(child.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
        check=False,
    )


async def _prepare(urls: DatabaseUrls, gpu_backend: str) -> Keys:
    await migrate(urls.owner)
    async with open_pool(urls.portal, size=1) as pool:
        return await seed(pool, now=utc_now(), new_id=new_id, gpu_backend=gpu_backend)


async def _books(urls: DatabaseUrls) -> Books:
    async with open_pool(urls.portal, size=1) as pool, transaction(pool, role=Role.OPERATOR) as conn:
        return await pricing.books(conn)
