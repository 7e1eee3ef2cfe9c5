"""The port over one queue of a PBS server, by its commands; a shared folder for bytes. No live server was ever met."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID

from hpc_adapters.contract import (
    Capabilities,
    Capacity,
    Feature,
    Health,
    Isolation,
    JobRequest,
    LogChunk,
    Observation,
    Ref,
    Resources,
    Script,
    Seen,
    Stream,
    UsageRow,
    Window,
)
from hpc_adapters.errors import BackendError, Forgotten, Rejected, Unavailable
from hpc_adapters.features import refuse_unoffered
from hpc_adapters.jobhead.endings import Ended
from hpc_adapters.jobhead.places import Native, Places, attempt_in_name, job_name, native
from hpc_adapters.jobhead.room import has_room
from hpc_adapters.jobhead.spool import FOLDER_AWAY, Spool
from hpc_adapters.jobhead.streams import Streams, discard, prepare
from hpc_adapters.jobhead.wrapper import SUPERSEDED, batch_script
from hpc_adapters.pbs import accounting, capacity, parsing, translate
from hpc_adapters.pbs.commands import Commands, Done
from hpc_adapters.pbs.parsing import Job, Unreadable
from hpc_adapters.pbs.request import NO_SERVER, checked, head, submission, submitted_id
from hpc_adapters.pbs.settings import PbsSettings

_T = TypeVar("_T")
_STREAM_CAP_BYTES: Final = 256 * 2**20
_RESULT_CAP_BYTES: Final = 2**20
_LONGEST: Final = timedelta(days=8)
"""How far back a record of a start may lie whose job still runs."""
_UNKNOWN_JOB: Final = "Unknown Job Id"
_OVER: Final = "Job has finished"


class PbsBackend:
    """Implements `contract.Backend`. commands: how PBS's commands are run as somebody."""

    def __init__(
        self, settings: PbsSettings, *, commands: Commands, spool: Spool, clock: Callable[[], datetime]
    ) -> None:
        self._settings, self._commands, self._spool, self._clock = settings, commands, spool, clock
        self._submitting = asyncio.Lock()
        self._ended = Ended(spool)
        self._streams = Streams(
            spool,
            backend=settings.name,
            stream_cap_bytes=_STREAM_CAP_BYTES,
            result_cap_bytes=_RESULT_CAP_BYTES,
            has_ended=self._has_ended,
        )

    def capabilities(self) -> Capabilities:
        return Capabilities(
            name=self._settings.name,
            isolation=Isolation.PER_ATTEMPT,
            payloads=frozenset({Script}),
            components=frozenset({"gpu_s", "cpu_s"}),
            settle_window_s=self._settings.settle_window_s,
            accounting_lag_s=self._settings.accounting_lag_s,
            features=frozenset({Feature.NODES, Feature.SECRETS, Feature.TORCHRUN}),
            needs_identity=True,
            look_ahead=self._settings.look_ahead,
            domestic=self._settings.domestic,
        )

    async def capacity(self) -> Capacity:
        printed = _printed(await self._ask("pbsnodes", "-a", "-F", "json"))
        nodes = _read(lambda: parsing.nodes(printed))
        return capacity.capacity(
            nodes,
            at=self._clock(),
            chunk_label=self._settings.chunk_label,
            gpus_per_node=self._settings.gpus_per_node,
        )

    async def submit(self, request: JobRequest) -> Ref:
        refuse_unoffered(request, self.capabilities())
        script, identity = checked(request, self._settings)
        places = Places.of(request, self._settings.folder, identity.user)
        arguments = submission(request, identity, self._settings, places.work)
        async with self._submitting:
            jobs = await self._jobs()
            known = await self._find(request.attempt_id, jobs)
            if known is not None:
                return known
            await self._require_room(request.resources, jobs)
            await self._prepare(places, script)
            batch = batch_script(head(request, script, places))
            job_id = await self._hand_over(arguments, batch, places)
        return self._ref(request.attempt_id, job_id, identity.user)

    async def find(self, attempt_id: UUID) -> Ref | None:
        return await self._find(attempt_id, await self._jobs())

    async def observe(self, refs: Sequence[Ref]) -> Sequence[Observation | Forgotten]:
        jobs = await self._jobs()
        answers = [await self._observed(ref, jobs) for ref in refs]
        await self._ended.remember([answer for answer in answers if isinstance(answer, Observation)])
        return answers

    async def cancel(self, ref: Ref) -> None:
        told = native(ref.native_id)
        jobs = await self._jobs()
        mine = self._mine(ref, jobs)
        if mine is None or told is None:
            raise Forgotten(ref.attempt_id)
        if mine.state == "F":
            return
        done = await self._commands.run([self._settings.command("qdel"), mine.job_id], user=told.user)
        if _UNKNOWN_JOB in done.err:
            raise Forgotten(ref.attempt_id)
        if done.exit_code and _OVER not in done.err:
            raise Unavailable(done.err[:200], maybe_done=NO_SERVER not in done.err)

    async def accounting(self, window: Window) -> Sequence[UsageRow]:
        lines = await asyncio.to_thread(self._accounting_lines, window)
        return accounting.usage_rows(lines, window, gpus_per_node=self._settings.gpus_per_node)

    async def logs(self, ref: Ref, stream: Stream, offset: int = 0, limit: int = 65_536) -> LogChunk:
        return await self._streams.chunk(ref, stream, offset, limit)

    async def health(self) -> Health:
        try:
            await self.capacity()
            await asyncio.to_thread(self._spool.require_usable)
        except (BackendError, OSError) as wrong:
            return Health(ok=False, checked_at=self._clock(), detail=str(wrong))
        return Health(ok=True, checked_at=self._clock(), detail=self._settings.server)

    async def close(self) -> None:
        """Nothing is held open."""

    # -- what PBS says -------------------------------------------------------------------------------------------------

    async def _ask(self, command: str, *words: str) -> Done:
        """A question as the service user."""
        return await self._commands.run([self._settings.command(command), *words], user=self._settings.service_user)

    async def _jobs(self, *job_ids: int) -> Mapping[str, Job]:
        """The jobs that the server remembers, ended ones included: every one, or of these ids."""
        done = await self._ask("qstat", "-x", "-f", "-F", "json", *map(str, job_ids))
        if job_ids and _UNKNOWN_JOB in done.err:
            return {}
        printed = _printed(done)
        return _read(lambda: parsing.jobs(printed, zone=self._settings.zone))

    async def _find(self, attempt_id: UUID, jobs: Mapping[str, Job]) -> Ref | None:
        """The job that passed the gate, else the first one. Whoever borrows a name has no folder of that attempt."""
        named = [job for job in jobs.values() if job.name == job_name(attempt_id)]
        mine = [job for job in named if await asyncio.to_thread(self._spool.knows, job.owner, attempt_id)]
        if not mine:
            return None
        start = await asyncio.to_thread(self._spool.started, mine[0].owner, attempt_id)
        winner = next((job for job in mine if start is not None and _number(job.job_id) == start.job_id), mine[0])
        return self._ref(attempt_id, winner.job_id, winner.owner)

    def _mine(self, ref: Ref, jobs: Mapping[str, Job]) -> Job | None:
        """The job behind a reference; None: that id is nobody's, or somebody else's now."""
        told = native(ref.native_id)
        if told is None or ref.backend != self._settings.name:
            return None
        for job in jobs.values():
            if _number(job.job_id) == told.job_id:
                return job if (job.owner, attempt_in_name(job.name)) == (told.user, ref.attempt_id) else None
        return None

    async def _observed(self, ref: Ref, jobs: Mapping[str, Job]) -> Observation | Forgotten:
        mine = self._mine(ref, jobs)
        if mine is None:
            return Forgotten(ref.attempt_id)
        seen, detail = translate.seen(mine)
        if seen is Seen.FAILED and mine.exit_status == SUPERSEDED:
            start = await asyncio.to_thread(self._spool.started, mine.owner, ref.attempt_id)
            if start is not None and start.job_id != _number(mine.job_id):
                seen, detail = Seen.NODE_FAILED, "superseded"
        return Observation(
            ref=ref,
            seen=seen,
            observed_at=self._clock(),
            started_at=mine.started_at,
            ended_at=parsing.ended_at(mine) if seen.is_end else None,
            exit_code=translate.exit_code(mine.exit_status),
            detail=detail,
        )

    async def _has_ended(self, ref: Ref) -> bool:
        """Asks about its own job alone. Forgotten, Unavailable."""
        told = native(ref.native_id)
        seen = await self._observed(ref, await self._jobs(told.job_id) if told else {})
        if isinstance(seen, Forgotten):
            raise seen
        return seen.seen.is_end

    def _ref(self, attempt_id: UUID, job_id: str, user: str) -> Ref:
        return Ref(self._settings.name, attempt_id, str(Native(_number(job_id), user)))

    # -- room, folders, files ------------------------------------------------------------------------------------------

    async def _require_room(self, asked: Resources, jobs: Mapping[str, Job]) -> None:
        found = await self.capacity()
        waiting = [_asked(job) for job in jobs.values() if _waits(job)]
        if not found.online or not has_room(found.free, waiting, asked, look_ahead=self._settings.look_ahead):
            raise Unavailable("no-room", maybe_done=False)

    async def _hand_over(self, arguments: Sequence[str], batch: str, places: Places) -> str:
        """The id of the new job. Rejected, Unavailable."""
        done = await self._commands.run(arguments, user=places.user, stdin=batch.encode())
        try:
            return submitted_id(done)
        except Rejected:
            await asyncio.to_thread(discard, self._spool, places)
            raise

    async def _prepare(self, places: Places, script: Script) -> None:
        try:
            await asyncio.to_thread(prepare, self._spool, places, script)
        except OSError as wrong:
            raise Unavailable(f"{FOLDER_AWAY}: {wrong.errno}", maybe_done=False) from wrong

    def _accounting_lines(self, window: Window) -> list[str]:
        """The days that may hold records of the window, in the server's own days. Unavailable."""
        zone = self._settings.zone
        day, last = ((at.astimezone(zone)).date() for at in (window.since - _LONGEST, window.until))
        lines: list[str] = []
        try:
            while day <= last:
                path = Path(self._settings.accounting_folder, f"{day:%Y%m%d}")
                if path.exists():
                    lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
                day += timedelta(days=1)
        except OSError as wrong:
            raise Unavailable(f"the accounting logs: {wrong.errno}", maybe_done=False) from wrong
        return lines


def _printed(done: Done) -> bytes:
    """Unavailable: the question was not answered in full."""
    if done.exit_code:
        raise Unavailable(done.err[:200] or f"ended with {done.exit_code}", maybe_done=False)
    return done.out


def _read(parse: Callable[[], _T]) -> _T:
    try:
        return parse()
    except Unreadable as wrong:
        raise Unavailable(f"unreadable answer: {wrong}", maybe_done=False) from wrong


def _number(job_id: str) -> int:
    """12 of '12.pbs'."""
    return int(job_id.partition(".")[0])


def _waits(job: Job) -> bool:
    return attempt_in_name(job.name) is not None and translate.seen(job)[0] is Seen.WAITING


def _asked(job: Job) -> Resources:
    told = job.requested
    return Resources(gpus=int(told.get("ngpus", "0")), cpus=int(told.get("ncpus", "0")))
