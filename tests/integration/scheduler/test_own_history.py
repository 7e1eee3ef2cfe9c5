"""The policy lab on what this installation ran: the history is read as a trace, and one command asks "what if"."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpc_adapters.contract import Resources
from hpc_adapters.simulated.behaviour import Behaviour
from infra.db.connection import open_pool
from metering.loops import capacity
from metering.loops.deps import Deps
from portal.lab import own_database
from scheduler import service
from scheduler.core.dependencies import DependencyKind
from scheduler.core.model import JobKind, State
from scheduler.options import Dependency
from scheduler.service import BranchName
from scheduler.simulate.commands import app, own_history, run
from scheduler.simulate.errors import TraceUnreadable
from scheduler.simulate.options import sizes
from scheduler.simulate.shares import Share
from scheduler.simulate.sources import Source, with_machines
from scheduler.simulate.workload import Setting
from tests.support.database import Database
from tests.support.market import NOW
from tests.support.repository import ROOT
from tests.support.scheduled import CLUSTER, World, a_submission, open_world

pytestmark = pytest.mark.postgres

HOUR_S = 3600
MONTH = ("--from", "2026-04-01", "--to", "2026-05-01")
WHOLE = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)


def asking(gpus: int, hours: float, **more: object):
    body = Behaviour(run_s=hours * HOUR_S).script().body
    return a_submission(gpus=gpus, body=body, walltime_s=round(hours * 2 * HOUR_S), **more)


CIRCUIT = {"kind": JobKind.QUANTUM, "offering_id": "qpu-local", "body": b"OPENQASM 3.0;", "gpus": 0, "shots": 9000}


async def lived(database: Database) -> World:
    """Two organisations on eight GPUs and a QPU for some hours; alpha asks for more than its half, beta came later."""
    world = await open_world(database, size=Resources(gpus=8, cpus=16, memory_mb=64_000, qpus=1))
    alpha, beta = await world.member("alpha"), await world.member("beta")
    async with world.market.as_operator() as conn:
        of = BranchName(organisation_id=beta.organisation_id)
        await service.set_branch(
            conn, actor=None, of=of, changes={"weight": 3}, reason="contract", effective_at=NOW, now=NOW
        )
        await service.publish_exchange_rate(
            conn, actor=None, resource_type="qpu:demo", nu_per_hour=4.0, reason="measured", effective_at=NOW, now=NOW
        )
    await capacity.tick(Deps(pool=database.worker, backends={CLUSTER: world.backend}), world.now)
    jobs = [await world.submit(alpha, asking(4, 2)) for _ in range(4)]
    jobs += [await world.submit(alpha, a_submission(**CIRCUIT)) for _ in range(2)]
    await world.round(60)
    jobs += [await world.submit(beta, asking(8, 1)) for _ in range(2)]
    after = Dependency(kind=DependencyKind.AFTERANY, job=str(jobs[-1].id))
    jobs.append(await world.submit(beta, asking(1, 1, dependencies=(after,))))
    given_up = await world.submit(beta, asking(8, 1))
    await world.cancel(beta, given_up)
    while not all([(await world.job(job)).state.is_terminal for job in jobs]):
        await world.round(HOUR_S / 2)
    return world


@pytest.fixture
async def world(database: Database) -> World:
    return await lived(database)


async def read(database: Database) -> Source:
    @asynccontextmanager
    async def as_auditor():
        async with open_pool(database.url, user="kyoyo_auditor", size=1) as pool:
            yield pool

    return await own_history(as_auditor, *WHOLE)


@dataclass(frozen=True)
class Lab:
    """The command as an operator starts it."""

    database: Database
    folder: Path

    async def __call__(self, *words: str, url: str | None = None, code: int = 0) -> str:
        """What it prints; where it is refused, on the error stream."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("KYOYO_", "LC_", "LANG"))}
        own = {"KYOYO_DATABASE_URL": url or self.database.url, "KYOYO_DATA_DIR": str(self.folder)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scheduler.simulate", *words),
            cwd=ROOT,
            env={**clean, **own},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        told, wrong = await process.communicate()
        assert process.returncode == code, wrong.decode()
        return (wrong if code else told).decode()


async def test_what_ran_is_read_as_a_trace(database: Database, world: World) -> None:
    source = await read(database)
    assert source.pools == {"local": 8}
    assert source.qpus == {"local/qpu": 1}
    assert source.rates == {"local": 1000, "local/qpu": 4000}
    assert source.left_out == 1
    assert source.shares == [
        Share("alpha", 1),
        Share("beta", 3),
        Share("alpha/default", 1, "alpha"),
        Share("beta/default", 1, "beta"),
        Share("alpha/default/alpha@example.jp", 1, "alpha/default"),
        Share("beta/default/beta@example.jp", 1, "beta/default"),
    ]
    assert len(source.jobs) == 9
    assert {job.machine for job in source.jobs if job.gpus} == {"local"}
    circuits = [job for job in source.jobs if job.qpu_s]
    assert [(job.org, job.qpu, job.gpus) for job in circuits] == [
        ("alpha/default/alpha@example.jp", "local/qpu", 0)
    ] * 2
    assert source.name.endswith("2026-04-01")
    # a job is there when what it waited for is over
    last = next(job for job in source.jobs if job.gpus == 1)
    submitted_s = min(job.submit_s for job in source.jobs if job.gpus == 8)
    assert last.submit_s >= submitted_s + HOUR_S
    assert (last.duration_s, last.limit_s) == (HOUR_S, 2 * HOUR_S)


async def test_one_command_asks_what_if(database: Database, world: World, tmp_path: Path) -> None:
    """What if alpha had weight 2 and we had 8 more GPUs last month?"""
    lab, html, figures = Lab(database, tmp_path), tmp_path / "answer.html", tmp_path / "answer.json"
    asked = ("--what-if", "alpha=2,gpus=+8", "--html", str(html), "--json", str(figures))
    assert await lab("compare", "--history", *MONTH, *asked) == f"{html}\n"
    now, then = json.loads(figures.read_text()).values()
    assert now["jobs"] == then["jobs"] == 9
    assert then["wait_mean_s"] < now["wait_mean_s"]
    assert "alpha (weight 2)" in html.read_text()
    assert "own history 2026-04-01" in html.read_text()


async def test_an_export_replays_like_the_history_itself(database: Database, world: World, tmp_path: Path) -> None:
    source = await read(database)
    before = run(source.jobs, source.shares, with_machines(Setting(gpus=0), source, sizes([])), source=source.name)
    told = await Lab(database, tmp_path)("export", *MONTH, "--out", str(tmp_path / "out"), "--pseudonyms")
    python, module, name, *command = shlex.split(told)
    assert (python, module, name) == ("python", "-m", "scheduler.simulate")
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert {**json.loads(done.stdout), "jobs_per_s": 0} == {**asdict(before.figures), "jobs_per_s": 0}
    written = (tmp_path / "out" / "shares.csv").read_text()
    assert "org2/project1/user1,1,org2/project1" in written
    assert "example.jp" not in written
    assert "alpha" not in written


async def test_without_a_history_or_a_database_it_is_refused_by_name(database: Database, tmp_path: Path) -> None:
    with pytest.raises(TraceUnreadable) as refused:
        await read(database)
    assert refused.value.facts["problem"] == "no_history"
    nowhere = f"postgresql://nobody@127.0.0.1:9/{tmp_path.name}"
    said = await Lab(database, tmp_path)("replay", "--history", url=nowhere, code=2)
    assert said.startswith("trace-unreadable/no_database: ")


async def test_looking_for_a_history_makes_no_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("KYOYO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KYOYO_DATA_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(TraceUnreadable):
        await own_history(own_database, *WHOLE)
    assert not (tmp_path / "elsewhere").exists()


async def test_what_runs_still_is_taken_to_run_to_its_limit(database: Database) -> None:
    world = await open_world(database)
    job = await world.submit(await world.member("alpha"), asking(2, 3))
    await world.until(lambda seen: seen.state is State.RUNNING, job)
    source = await read(database)
    assert [(job.duration_s, job.limit_s) for job in source.jobs] == [(6 * HOUR_S, 6 * HOUR_S)]
    assert source.pools == {"local": 2}  # nobody had noted how many there are
