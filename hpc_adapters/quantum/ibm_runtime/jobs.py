"""The life of a circuit: translated, sent once, looked after, its result brought home."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from hpc_adapters.contract import Circuit, JobRequest, Observation, Ref, Seen
from hpc_adapters.devices import ServiceEstimate
from hpc_adapters.errors import Forgotten, Rejected, Unavailable
from hpc_adapters.quantum import numbers
from hpc_adapters.quantum.ibm_runtime import device, results
from hpc_adapters.quantum.ibm_runtime.checks import check_circuit, limit_s, options_of, tag_of
from hpc_adapters.quantum.ibm_runtime.parts import Parts
from hpc_adapters.quantum.ibm_runtime.store import Ending, Record
from hpc_adapters.quantum.ibm_runtime.translate import Told, Wishes, told_of
from hpc_adapters.quantum.ibm_runtime.translation import Translator

ASKED: Final = "asked"
WALLTIME: Final = "walltime"
_FIND_S: Final = 6.0
"""With what follows shorter than the time limit of whoever calls `submit`."""
_LOOK_S: Final = 0.3
_RESULT_MISSING: Final = "result-missing"
_LOST: Final = (_RESULT_MISSING, "unreadable-answer")
"""IBM answered, and there was no result in it."""


class Jobs:
    """Circuits of one backend."""

    def __init__(self, parts: Parts, translator: Translator) -> None:
        self._parts = parts
        self._translator = translator

    # -- sending -------------------------------------------------------------------------------------------------------

    async def submit(self, request: JobRequest, circuit: Circuit) -> Ref:
        """As the port says. Before anything is sent, the attempt is looked for at IBM."""
        parts, attempt_id = self._parts, request.attempt_id
        async with parts.sending(attempt_id):
            record = parts.store.record(attempt_id)
            if record is not None and record.vendor_id is not None:
                return parts.ref(attempt_id, record.vendor_id)
            check_circuit(circuit, parts.settings)
            if (found := await self._sent_before(attempt_id, record)) is not None:
                return found
            session = self._session_of(request)
            isa = await self._translated(request, circuit)
            with parts.store.sending(attempt_id):
                if not numbers.to_measure(isa)["pubs"]:
                    return await self._finish_here(request, isa)
                return await self._send(request, circuit, isa, session)

    async def find(self, attempt_id: UUID) -> Ref | None:
        """By its tag; of several the oldest is the attempt, and the others are asked to end."""
        parts = self._parts
        jobs = await parts.bridge.call("find", {"tag": tag_of(attempt_id)})
        if not jobs:
            return None
        parts.store.know(attempt_id, str(jobs[0]["id"]))
        parts.store.note(attempt_id, "accepted", f"{parts.clock().isoformat()} accepted job={jobs[0]['id']}")
        await parts.end_doubles(jobs[1:])
        return parts.ref(attempt_id, str(jobs[0]["id"]))

    async def _sent_before(self, attempt_id: UUID, record: Record | None) -> Ref | None:
        """Where it already is. Unavailable('outcome-unknown'): it may still turn up; nothing is sent meanwhile."""
        until = asyncio.get_running_loop().time() + _FIND_S
        while (found := await self.find(attempt_id)) is None:
            if record is None or record.sent_at is None:
                return None
            window = timedelta(seconds=self._parts.settings.settle_window_s)
            if self._parts.clock() >= record.sent_at + window:
                return None
            if asyncio.get_running_loop().time() > until:
                raise Unavailable("outcome-unknown", maybe_done=True)
            await asyncio.sleep(_LOOK_S)
        return found

    def _session_of(self, request: JobRequest) -> Mapping[str, Any] | None:
        if request.session is None:
            return None
        held = self._parts.store.record(request.session)
        if held is None or not held.is_session or not held.is_live or held.sent["tenant"] != request.tenant:
            raise Rejected("session-over")
        return {"id": held.vendor_id, "dedicated": held.sent["dedicated"]}

    async def _translated(self, request: JobRequest, circuit: Circuit) -> Mapping[str, Any]:
        parts = self._parts
        isa = await self._translator.isa(
            request.attempt_id,
            circuit.program,
            tenant=request.tenant,
            shots=circuit.shots,
            seed=int.from_bytes(request.attempt_id.bytes[:4], "big") >> 1,
            target=device.target_of(await parts.device()),
            wait_s=parts.settings.translate_wait_s,
        )
        needed_us = self.estimate(isa, None).low_us
        if circuit.max_qpu_us is not None and needed_us > circuit.max_qpu_us:
            raise Rejected("qpu-cap-too-small", needed_us=needed_us, cap_us=circuit.max_qpu_us)
        if results.bytes_of(isa) > parts.settings.max_result_bytes:
            limit = parts.settings.max_result_bytes
            raise Rejected("result-too-large", bytes=results.bytes_of(isa), max_bytes=limit)
        return isa

    def estimate(self, isa: Mapping[str, Any], calibration_id: str | None) -> ServiceEstimate:
        settings = self._parts.settings
        return results.estimate(
            isa, base_us=settings.base_us, per_kshot_us=settings.per_kshot_us, calibration_id=calibration_id
        )

    async def _send(
        self, request: JobRequest, circuit: Circuit, isa: Mapping[str, Any], session: Mapping[str, Any] | None
    ) -> Ref:
        parts, attempt_id = self._parts, request.attempt_id
        seconds, capped = limit_s(circuit, request.walltime_s)
        sent = {
            "kind": "circuit",
            "tenant": request.tenant,
            "walltime_s": request.walltime_s,
            "cap_us": circuit.max_qpu_us,
            "capped": capped,
            "executions": circuit.shots,
            "session": None if request.session is None else str(request.session),
            "calibration_id": await parts.calibration_id(),
            "about": results.about(isa),
        }
        params = {
            "isa": numbers.to_measure(isa),
            "tag": tag_of(attempt_id),
            "max_execution_s": seconds,
            "session": session,
        }
        params["options"] = options_of(circuit)
        async with parts.door:
            if session is None:
                await parts.take_room()
            parts.store.send(attempt_id, sent, now=parts.clock())
            try:
                vendor_id = str((await parts.bridge.call("submit", params))["id"])
            except Rejected as refused:
                raise self._refused(attempt_id, refused) from None
            except Unavailable as problem:
                if not problem.maybe_done:
                    parts.store.not_sent(attempt_id)
                raise
            parts.store.know(attempt_id, vendor_id)
        parts.store.note(attempt_id, "accepted", f"{parts.clock().isoformat()} accepted job={vendor_id}")
        self._translator.forget(attempt_id)
        return parts.ref(attempt_id, vendor_id)

    async def _finish_here(self, request: JobRequest, isa: Mapping[str, Any]) -> Ref:
        """Nothing of it has to be measured: IBM never hears of it, and it costs nothing. Its id there is our own."""
        parts, attempt_id, now = self._parts, request.attempt_id, self._parts.clock()
        calibration_id, about = await parts.calibration_id(), results.about(isa)
        sent = {"kind": "circuit", "tenant": request.tenant, "executions": 0, "about": about}
        parts.store.send(attempt_id, sent, now=now)
        document = results.result_document(
            {"pubs": []}, about, device=parts.settings.name, calibration_id=calibration_id
        )
        parts.store.keep_result(attempt_id, document)
        parts.store.final_usage(attempt_id, {"qpu_s": "0"})
        parts.store.note(attempt_id, "ended", f"{now.isoformat()} ended {Seen.SUCCEEDED.value}")
        parts.store.end(attempt_id, Ending(seen=Seen.SUCCEEDED, detail="", started_at=now, ended_at=now))
        parts.store.know(attempt_id, str(attempt_id))
        return parts.ref(attempt_id, str(attempt_id))

    def _refused(self, attempt_id: UUID, refused: Rejected) -> Exception:
        """Nothing was created. What the library finds wrong with a translation is not the program's fault."""
        self._parts.store.not_sent(attempt_id)
        if refused.code in {"vendor-cannot-run", "malformed-translation"} and self._translator.may_repeat(attempt_id):
            self._translator.discard(attempt_id)
            self._parts.forget_device()
            return Unavailable("device-has-changed", maybe_done=False)
        return refused

    # -- looking after -------------------------------------------------------------------------------------------------

    async def observe(self, ref: Ref, record: Record, look: Mapping[str, Any] | None) -> Observation | Forgotten:
        """`look`: what the bridge told of its job."""
        if record.end is not None:
            return self.ended(ref, record.end)
        if look is None:
            return Forgotten(ref.attempt_id)
        told = told_of(look, wishes_of(record))
        if told.seen is Seen.RUNNING:
            await self._while_running(record, told)
        if not told.seen.is_end:
            return self._observation(ref, told)
        return await self._end(ref, record, told, look)

    def ended(self, ref: Ref, end: Ending) -> Observation:
        return Observation(
            ref=ref,
            seen=end.seen,
            observed_at=self._parts.clock(),
            started_at=end.started_at,
            ended_at=end.ended_at,
            exit_code=end.exit_code,
            detail=end.detail,
        )

    def _observation(self, ref: Ref, told: Told, *, not_now: bool = False) -> Observation:
        return Observation(
            ref=ref,
            seen=told.seen,
            observed_at=self._parts.clock(),
            started_at=told.started_at,
            detail=told.detail,
            not_now=not_now,
        )

    async def _while_running(self, record: Record, told: Told) -> None:
        """IBM counts execution time; our walltime is on the wall."""
        parts = self._parts
        if told.started_at is None:
            return
        parts.store.note(record.attempt_id, "executing", f"{told.started_at.isoformat()} executing")
        walltime_s = record.sent.get("walltime_s")
        if walltime_s is None or parts.clock() < told.started_at + timedelta(seconds=walltime_s + 1):
            return
        parts.store.wish(record.attempt_id, WALLTIME)
        await parts.bridge.call("cancel", {"job": record.vendor_id})

    async def _end(self, ref: Ref, record: Record, told: Told, look: Mapping[str, Any]) -> Observation:
        parts = self._parts
        ended_at = told.ended_at or parts.clock()
        if told.seen is Seen.SUCCEEDED:
            try:
                await self._bring_home(record, look)
            except Unavailable as problem:
                if not problem.detail.startswith(_LOST) or parts.clock() < ended_at + self._patience():
                    unknown = Told(seen=Seen.UNKNOWN, detail=problem.detail, started_at=told.started_at)
                    return self._observation(ref, unknown, not_now=True)
                told = Told(seen=Seen.NODE_FAILED, detail=_RESULT_MISSING, started_at=told.started_at)
        started_at = None if told.started_at is None else min(told.started_at, ended_at)
        ending = Ending(seen=told.seen, detail=told.detail, started_at=started_at, ended_at=ended_at)
        if started_at is not None:
            parts.store.note(record.attempt_id, "executing", f"{started_at.isoformat()} executing")
        parts.store.note(
            record.attempt_id, "ended", f"{ended_at.isoformat()} ended {told.seen.value} {told.detail}".rstrip()
        )
        return self.ended(ref, parts.store.end(record.attempt_id, ending))

    def _patience(self) -> timedelta:
        return timedelta(seconds=self._parts.settings.result_patience_s)

    async def _bring_home(self, record: Record, look: Mapping[str, Any]) -> None:
        """Only a result that we have makes a success. Unavailable."""
        parts = self._parts
        calibration_id = look["job"].get("calibration_id") or record.sent.get("calibration_id")
        kept = record.sent.get("about")
        data = await parts.bridge.call("result", {"job": record.vendor_id})
        if kept is None:  # sent by somebody who has forgotten all of it
            document = {"format": results.RESULT, "calibration_id": calibration_id, **data}
        else:
            document = results.result_document(data, kept, device=parts.settings.name, calibration_id=calibration_id)
        parts.store.keep_result(record.attempt_id, document)

    async def cancel(self, record: Record) -> None:
        """The wish is kept before it is sent, so that IBM's word for the end is read rightly. Forgotten."""
        self._parts.store.wish(record.attempt_id, ASKED)
        if not await self._parts.bridge.call("cancel", {"job": record.vendor_id}):
            raise Forgotten(record.attempt_id)


def wishes_of(record: Record) -> Wishes:
    """What we asked of its job."""
    return Wishes(
        cancelled=record.wish == ASKED,
        out_of_walltime=record.wish == WALLTIME,
        capped=bool(record.sent.get("capped")),
    )


def ids_to_look_at(records: Sequence[Record | None]) -> list[str]:
    """IBM's ids of jobs that have not ended."""
    live = [record for record in records if record is not None and record.is_live and not record.is_session]
    return [str(record.vendor_id) for record in live]
