"""One embedded PostgreSQL for a whole test run, shared by its xdist workers, with a migrated template to clone."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import psutil

from infra import embedded
from infra.db.migrate import migrate

RUN_DIR = "KYOYO_TEST_RUN_DIR"  # inherited by the xdist workers
_PREFIX = "kyoyo-test-"
_running: dict[str, embedded.EmbeddedDatabase] = {}
TEMPLATE = "kyoyo_template"

# A test database need not survive a power cut.
_FAST = (
    "ALTER SYSTEM SET fsync = off",
    "ALTER SYSTEM SET synchronous_commit = off",
    "ALTER SYSTEM SET full_page_writes = off",
    "ALTER SYSTEM SET autovacuum = off",  # it would sit in the template while somebody clones it
    "ALTER SYSTEM SET max_connections = 300",
)


def open_run() -> None:
    """Called once, before any worker starts: gives the run its folder."""
    _sweep_dead_runs()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    (folder / "owner.pid").write_text(str(os.getpid()))
    os.environ[RUN_DIR] = str(folder)


def close_run() -> None:
    _discard(Path(os.environ.pop(RUN_DIR)))


async def server() -> embedded.EmbeddedDatabase:
    """The run's server with its template: whoever comes first makes them."""
    name = os.environ[RUN_DIR]
    if name not in _running:
        with _locked(Path(name, "lock")):
            _running[name] = await _start(Path(name))
    return _running[name]


async def _start(folder: Path) -> embedded.EmbeddedDatabase:
    running = embedded.start(folder / "pg")
    if not (folder / "ready").exists():
        running = await _make_fast(running)
        await _make_template(running)
        (folder / "ready").touch()
    return running


async def clone(running: embedded.EmbeddedDatabase, name: str, *, template: str = TEMPLATE) -> str:
    await execute(running.url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return running.url_of(name)


async def drop(running: embedded.EmbeddedDatabase, name: str) -> None:
    await execute(running.url, f'DROP DATABASE "{name}" WITH (FORCE)')


async def execute(url: str, *statements: str) -> None:
    conn = await asyncpg.connect(url)
    try:
        for statement in statements:
            await conn.execute(statement)
    finally:
        await conn.close()


async def _make_fast(running: embedded.EmbeddedDatabase) -> embedded.EmbeddedDatabase:
    await execute(running.url, *_FAST)
    running.stop()
    return embedded.start(running.data_dir)


async def _make_template(running: embedded.EmbeddedDatabase) -> None:
    await execute(running.url, f"CREATE DATABASE {TEMPLATE}")
    await migrate(running.url_of(TEMPLATE))
    await execute(running.url, f"ALTER DATABASE {TEMPLATE} WITH ALLOW_CONNECTIONS false")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sweep_dead_runs() -> None:
    """What a killed run left behind: its server goes on until somebody stops it."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, ValueError):
            if not psutil.pid_exists(int((folder / "owner.pid").read_text())):
                _discard(folder)


def _discard(folder: Path) -> None:
    embedded.stop(folder / "pg")
    shutil.rmtree(folder, ignore_errors=True)
