"""From a submission to Slurm, through Kyoyo and past it, on one real cluster in one run.

1. One job after the other, once connections know their statements, and a second after the first line of the one
   before, so that its end and its bill are done with: from the call of the submission until slurmrestd has accepted
   it, and until its first line runs. Peer: a job of the same program by a bare POST on a kept-alive connection at the
   same pace, and by `sbatch` inside.
2. Many at once: jobs a second from the first submission until the last has ended. Peer: a bare client that posts the
   very same jobs, head and all, into folders that were prepared before, and makes as many calls for each as we did in
   this run. Beside it: one that only posts them, and one that only posts the program without the head.

3. The same of jobs that last three seconds, so that GPUs and not this machine's processors are what there is too little
   of: whether Kyoyo keeps the cluster as busy as a client that hands Slurm everything at once.

The nodes are this machine, too: what the head costs them is a cost of ours, and shows between the last two of 2. The
site is one of second-long jobs: Slurm's default MinJobAge, and a look-ahead of 64, so that its queue does not run dry
between two looks. Exactly one Slurm job stands behind each submission, or the benchmark fails. Needs root and the
Debian roots.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from statistics import quantiles
from time import perf_counter, process_time, time_ns
from typing import Any
from uuid import UUID

import httpx2

from accounts.model import OrgRole, Principal
from accounts.scopes import scopes_of
from hpc_adapters.contract import Backend, Identity, JobRequest, Ref, Resources, Script
from hpc_adapters.jobhead.places import Places, work_of
from hpc_adapters.jobhead.spool import Spool
from hpc_adapters.jobhead.streams import prepare
from hpc_adapters.slurm.adapter import SAMPLER, SlurmBackend
from hpc_adapters.slurm.models import Json
from hpc_adapters.slurm.request import body
from hpc_adapters.slurm.settings import SlurmSettings
from infra.clock import new_id, utc_now
from infra.db.connection import Role, transaction
from infra.runner import run as run_loops
from infra.slurm import cluster as slurm
from infra.slurm.cluster import Cluster
from portal.bootstrap import slurm_settings
from portal.settings import Settings, SlurmSite
from portal.worker import loops
from scheduler import service as scheduler
from scheduler.core.model import JobKind
from scheduler.submission import Submission
from tests.bench._load import sized
from tests.support import slurm_house
from tests.support.benchmark import Result
from tests.support.database import Database, fresh_database
from tests.support.slurm_house import BACKEND, OFFERING, Tenant

_ONE_BY_ONE, _MANY, _CALLERS = 40, 400, 4
_REST_S = 1.0
_WARM = 40  # PostgreSQL plans a statement anew five times for each connection, and a worker has several
_RELEASE = "24.11"
_PROGRAM = "#!/bin/bash\ndate +%s%N\n"
_LASTING, _LASTS_S = 256, 3
_LASTING_PROGRAM = f"{_PROGRAM}sleep {_LASTS_S}\n"
_PATIENCE_S = 180
_SITE: dict[str, Any] = {"nodes": 4, "gpus": 8, "min_job_age_s": 300}
_LOOK_AHEAD = 64


async def run() -> Result:
    with tempfile.TemporaryDirectory(prefix="ky-bench-") as folder:
        slugs = slurm_house.names(1)
        with slurm.start(Path(folder) / "c", _RELEASE, **_SITE, **slurm_house.site(slugs)) as cluster:
            async with fresh_database() as database:
                return await _measure(database, cluster, Path(folder))


async def _measure(database: Database, cluster: Cluster, folder: Path) -> Result:
    """The peers while none of our loops runs: what these ask for would slow them down."""
    one, many, lasting = sized(_ONE_BY_ONE), sized(_MANY), sized(_LASTING)
    async with _house(database, cluster, folder) as house:
        await house.one_by_one(_WARM, rest_s=0)
        accepted, running = await house.one_by_one(one)
        before, began_s = house.calls.total(), process_time()
        ours_per_s = await house.many(many)
        own_ms = 1000 * (process_time() - began_s) / many
        calls = (house.calls.total() - before) / many
        before = house.calls.total()
        ours_lasting_per_s = await house.many(lasting, _LASTING_PROGRAM)
        lasting_calls = (house.calls.total() - before) / lasting
    bare = _Bare(cluster, house)
    await bare.open()
    await bare.one_by_one(_WARM, "warm", rest_s=0)
    raw_accepted, raw_running = await bare.one_by_one(one)
    by_sbatch = await asyncio.to_thread(_sbatch_one_by_one, cluster, house.tenant.unix_user, one)
    same_per_s = await bare.many_jobs(many, calls=round(calls))
    posted_per_s = await bare.many_jobs(many, calls=1)
    program_per_s = await bare.many_programs(many)
    lasting_per_s = await bare.many_jobs(lasting, calls=round(lasting_calls), program=_LASTING_PROGRAM)
    await bare.close()
    _require_one_each(cluster, house.attempts)
    overhead_ms = _p50(accepted) - _p50(raw_accepted)
    return Result(
        name="slurm_dispatch",
        figure=round(overhead_ms, 1),
        unit="ms of overhead until accepted, p50",
        limit=10,
        ratio=round(overhead_ms / 10, 3),
        facts={
            "slurm": cluster.version,
            "look_ahead": _LOOK_AHEAD,
            "min_job_age_s": _SITE["min_job_age_s"],
            "accepted_p50_ms": {"kyoyo": round(_p50(accepted), 1), "post": round(_p50(raw_accepted), 1),
                                "sbatch": round(_p50(by_sbatch), 1)},
            "running_p50_ms": {"kyoyo": round(_p50(running), 1), "post": round(_p50(raw_running), 1)},
            "jobs_per_s": {"kyoyo": round(ours_per_s, 1), "same_jobs_and_calls": round(same_per_s, 1),
                           "same_jobs": round(posted_per_s, 1), "program_alone": round(program_per_s, 1)},
            "calls_per_job": round(calls, 2),
            "of_same_jobs_and_calls": round(ours_per_s / same_per_s, 3),
            "of_same_jobs": round(ours_per_s / posted_per_s, 3),
            "own_processor_ms_per_job": round(own_ms, 1),
            "head_costs_ms": round(1000 / posted_per_s - 1000 / program_per_s, 1),
            "jobs": many,
            "lasting": {"job_s": _LASTS_S, "jobs": lasting, "calls_per_job": round(lasting_calls, 2),
                        "kyoyo": round(ours_lasting_per_s, 2), "same_jobs_and_calls": round(lasting_per_s, 2),
                        "of_same_jobs_and_calls": round(ours_lasting_per_s / lasting_per_s, 3)},
        },
    )  # fmt: skip


def _p50(samples_ms: Sequence[float]) -> float:
    return quantiles(samples_ms, n=2)[0]


class _Timed:
    """A backend that notes when each attempt was accepted."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.accepted: dict[UUID, float] = {}

    async def submit(self, request: JobRequest) -> Ref:
        ref = await self._inner.submit(request)
        self.accepted[request.attempt_id] = perf_counter()
        return ref

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _House:
    """Submission as the portal does it, and the worker's loops, in this process."""

    def __init__(self, database: Database, tenant: Tenant, backend: _Timed, site: SlurmSettings) -> None:
        self._database, self.tenant, self._backend, self.site = database, tenant, backend, site
        self.calls: Counter[str] = Counter()
        self.attempts: list[UUID] = []

    async def one_by_one(self, count: int, *, rest_s: float = _REST_S) -> tuple[list[float], list[float]]:
        accepted, running = [], []
        for _ in range(count):
            began, began_ns = perf_counter(), time_ns()
            attempt = await self._submit()
            await _until(lambda attempt=attempt: attempt in self._backend.accepted)  # type: ignore[misc]
            accepted.append(1000 * (self._backend.accepted[attempt] - began))
            running.append((await self._first_line_ns(attempt) - began_ns) / 1e6)
            await asyncio.sleep(rest_s)
        return accepted, running

    async def many(self, count: int, program: str = _PROGRAM) -> float:
        began = perf_counter()
        left = iter(range(count))

        async def caller() -> None:
            for _ in left:
                await self._submit(program)

        await asyncio.gather(*(caller() for _ in range(_CALLERS)))
        await _all_there([self._work(attempt) / "end.json" for attempt in self.attempts[-count:]])
        return count / (perf_counter() - began)

    async def _submit(self, program: str = _PROGRAM) -> UUID:
        attempt = new_id()
        principal = Principal(
            person_id=self.tenant.person_id,
            display_name=self.tenant.slug,
            organisation_id=self.tenant.organisation_id,
            role=OrgRole.OWNER,
            staff_roles=frozenset(),
            scopes=scopes_of([OrgRole.OWNER]),
            token_id=new_id(),
        )
        request = Submission(
            name="bench", kind=JobKind.BATCH, offering_id=OFFERING, body=program.encode(), gpus=1, walltime_s=60
        )
        async with transaction(
            self._database.portal, role=Role.TENANT, organisation_id=self.tenant.organisation_id
        ) as conn:
            await scheduler.submit(
                conn,
                principal=principal,
                request=request,
                idempotency_key=str(attempt),
                job_id=new_id(),
                attempt_id=attempt,
                quote_id=new_id(),
                now=utc_now(),
                capabilities={BACKEND: self._backend.capabilities()},
            )
        self.attempts.append(attempt)
        return attempt

    def _work(self, attempt: UUID) -> Path:
        return work_of(self.site.folder, self.tenant.unix_user, attempt)

    async def _first_line_ns(self, attempt: UUID) -> int:
        return await _printed_ns(self._work(attempt) / "stdout")


