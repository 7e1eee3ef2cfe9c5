"""A small PBS in this process: answers qsub, qstat, qdel and pbsnodes in the words of transcripts, and runs the jobs.

It stands in for a server that was never met, so it proves what an adapter makes of such words, not what a server does.
Forms and messages are those of tests/fixtures/pbs and of the sources named there.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hpc_adapters.errors import Unavailable
from hpc_adapters.pbs.commands import Done

HOST = "pbs"
GRACE_S = 2.0
_CTIME = "%a %b %e %H:%M:%S %Y"


@dataclass(slots=True)
class _Job:
    job_id: str
    name: str
    user: str
    queue: str
    account: str
    walltime_s: int
    nodes: int
    cpus: int
    gpus: int
    stdout: Path
    stderr: Path
    script: bytes
    queued_at: datetime
    state: str = "Q"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_status: int | None = None
    deleted: bool = False
    process: asyncio.subprocess.Process | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return self.state in {"R", "E"}


class FakePbs:
    """Implements `Commands`. gpus and cpus: of its one node. Faults: the next qsub's answer or request is lost."""

    def __init__(self, folder: Path, clock: Callable[[], datetime], *, gpus: int, cpus: int, memory_mb: int) -> None:
        self._folder, self._clock = folder, clock
        self._gpus, self._cpus, self._memory_mb = gpus, cpus, memory_mb
        self._jobs: dict[str, _Job] = {}
        self._lost: list[_Job] = []
        self._is_closed = False
        self._next = 1
        self.asked: list[Sequence[str]] = []
        """Every command, with its words."""
        self.reachable = True
        self.lose_answer = False
        self.lose_request = False
        self.delay_request = False

    # -- the commands --------------------------------------------------------------------------------------------------

    async def run(self, argv: Sequence[str], *, user: str, stdin: bytes = b"") -> Done:
        command = Path(argv[0]).name
        self.asked.append((command, *argv[1:]))
        if not self.reachable:
            return Done(255, b"", f"Connection refused\n{command}: cannot connect to server {HOST} (errno=15010)")
        match command:
            case "qsub":
                return self._qsub(argv[1:], user, stdin)
            case "qstat":
                return self._qstat(argv[1:])
            case "qdel":
                return await self._qdel(argv[-1], user)
            case "pbsnodes":
                return self._pbsnodes()
        raise AssertionError(f"nobody here knows {command}")

    def _qsub(self, words: Sequence[str], user: str, script: bytes) -> Done:
        if self.lose_request:
            self.lose_request = False
            raise Unavailable("qsub did not end in time", maybe_done=True)
        options = _options(words)
        select = dict(word.split("=") for word in options["select"].split(":")[1:])
        nodes = int(options["select"].split(":")[0])
        job = _Job(
            job_id=f"{self._next}.{HOST}",
            name=options["-N"],
            user=user,
            queue=options["-q"],
            account=options["-P"],
            walltime_s=_seconds(options["walltime"]),
            nodes=nodes,
            cpus=nodes * int(select.get("ncpus", "1")),
            gpus=nodes * int(select.get("ngpus", "0")),
            stdout=Path(options["-o"]),
            stderr=Path(options["-e"]),
            script=script,
            queued_at=self._clock(),
        )
        if job.queue != "gpuq":
            return Done(170, b"", "qsub: Unknown queue")
        if job.gpus > self._gpus or job.cpus > self._cpus:
            return Done(188, b"", "qsub: Job violates queue and/or server resource limits")
        self._next += 1
        self._jobs[job.job_id] = job
        if self.delay_request or self.lose_answer:
            self.delay_request = self.lose_answer = False
            self._schedule()
            raise Unavailable("qsub did not end in time", maybe_done=True)
        self._schedule()
        return Done(0, f"{job.job_id}\n".encode(), "")

    def _qstat(self, words: Sequence[str]) -> Done:
        jobs = self._jobs
        if (number := words[-1]).isdigit():
            jobs = {job_id: job for job_id, job in jobs.items() if job_id.startswith(f"{number}.")}
            if not jobs:
                return Done(153, b"", f"qstat: Unknown Job Id {number}.{HOST}")
        told = {
            "timestamp": int(self._clock().timestamp()),
            "pbs_version": "23.06.06",
            "pbs_server": HOST,
            "Jobs": {job.job_id: self._told(job) for job in jobs.values()},
        }
        return Done(0, json.dumps(told).encode(), "")

    async def _qdel(self, job_id: str, user: str) -> Done:
        job = self._jobs.get(job_id)
        if job is None:
            return Done(153, b"", f"qdel: Unknown Job Id {job_id}")
        if job.user != user:
            return Done(159, b"", f"qdel: Unauthorized Request  {job_id}")
        if job.state == "F":
            return Done(35, b"", f"qdel: Job has finished {job_id}")
        job.deleted = True
        self._account("D", job, f"requestor={user}@{HOST}")
        if job.process is None:
            job.state, job.ended_at = "F", self._clock()
        else:
            await self._end(job)
        return Done(0, b"", "")

    def _pbsnodes(self) -> Done:
        held = [job for job in self._jobs.values() if job.holds]
        node = {
            "Mom": HOST,
            "ntype": "PBS",
            "state": "free",
            "pcpus": self._cpus,
            "resources_available": {
                "ncpus": self._cpus,
                "ngpus": self._gpus,
                "mem": f"{self._memory_mb * 1024}kb",
                "Qlist": "gpuq",
            },
            "resources_assigned": {"ncpus": sum(job.cpus for job in held), "ngpus": sum(job.gpus for job in held)},
        }
        return Done(0, json.dumps({"timestamp": 0, "pbs_server": HOST, "nodes": {"node1": node}}).encode(), "")

    # -- the machine ---------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if self._is_closed:
            return
        for job in self._jobs.values():
            held = [each for each in self._jobs.values() if each.holds]
            fits = job.gpus <= self._gpus - sum(each.gpus for each in held)
            if job.state == "Q" and fits:
                self._start(job)

    def _start(self, job: _Job) -> None:
        job.state, job.started_at = "R", self._clock()
        self._account("S", job, self._words(job))
        job.tasks.append(asyncio.get_running_loop().create_task(self._run(job)))

    async def _run(self, job: _Job) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "PBS_JOBID": job.job_id, "NCPUS": "1"}
        with job.stdout.open("ab") as out, job.stderr.open("ab") as err:
            job.process = await asyncio.create_subprocess_exec(
                "/bin/bash", "-s", stdin=asyncio.subprocess.PIPE, stdout=out, stderr=err, env=environment,
                start_new_session=True,
            )  # fmt: skip
        if self._is_closed:
            await self._end(job)
        assert job.process.stdin is not None
        job.process.stdin.write(job.script)
        with suppress(ConnectionError):
            await job.process.stdin.drain()
        job.process.stdin.close()
        try:
            async with asyncio.timeout(job.walltime_s):
                await job.process.wait()
        except TimeoutError:
            await self._end(job)
        code = job.process.returncode or 0
        job.exit_status = code if code >= 0 else 256 - code
        if job.deleted or self._used_s(job) >= job.walltime_s:
            job.exit_status = 256 + signal.SIGTERM
        job.state, job.ended_at = "F", self._clock()
        self._account("E", job, self._words(job, ended=True))
        self._schedule()

    async def _end(self, job: _Job) -> None:
        assert job.process is not None
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(job.process.pid, number)
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S):
                    await job.process.wait()
                return

    def _used_s(self, job: _Job) -> int:
        assert job.started_at is not None
        return int((job.ended_at or self._clock()).timestamp()) - int(job.started_at.timestamp())

    # -- its words -----------------------------------------------------------------------------------------------------

    def _told(self, job: _Job) -> dict[str, object]:
        told: dict[str, object] = {
            "Job_Name": job.name,
            "Job_Owner": f"{job.user}@{HOST}",
            "job_state": job.state,
            "queue": job.queue,
            "server": HOST,
            "mtime": _local(job.ended_at or job.started_at or job.queued_at),
            "qtime": _local(job.queued_at),
            "Rerunable": "False",
            "Resource_List": {
                "ncpus": job.cpus,
                "ngpus": job.gpus,
                "nodect": job.nodes,
                "walltime": _hms(job.walltime_s),
            },
            "substate": {"Q": 10, "R": 42}.get(job.state, 91 if job.deleted else 92 if job.exit_status == 0 else 93),
            "project": job.account,
        }
        if job.started_at is not None:
            told |= {"stime": _local(job.started_at), "run_count": 1}
        if job.exit_status is not None:
            used = {"cput": "00:00:00", "mem": "1024kb", "ncpus": job.cpus, "walltime": _hms(self._used_s(job))}
            told |= {"Exit_status": job.exit_status, "resources_used": used}
        return told

    def _words(self, job: _Job, *, ended: bool = False) -> str:
        assert job.started_at is not None
        told = (
            f"user={job.user} group={job.user} project={job.account} jobname={job.name} queue={job.queue} "
            f"ctime={_epoch(job.queued_at)} qtime={_epoch(job.queued_at)} start={_epoch(job.started_at)} "
            f"Resource_List.ncpus={job.cpus} Resource_List.ngpus={job.gpus} Resource_List.nodect={job.nodes} "
            f"Resource_List.walltime={_hms(job.walltime_s)}"
        )
        if ended:
            assert job.ended_at is not None
            told += (
                f" session=45951 end={_epoch(job.ended_at)} Exit_status={job.exit_status} "
                "resources_used.cput=00:00:00 resources_used.mem=1024kb "
                f"resources_used.walltime={_hms(self._used_s(job))} run_count=1"
            )
        return told

    def _account(self, kind: str, job: _Job, words: str) -> None:
        now = self._clock()
        with (self._folder / f"{now:%Y%m%d}").open("a") as log:
            log.write(f"{now:%m/%d/%Y %H:%M:%S};{kind};{job.job_id};{words}\n")

    # -- faults --------------------------------------------------------------------------------------------------------

    def forget(self, name: str) -> None:
        """As after a server that lost its database: the job goes on, and nobody knows it."""
        for job_id in [job.job_id for job in self._jobs.values() if job.name == name]:
            self._lost.append(self._jobs.pop(job_id))

    def start_again(self, name: str) -> None:
        """A second start of the same job, as a server makes it after a crash."""
        [job] = [job for job in self._jobs.values() if job.name == name]
        job.tasks.append(asyncio.get_running_loop().create_task(self._second(job)))

    async def _second(self, job: _Job) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._folder), "PBS_JOBID": job.job_id}
        process = await asyncio.create_subprocess_exec(
            "/bin/bash", "-s", stdin=asyncio.subprocess.PIPE, env=environment, start_new_session=True
        )
        await process.communicate(job.script)

    async def close(self) -> None:
        """Ends every job, also those that nobody knows: a process outlives neither the test nor its event loop."""
        self._is_closed = True
        jobs = [*self._jobs.values(), *self._lost]
        for job in jobs:
            if job.process is not None and job.process.returncode is None:
                await self._end(job)
        await asyncio.gather(*(task for job in jobs for task in job.tasks))


def _options(words: Sequence[str]) -> dict[str, str]:
    """Options with their values; -l's by the name of the resource."""
    found: dict[str, str] = {}
    pairs = list(zip(words[::2], words[1::2], strict=False))
    for option, value in pairs:
        if option == "-l":
            name, _, amount = value.partition("=")
            found[name] = amount
        else:
            found[option] = value
    return found


def _seconds(text: str) -> int:
    hours, minutes, seconds = map(int, text.split(":"))
    return hours * 3600 + minutes * 60 + seconds


def _hms(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _epoch(at: datetime) -> int:
    return int(at.timestamp())


def _local(at: datetime) -> str:
    return at.astimezone(UTC).strftime(_CTIME)
