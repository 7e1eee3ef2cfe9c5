"""The embedded PostgreSQL: found again, started again, stopped by its owner only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest

from infra import embedded

pytestmark = pytest.mark.postgres

START_AND_DIE = """
import os, sys
from pathlib import Path
from infra import embedded
print(embedded.start(Path(sys.argv[1])).url, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Not below pytest's tmp_path: another pytest closes that (0700) to the server's own system user."""
    with TemporaryDirectory() as folder:
        yield Path(folder, "pg")
        embedded.start(Path(folder, "pg")).stop()


async def _one(url: str, query: str) -> object:
    conn = await asyncpg.connect(url)
    try:
        return await conn.fetchval(query)
    finally:
        await conn.close()


async def test_data_outlives_a_stop_and_a_second_start_finds_the_same_server(data_dir: Path) -> None:
    first = embedded.start(data_dir)
    assert embedded.start(data_dir).url == first.url
    await _one(first.url, "CREATE TABLE kept AS SELECT 1 AS x")
    first.stop()
    with pytest.raises(OSError, match=r".*"):
        await asyncpg.connect(first.url)
    again = embedded.start(data_dir)
    assert await _one(again.url, "SELECT x FROM kept") == 1


async def test_a_locale_that_the_machine_lacks_neither_stops_it_nor_shapes_it(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "xx_XX.UTF-8")
    url = embedded.start(data_dir).url
    assert await _one(url, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "C"
    assert os.environ["LC_ALL"] == "xx_XX.UTF-8"


async def test_it_outlives_the_process_that_started_it(data_dir: Path) -> None:
    url = _start_in_a_process_that_dies(data_dir)
    started = await _one(url, "SELECT pg_postmaster_start_time()")
    found = embedded.start(data_dir)
    assert await _one(found.url, "SELECT pg_postmaster_start_time()") == started
    found.stop()
    with pytest.raises(OSError, match=r".*"):
        await asyncpg.connect(url)


async def test_it_is_postgresql_18_and_listens_on_no_network(data_dir: Path) -> None:
    running = embedded.start(data_dir)
    assert await _one(running.url, "SELECT current_setting('server_version_num')::int / 10000") == 18
    assert await _one(running.url, "SELECT current_setting('listen_addresses')") == ""


def _start_in_a_process_that_dies(data_dir: Path) -> str:
    died = subprocess.run(
        [sys.executable, "-W", "error", "-c", START_AND_DIE, str(data_dir)], check=False, capture_output=True, text=True
    )
    assert died.returncode == -9, died.stderr
    return died.stdout.strip()