@asynccontextmanager
async def _house(database: Database, cluster: Cluster, folder: Path) -> AsyncIterator[_House]:
    [tenant] = await slurm_house.open_market(database, slurm_house.names(1))
    (folder / "backends.toml").write_text(slurm_house.backends_toml(cluster, look_ahead=_LOOK_AHEAD))
    settings = Settings(data_dir=folder, backends_file=folder / "backends.toml")
    machine = settings.machines()[BACKEND]
    assert isinstance(machine, SlurmSite)
    site = slurm_settings(BACKEND, machine)
    counting = _Counting(cluster)
    inner = SlurmBackend(site, clock=utc_now, transport=counting)
    backend = _Timed(inner)
    house = _House(database, tenant, backend, site)
    counting.calls = house.calls
    stop = asyncio.Event()
    worker = asyncio.create_task(
        run_loops(
            loops(database.worker, {BACKEND: backend}), url=database.url, user="kyoyo_worker", clock=utc_now, stop=stop
        )  # type: ignore[dict-item]
    )
    try:
        yield house
    finally:
        stop.set()
        await worker
        await inner.close()


class _Counting(httpx2.AsyncBaseTransport):
    """The way to slurmrestd, with every request of the adapter counted by its method."""

    def __init__(self, cluster: Cluster) -> None:
        self._inner = httpx2.AsyncHTTPTransport(uds=cluster.url.removeprefix("unix:"))
        self.calls: Counter[str] = Counter()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.calls[request.method] += 1
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Bare:
    """A client that posts jobs, and nothing else."""

    def __init__(self, cluster: Cluster, house: _House) -> None:
        self._cluster, self._tenant = cluster, house.tenant
        self._user = house.tenant.unix_user
        self._folder = cluster.shared / f"bare-{self._user}"
        self._site = replace(house.site, folder=cluster.shared / "peer")  # so that nobody takes its jobs for ours

    async def open(self) -> None:
        self._folder.mkdir(mode=0o777)
        self._folder.chmod(0o777)
        self._site.folder.mkdir(mode=0o711)
        transport = httpx2.AsyncHTTPTransport(uds=self._cluster.url.removeprefix("unix:"))
        token = self._cluster.exec("scontrol", "token", f"username={self._user}", "lifespan=3000").stdout
        headers = {"X-SLURM-USER-NAME": self._user, "X-SLURM-USER-TOKEN": token.strip().partition("=")[2]}
        self._http = httpx2.AsyncClient(transport=transport, base_url="http://slurm", headers=headers, timeout=60)
        specification = (await self._http.get("/openapi/v3")).json()
        self._version = max(re.findall(r"/slurm/(v0\.0\.\d+)/job/submit", " ".join(specification["paths"])))

    async def close(self) -> None:
        await self._http.aclose()

    async def one_by_one(
        self, count: int, name: str = "one", *, rest_s: float = _REST_S
    ) -> tuple[list[float], list[float]]:
        accepted, running = [], []
        for number in range(count):
            began, began_ns = perf_counter(), time_ns()
            await self._post(f"{name}{number}")
            accepted.append(1000 * (perf_counter() - began))
            running.append((await _printed_ns(self._folder / f"{name}{number}.out") - began_ns) / 1e6)
            await asyncio.sleep(rest_s)
        return accepted, running

    async def many_programs(self, count: int) -> float:
        """Jobs a second when each is the program alone."""
        bodies = [self._program(f"many{number}") for number in range(count)]
        ends = [self._folder / f"many{number}.out" for number in range(count)]
        return await self._many(bodies, ends, _has_printed, calls=1)

    async def many_jobs(self, count: int, *, calls: int, program: str = _PROGRAM) -> float:
        """The same when each is the job that the adapter would post, and so many calls are made for it."""
        requests = [self._request(program) for _ in range(count)]
        bodies = [self._as_posted(request) for request in requests]
        ends = [work_of(self._site.folder, self._user, request.attempt_id) / "end.json" for request in requests]
        return await self._many(bodies, ends, calls=calls)

    async def _many(
        self,
        bodies: Sequence[Json],
        ends: Sequence[Path],
        has_ended: Callable[[Path], bool] = Path.exists,
        *,
        calls: int,
    ) -> float:
        began = perf_counter()
        left = iter(bodies)

        async def caller() -> None:
            for each in left:
                await self._send(each)
                for _ in range(calls - 1):
                    await self._http.get(f"/slurm/{self._version}/ping/")

        await asyncio.gather(*(caller() for _ in range(_CALLERS)))
        await _all_there(ends, has_ended)
        return len(bodies) / (perf_counter() - began)

    def _request(self, program: str) -> JobRequest:
        return JobRequest(
            attempt_id=new_id(),
            tenant=self._tenant.slug,
            identity=Identity(self._user, self._tenant.slug),
            resources=Resources(gpus=1, cpus=4, memory_mb=4_096),
            walltime_s=60,
            payload=Script(body=program.encode()),
        )

    def _as_posted(self, request: JobRequest) -> Json:
        """What the adapter would post, its folder made; only the name is not one of ours."""
        places = Places.of(request, self._site.folder, self._user)
        script, identity = request.payload, request.identity
        assert isinstance(script, Script)
        assert identity is not None
        prepare(Spool(self._site.folder, uids=self._site.uids), places, script, sampler=SAMPLER)
        made = body(request, script, identity, settings=self._site, places=places, version=self._version)
        job = made["job"]
        assert isinstance(job, dict)
        return {**made, "job": {**job, "name": "bare", "comment": "bare"}}

    async def _post(self, name: str) -> None:
        await self._send(self._program(name))

    def _program(self, name: str) -> Json:
        job = {
            "name": name,
            "current_working_directory": str(self._folder),
            "standard_output": str(self._folder / f"{name}.out"),
            "environment": ["PATH=/usr/bin:/bin"],
            "tres_per_node": "gres/gpu:1",
            "tasks": 1,
            "script": _PROGRAM,
        }
        return {"job": job}

    async def _send(self, job: Json) -> None:
        answer = await self._http.post(f"/slurm/{self._version}/job/submit", json=job)
        assert answer.is_success, answer.text


