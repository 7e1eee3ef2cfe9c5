"""The server's command with real processes: it comes up from nothing, survives kill -9, and stops in order."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import psutil
import pytest

from accounts import service as accounts
from accounts.model import StaffRole
from infra.clock import utc_now
from infra.db.connection import transaction
from infra.db.migrate import MIGRATIONS
from portal.worker import loops
from pricing.service import collecting, inbox
from pricing.stripe_gateway import StripeGateway
from tests.support import forked
from tests.support.database import Database

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(300), pytest.mark.takes(20)]
PATIENCE_S = 150
MACHINES = '[backends.cluster]\nkind = "simulated"\n'


def _environment(folder: Path, **more: str) -> Mapping[str, str]:
    (folder / "backends.toml").write_text(MACHINES)
    ours = {
        "KYOYO_DATA_DIR": str(folder / "data"),
        "KYOYO_BACKENDS_FILE": str(folder / "backends.toml"),
        "PYTHONPATH": str(MIGRATIONS.parents[2]),
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KYOYO_")}
    return {**clean, **ours, **more}


async def kyoyod(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """A whole run of the command: exit code, stdout, stderr."""
    ran = await asyncio.to_thread(forked.kyoyod, arguments, _environment(folder, **environment))
    return ran.returncode, ran.stdout.decode(), ran.stderr.decode()


@asynccontextmanager
async def up(folder: Path, **environment: str) -> AsyncIterator[tuple[psutil.Process, str]]:
    """`kyoyod up`, ready; ended in order when the block ends."""
    port = _free_port()
    with (folder / "up.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "portal",
            "up",
            env=_environment(folder, KYOYO_PORT=str(port), **environment),
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        await _ready(address)
        yield psutil.Process(process.pid), address
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), PATIENCE_S)
    assert process.returncode == 0, (folder / "up.log").read_text()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _ready(address: str, *, path: str = "/readyz") -> None:
    async with asyncio.timeout(PATIENCE_S), httpx2.AsyncClient() as http:
        while True:
            try:
                if (await http.get(f"{address}{path}")).is_success:
                    return
            except httpx2.TransportError:
                pass  # not listening yet
            await asyncio.sleep(0.1)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  another process has no event for a test
            await asyncio.sleep(0.1)


def _children(parent: psutil.Process) -> dict[str, psutil.Process]:
    """By the name of the command: portal and worker."""
    return {child.cmdline()[-1]: child for child in parent.children() if child.cmdline()[1:3] == ["-m", "portal"]}


async def test_up_from_nothing_survives_the_death_of_either_child(tmp_path: Path) -> None:
    async with up(tmp_path) as (parent, address):
        before = _children(parent)
        assert before.keys() == {"portal", "worker"}
        for child in before.values():
            child.kill()
            child.wait(10)
        await _ready(address)
        log = tmp_path / "up.log"
        await _until(lambda: _children(parent).keys() == before.keys() and f"Kyoyo: {address}" in log.read_text())
        after = _children(parent)
    assert {child.pid for child in before.values()}.isdisjoint(child.pid for child in after.values())
    assert not any(child.is_running() for child in after.values())
    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()


async def test_the_worker_shows_what_its_loops_count(tmp_path: Path, database: Database) -> None:
    port = _free_port()
    settings = {"KYOYO_DATABASE_URL": database.url, "KYOYO_WORKER_METRICS_PORT": str(port)}
    async with up(tmp_path, **settings):
        await _ready(f"http://127.0.0.1:{port}", path="/metrics")
        async with httpx2.AsyncClient() as http:
            told = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
        code, _, err = await kyoyod(tmp_path, "worker", **settings)
    for figure in (
        "kyoyo_scheduler_unreadable_answers",
        "kyoyo_parked_usage",
        "kyoyo_attempts_incomplete",
        "kyoyo_accounting_lag",
    ):
        assert f"# TYPE {figure}" in told
    assert code == 2, "a second worker must not believe that it is heard"
    assert "KYOYO_WORKER_METRICS_PORT" in err


async def test_the_children_do_not_outlive_a_supervisor_that_is_killed(tmp_path: Path, database: Database) -> None:
    with pytest.raises(AssertionError):  # killed: it does not end with 0
        async with up(tmp_path, KYOYO_DATABASE_URL=database.url) as (parent, _):
            children = list(_children(parent).values())
            parent.kill()
            gone, alive = await asyncio.to_thread(psutil.wait_procs, children, PATIENCE_S)
    assert (len(gone), alive) == (2, [])


async def test_the_audit_of_an_empty_house_finds_nothing(tmp_path: Path, database: Database) -> None:
    code, out, err = await kyoyod(tmp_path, "audit", "--json", KYOYO_DATABASE_URL=database.url)
    assert code == 0, err
    assert json.loads(out)["unexplained"] == 0


async def test_the_audit_ends_with_1_when_something_is_unexplained(tmp_path: Path, database: Database) -> None:
    async with database.owner.acquire() as conn:
        await conn.execute("SELECT accounts.append_audit(now(), NULL, NULL, 'a.b', 'c:d', '{}')")
        await conn.execute("ALTER TABLE accounts.audit_entry DISABLE TRIGGER append_only")
        await conn.execute("UPDATE accounts.audit_entry SET action = 'x.y'")
    code, out, _ = await kyoyod(tmp_path, "audit", KYOYO_DATABASE_URL=database.url)
    assert code == 1
    assert "DIFFERENCE" in out


async def test_the_first_operator_of_a_fresh_house_gets_a_link(tmp_path: Path, database: Database) -> None:
    settings = {"KYOYO_DATABASE_URL": database.url, "LANG": "ja_JP.UTF-8"}
    code, out, err = await kyoyod(tmp_path, "add-staff", "ops@example.jp", "--name", "高橋 円", **settings)
    assert code == 0, err
    token, link = out.split()
    assert link.endswith(f"/ja/sign-in#{token}")
    async with transaction(database.portal) as conn:
        who = await accounts.authenticate(conn, token, now=utc_now())
    assert who.staff_roles == {StaffRole.OPERATOR}
    code, out, err = await kyoyod(tmp_path, "add-staff", "ops@example.jp", "--name", "高橋 円", **settings)
    assert (code, out) == (2, "")
    assert "すでに登録されています" in err


async def test_an_old_database_is_migrated_and_not_served(tmp_path: Path, database: Database) -> None:
    name = f"old_{tmp_path.parent.name.replace('-', '_')}"
    async with database.owner.acquire() as conn:
        await conn.execute(f"CREATE DATABASE {name}")
    try:
        url = re.sub(r"/test_[0-9a-f]+", f"/{name}", database.url)
        refused = await kyoyod(tmp_path, "worker", KYOYO_DATABASE_URL=url)
        told = await kyoyod(tmp_path, "migrate", "--dry-run", KYOYO_DATABASE_URL=url)
        done = await kyoyod(tmp_path, "migrate", KYOYO_DATABASE_URL=url)
        again = await kyoyod(tmp_path, "migrate", KYOYO_DATABASE_URL=url)
    finally:
        async with database.owner.acquire() as conn:
            await conn.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert refused[0] == 2
    assert "0001_foundation" in refused[2]
    assert told[1].startswith("would apply 0001_foundation")
    assert done[1].startswith("applied 0001_foundation")
    assert again[1] == "nothing to apply\n"


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"KYOYO_ENVIRONMENT": "production"}, "KYOYO_DATABASE_URL"),
        ({"KYOYO_PORT": "99999"}, "KYOYO_PORT"),
        ({"KYOYO_ENVIRONMENT": "staging"}, "KYOYO_ENVIRONMENT"),
    ],
)
async def test_wrong_settings_end_with_a_sentence(tmp_path: Path, environment: dict[str, str], told: str) -> None:
    code, out, err = await kyoyod(tmp_path, "up", **environment)
    assert (code, out) == (2, "")
    assert told in err
    assert "Traceback" not in err


async def test_production_does_not_pretend_with_a_simulated_cluster(tmp_path: Path, database: Database) -> None:
    settings = {"KYOYO_ENVIRONMENT": "production", "KYOYO_DATABASE_URL": database.url}
    code, _, err = await kyoyod(tmp_path, "portal", **settings)
    assert code == 2
    assert "cluster" in err
    assert "Traceback" not in err


def test_the_worker_runs_every_loop_and_each_that_is_woken(database: Database) -> None:
    names = [loop.name for loop in loops(database.worker, {})]
    assert len(names) == len(set(names))
    assert {"dispatch", "cancel"} <= set(names)  # what scheduler.service notifies
    with_stripe = {loop.name for loop in loops(database.worker, {}, stripe=StripeGateway("rk_test_x"))}
    assert with_stripe - set(names) == {collecting.LOOP, inbox.LOOP, "reconcile"}
