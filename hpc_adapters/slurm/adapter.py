"""The port over one Slurm cluster: slurmrestd for words, a shared folder for bytes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from importlib.resources import files
from typing import Final, ParamSpec, TypeVar
from uuid import UUID

import httpx2

from hpc_adapters.contract import (
    Capabilities,
    Capacity,
    Feature,
    Health,
    Identity,
    Isolation,
    JobRequest,
    LogChunk,
    Observation,
    Ref,
    Script,
    Stream,
    UsageRow,
    Window,
)
from hpc_adapters.errors import Forgotten, Rejected, Unavailable
from hpc_adapters.features import refuse_unoffered
from hpc_adapters.jobhead.places import Native, Places
from hpc_adapters.jobhead.spool import FOLDER_AWAY, Spool
from hpc_adapters.jobhead.streams import Streams, discard, prepare
from hpc_adapters.slurm.attempts import Attempts
from hpc_adapters.slurm.calls import Ping, Slurm
from hpc_adapters.slurm.checks import check
from hpc_adapters.slurm.figures import Figures
from hpc_adapters.slurm.files import SlurmFiles
from hpc_adapters.slurm.request import body
from hpc_adapters.slurm.rest import Limits, Rest
from hpc_adapters.slurm.settings import SlurmSettings
from hpc_adapters.slurm.tokens import Minter
from hpc_adapters.slurm.usage import Usage
from hpc_adapters.slurm.view import View
from hpc_adapters.slurm.waiting import Waiting

_P = ParamSpec("_P")
_T = TypeVar("_T")
_SKEW_AT_MOST_S: Final = 30.0
SAMPLER: Final = files("hpc_adapters.workloads").joinpath("gpu_sampler.py").read_bytes()


class SlurmBackend(SlurmFiles):
    """Implements `contract.Backend` and `job_files.Files`. Several processes may have one for the same cluster."""

    def __init__(
        self,
        settings: SlurmSettings,
        *,
        clock: Callable[[], datetime],
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport`: the way to slurmrestd instead of the settings' url, for tests that break it."""
        self._settings, self._clock = settings, clock
        self._slurm = Slurm(
            Rest(
                settings.url,
                minter=Minter(settings.jwt_key, clock=clock),
                clock=clock,
                service_user=settings.service_user,
                limits=Limits(call_s=settings.call_timeout_s),
                transport=transport,
            ),
            service_user=settings.service_user,
        )
        self._spool = Spool(settings.folder, uids=settings.uids, group_id=settings.group_id)
        super().__init__(settings.folder, self._spool)
        self._view = View(self._slurm, folder=settings.folder, clock=clock)
        self._attempts = Attempts(settings, slurm=self._slurm, view=self._view, spool=self._spool, clock=clock)
        self._figures = Figures(settings.prometheus_url) if settings.prometheus_url else None
        self._usage = Usage(
            settings, slurm=self._slurm, view=self._view, spool=self._spool, clock=clock, figures=self._figures
        )
        self._streams = Streams(
            self._spool,
            backend=settings.name,
            stream_cap_bytes=settings.stdout_cap_bytes,
            result_cap_bytes=settings.result_cap_bytes,
            has_ended=self._attempts.has_ended,
        )
        self._waiting = Waiting(settings, slurm=self._slurm, view=self._view, clock=clock)
        self._submitting: defaultdict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)

    def capabilities(self) -> Capabilities:
        offered = {
            Feature.NODES,
            Feature.EXCLUSIVE,
            Feature.SIGNAL,
            Feature.SECRETS,
            Feature.TORCHRUN,
            Feature.FILES,
            Feature.CALLS,
            *({Feature.GPU_TYPE} if self._settings.types() else ()),
            *({Feature.CONSTRAINT} if self._settings.constraints else ()),
            *({Feature.RESERVATION} if self._settings.reservations else ()),
            *({Feature.LICENSES} if self._settings.licenses else ()),
            *({Feature.IMAGE} if self._settings.images else ()),
        }
        return Capabilities(
            name=self._settings.name,
            isolation=Isolation.PER_ATTEMPT,
            payloads=frozenset({Script}),
            components=frozenset({"gpu_s", "cpu_s", *({"qpu_s"} if self._settings.qpu_gres else ())}),
            settle_window_s=self._settings.settle_window_s,
            accounting_lag_s=self._settings.accounting_lag_s,
            features=frozenset(offered),
            choices={
                Feature.GPU_TYPE: frozenset(self._settings.types()),
                Feature.CONSTRAINT: frozenset(self._settings.constraints),
                Feature.RESERVATION: frozenset(self._settings.reservations),
                Feature.LICENSES: frozenset(self._settings.licenses),
                Feature.IMAGE: frozenset(self._settings.images),
            },
            needs_identity=True,
            look_ahead=self._settings.look_ahead,
        )

    async def capacity(self) -> Capacity:
        return await self._waiting.capacity()

    async def submit(self, request: JobRequest) -> Ref:
        refuse_unoffered(request, self.capabilities())
        script, identity = check(request, self._settings)
        places = Places.of(request, self._settings.folder, identity.user)
        async with self._one_at_a_time(request.attempt_id):
            problem = await self._why_no_room(request)
            is_new = await self._in_folder(self._prepare_new, request, places, script, may_begin=problem is None)
            if not is_new:
                known = await self._attempts.find(request.attempt_id)  # an earlier submission may have got through
                if known is not None:
                    return known
            if problem is not None:
                raise problem
            if not is_new:
                await self._in_folder(self._prepare, request, places, script)
            return await self._hand_over(request, script, identity, places)

    async def find(self, attempt_id: UUID) -> Ref | None:
        return await self._attempts.find(attempt_id)

    async def observe(self, refs: Sequence[Ref]) -> Sequence[Observation | Forgotten]:
        return await self._attempts.observe(refs)

    async def cancel(self, ref: Ref) -> None:
        await self._attempts.cancel(ref)

    async def accounting(self, window: Window) -> Sequence[UsageRow]:
        return await self._usage.rows(window)

    async def logs(self, ref: Ref, stream: Stream, offset: int = 0, limit: int = 65_536) -> LogChunk:
        return await self._streams.chunk(ref, stream, offset, limit)

    async def health(self) -> Health:
        try:
            ping = await self._slurm.ping()
            await asyncio.to_thread(self._spool.require_usable)
        except Unavailable as away:
            return self._health(away.detail, ok=False)
        except OSError as error:
            return self._health(f"{FOLDER_AWAY}: {error}", ok=False)
        wrong = self._wrong(ping)
        if wrong:
            return self._health(wrong, ok=False, ping=ping)
        try:
            await self._slurm.ping_accounting()
        except Unavailable as away:  # jobs go on, and their accounting comes later
            return self._health(f"{_told(ping)}; accounting: {away.detail}", ok=True, ping=ping)
        return self._health(_told(ping), ok=True, ping=ping)

    async def close(self) -> None:
        await self._slurm.close()
        if self._figures is not None:
            await self._figures.close()

    async def _hand_over(self, request: JobRequest, script: Script, identity: Identity, places: Places) -> Ref:
        version = await self._slurm.version()
        posted = body(request, script, identity, settings=self._settings, places=places, version=version)
        self._waiting.sent(request)
        try:
            job_id = await self._slurm.submit(identity.user, posted, version=version)
        except Rejected:
            await asyncio.to_thread(discard, self._spool, places)
            self._waiting.refused(request)
            raise
        except Unavailable as unavailable:
            if not unavailable.maybe_done:
                self._waiting.refused(request)
            raise
        return Ref(self._settings.name, request.attempt_id, str(Native(job_id, identity.user)))

    async def _why_no_room(self, request: JobRequest) -> Rejected | Unavailable | None:
        """What require_room() says: it counts only if no earlier submission got through."""
        try:
            await self._waiting.require_room(request)
        except (Rejected, Unavailable) as problem:
            return problem
        return None

    async def _in_folder(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """In a thread. Unavailable: the shared folder is away."""
        try:
            return await asyncio.to_thread(work, *args, **kwargs)
        except OSError as error:
            raise Unavailable(f"{FOLDER_AWAY}: {error.errno}", maybe_done=False) from error

    def _prepare_new(self, request: JobRequest, places: Places, script: Script, *, may_begin: bool) -> bool:
        """Make the working folder, if it may begin. False: it is there already. Rejected.

        Look and work in one: to get to a thread and back takes longer than either.
        """
        if self._spool.knows(places.user, places.attempt_id):
            return False
        if may_begin:
            self._prepare(request, places, script)
        return True

    def _prepare(self, request: JobRequest, places: Places, script: Script) -> None:
        self.require_inputs(request)
        prepare(self._spool, places, script, sampler=SAMPLER if request.resources.gpus > 0 else b"")

    @asynccontextmanager
    async def _one_at_a_time(self, attempt_id: UUID) -> AsyncIterator[None]:
        """Of two calls for one attempt the second finds what the first has done."""
        lock = self._submitting[attempt_id]
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._submitting.pop(attempt_id, None)

    def _health(self, detail: str, *, ok: bool, ping: Ping | None = None) -> Health:
        return Health(
            ok=ok,
            checked_at=self._clock(),
            detail=detail,
            clock_skew_s=ping.skew_s if ping else None,
            accounting_backlog=ping.accounting_queue if ping else None,
        )

    def _wrong(self, ping: Ping) -> str:
        if ping.cluster and ping.cluster != self._settings.cluster:
            return f"another cluster answers: {ping.cluster}"
        if abs(ping.skew_s) > _SKEW_AT_MOST_S:
            return f"clock-skew: slurmctld is {ping.skew_s:+.0f} s from us"
        return ""


def _told(ping: Ping) -> str:
    return f"slurm {ping.release}, {ping.version}, skew {ping.skew_s:+.1f} s, accounting queue {ping.accounting_queue}"