def _sbatch_one_by_one(cluster: Cluster, user: str, count: int) -> list[float]:
    taken = []
    for _ in range(count):
        began = perf_counter()
        done = cluster.exec("sbatch", "-o", "/dev/null", "--gres=gpu:1", "--wrap=true", user=user, check=True)
        taken.append(1000 * (perf_counter() - began))
        assert "Submitted" in done.stdout
    return taken


def _require_one_each(cluster: Cluster, attempts: Sequence[UUID]) -> None:
    """By sacct: each of our submissions is one job of Slurm's, no more and no less."""
    names = Counter(row.name for row in cluster.sacct() if row.name.startswith("ky-"))
    assert names == Counter(f"ky-{attempt.hex}" for attempt in attempts)


async def _printed_ns(path: Path) -> int:
    await _until(lambda: _has_printed(path))
    return _number_in(path)


def _number_in(path: Path) -> int:
    return int(path.read_text().split()[0])


def _has_printed(path: Path) -> bool:
    return path.exists() and path.read_text().endswith("\n")


async def _all_there(paths: Sequence[Path], is_there: Callable[[Path], bool] = Path.exists) -> None:
    """One after the other: to look at all of them again and again would take the machine from who is measured."""
    async with asyncio.timeout(_PATIENCE_S):
        for path in paths:
            while not is_there(path):  # noqa: ASYNC110  the event is on the cluster
                await asyncio.sleep(0.01)


async def _until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while not done():  # noqa: ASYNC110  the event is on the cluster
            await asyncio.sleep(0.002)
