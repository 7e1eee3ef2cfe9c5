"""An attempt at a vendor: handed over once, looked at, stopped, and its end written down with all that it left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hpc_adapters.confined.times import from_us, to_us
from hpc_adapters.contract import Seen
from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.quantum.queued.checking import Checking
from hpc_adapters.quantum.queued.model import Progress, RemoteJob, progress
from hpc_adapters.quantum.queued.records import Accepted, Job, Records
from hpc_adapters.quantum.queued.settings import QueuedSettings
from hpc_adapters.quantum.queued.usage import used
from hpc_adapters.quantum.queued.vendor import NoResult, Vendor

Json = dict[str, Any]


class ResultAway(Exception):
    """All its jobs have succeeded, and what they left cannot be had now. The message is a word why."""


class Attempts:
    """What becomes of attempts between a vendor and our records. Raises Unavailable wherever the vendor is asked."""

    def __init__(
        self,
        settings: QueuedSettings,
        *,
        vendor: Vendor,
        records: Records,
        checking: Checking,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings, self._vendor, self._records, self._checking = settings, vendor, records, checking
        self._clock = clock

    # -- handing over -------------------------------------------------------------------------------------------------

    async def adopt(self, attempt_id: UUID) -> Sequence[Job] | None:
        """The jobs of an attempt: those that we chose, or those that the vendor has under its name."""
        chosen = self._records.jobs(attempt_id)
        if chosen is not None:
            return chosen
        found = await self._vendor.find_jobs(attempt_id)
        if not found:
            return None
        if self._records.accepted(attempt_id) is None:
            self._records.accept(attempt_id, self._guessed(await self._vendor.look(attempt_id, found)))
        self._records.hand(attempt_id)
        return self._records.choose(attempt_id, found)

    async def register(self, attempt_id: UUID, plan: Json) -> Sequence[Job]:
        """Choose ids for good. Nothing runs yet."""
        return self._records.choose(attempt_id, await self._vendor.register(attempt_id, plan))

    async def hand_over(self, attempt_id: UUID, jobs: Sequence[Job], plan: Json | None) -> None:
        """Submit what was registered; all of it may be repeated. Rejected: the vendor will not have it, none runs."""
        for job, run in zip(jobs, plan["runs"] if plan else (), strict=False):
            try:
                await self._vendor.submit(job, run, plan or {})
            except Rejected:
                if not self._records.is_handed(attempt_id):
                    self._records.discard(attempt_id)
                    raise
                self._records.want_stop(attempt_id, "failed")
                return
            except Unavailable as away:
                is_begun = self._records.is_handed(attempt_id)
                raise Unavailable(away.detail, maybe_done=away.maybe_done or is_begun) from away
            self._records.hand(attempt_id)

    # -- looking ------------------------------------------------------------------------------------------------------

    async def remote(self, attempt_id: UUID, jobs: Sequence[Job]) -> Sequence[RemoteJob]:
        """Each of its jobs as the vendor tells now. Gone."""
        return await self._vendor.look(attempt_id, jobs)

    async def look(self, attempt_id: UUID, jobs: Sequence[Job]) -> Progress:
        """Where it is; what is late is stopped, what was begun is brought to its end, and an end is written down.

        Gone, ResultAway.
        """
        remote = await self.remote(attempt_id, jobs)
        accepted = self._records.accepted(attempt_id) or self._guessed(remote)
        now = progress(remote, stop=self._records.stop(attempt_id))
        if any(job.seen is not None for job in remote):
            self._records.hand(attempt_id)
        if now.is_over:
            return await self._finish(attempt_id, remote, now, accepted)
        await self._urge(attempt_id, jobs, remote, now, accepted)
        return now

    async def cancel(self, attempt_id: UUID, jobs: Sequence[Job]) -> None:
        """Note the wish, and pass it on. Gone."""
        remote = await self.remote(attempt_id, jobs)
        self._records.want_stop(attempt_id, "cancel")
        await self._vendor.stop(remote)

    async def _urge(
        self, attempt_id: UUID, jobs: Sequence[Job], remote: Sequence[RemoteJob], now: Progress, accepted: Accepted
    ) -> None:
        """Stop what is late or has failed; submit what an interrupted handing over has left."""
        reason = self._records.stop(attempt_id) or self._due(now, accepted)
        if reason:
            self._records.want_stop(attempt_id, reason)
            await self._vendor.stop(remote)
        elif self._records.is_handed(attempt_id) and any(job.seen is None for job in remote):
            await self.hand_over(attempt_id, jobs, await self._checking.known(attempt_id))

    def _due(self, now: Progress, accepted: Accepted) -> str:
        if now.wants_stop:
            return "failed"
        if now.started_at is None:
            return ""
        ran = self._clock() - now.started_at
        if ran >= timedelta(seconds=accepted.walltime_s):
            return "walltime"
        cap_us = accepted.max_qpu_us
        if cap_us is not None and ran >= timedelta(microseconds=cap_us, seconds=self._settings.overhead_s):
            return "qpu-cap"
        return ""

    # -- the end ------------------------------------------------------------------------------------------------------

    async def _finish(
        self, attempt_id: UUID, remote: Sequence[RemoteJob], now: Progress, accepted: Accepted
    ) -> Progress:
        seen, detail, result, message = now.seen, now.detail, None, ""
        ended_at = now.ended_at or self._clock()
        if seen is Seen.SUCCEEDED:
            try:
                result = await self._result(attempt_id, remote, accepted, now)
            except Unavailable as away:
                raise ResultAway("result-away") from away
            except NoResult as missing:
                if self._clock() - ended_at < timedelta(seconds=self._settings.result_patience_s):
                    raise ResultAway("result-missing") from missing
                seen, detail = Seen.NODE_FAILED, "result-missing"
        elif seen is Seen.FAILED:
            message = await self._vendor.message(remote)
        components, facts = used(accepted, remote, seen, detail, until=ended_at)
        started_at = min(now.started_at, ended_at) if now.started_at else None
        if started_at is None and seen in {Seen.FAILED, Seen.NODE_FAILED}:
            started_at = ended_at  # it was with the vendor, who does not tell since when
        end = _end(seen, detail, started_at, ended_at, message) | {
            "components": {name: str(amount) for name, amount in components.items()},
            "facts": {**facts, "device": self._settings.device},
        }
        self._records.finish(attempt_id, end, result)
        if not self._settings.keeps_jobs:
            await self._vendor.clear(remote)
        return Progress(seen=seen, detail=detail, started_at=started_at, ended_at=ended_at, is_over=True)

    def refuse(self, attempt_id: UUID, *, code: str, result: bytes, started_at: datetime, ended_at: datetime) -> None:
        """The end of an attempt whose program the confined check has refused: it costs nothing."""
        end = _end(Seen.FAILED, code, started_at, ended_at, "") | _free(self._settings.device)
        self._records.finish(attempt_id, end, result)

    async def finish_here(self, attempt_id: UUID, plan: Json) -> None:
        """The end of an attempt that has nothing for the vendor to run: it costs nothing."""
        accepted, now = self._records.accepted(attempt_id), self._clock()
        result = await self._vendor.result(plan, (), accepted.calibration_id if accepted else None)
        end = _end(Seen.SUCCEEDED, "", now, now, "") | _free(self._settings.device)
        self._records.finish(attempt_id, end, result)

    async def _result(self, attempt_id: UUID, remote: Sequence[RemoteJob], accepted: Accepted, now: Progress) -> bytes:
        """With the calibration under which it ran: today's where that was made before, else that of its submission."""
        calibration, began = (await self._vendor.device()).calibration, now.started_at
        is_same = calibration is not None and (calibration.at is None or began is None or calibration.at <= began)
        calibration_id = calibration.id if calibration is not None and is_same else accepted.calibration_id
        return await self._vendor.result(await self._checking.known(attempt_id), remote, calibration_id)

    def _guessed(self, remote: Sequence[RemoteJob]) -> Accepted:
        """Of an attempt whose folder was lost: what the vendor and today's settings tell."""
        return Accepted(
            tenant="",
            walltime_s=365 * 86_400,
            shots=sum(job.shots for job in remote),
            max_qpu_us=None,
            base_us=self._settings.base_us,
            per_kshot_us=self._settings.per_kshot_us,
            calibration_id=None,
            at_us=to_us(min((job.submitted_at for job in remote if job.submitted_at), default=self._clock())),
        )


def _end(seen: Seen, detail: str, started_at: datetime | None, ended_at: datetime, message: str) -> Json:
    return {
        "seen": seen.value,
        "detail": detail,
        "exit_code": {Seen.SUCCEEDED: 0, Seen.FAILED: 1}.get(seen),
        "started_us": None if started_at is None else to_us(started_at),
        "ended_us": to_us(ended_at),
        "message": message,
    }


def _free(device: str) -> Json:
    """Usage of what never reached the device."""
    return {
        "components": {"qpu_s": "0", "shot": "0"},
        "facts": {"qpus": 1, "device": device, "qpu_from": "none"},
    }


def components_of(end: Json) -> Mapping[str, Decimal]:
    """As they were written down."""
    return {name: Decimal(amount) for name, amount in end["components"].items()}


def at(end: Json, name: str) -> datetime | None:
    """A time of an end: 'started_us' or 'ended_us'."""
    return None if end[name] is None else from_us(end[name])
