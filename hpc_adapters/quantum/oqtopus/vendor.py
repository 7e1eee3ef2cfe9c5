"""OQTOPUS Cloud's own part: three steps to a job, listings by name, results behind links."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from hpc_adapters.devices import Device
from hpc_adapters.errors import Rejected, Unavailable
from hpc_adapters.quantum.oqtopus.api import Oqtopus, OqtopusJob, Registered
from hpc_adapters.quantum.oqtopus.device_info import SizeUnknown, device_of
from hpc_adapters.quantum.oqtopus.rest import Refused
from hpc_adapters.quantum.oqtopus.results import Unreadable, document
from hpc_adapters.quantum.oqtopus.settings import OqtopusSettings
from hpc_adapters.quantum.queued.model import RemoteJob, job_name
from hpc_adapters.quantum.queued.records import Job
from hpc_adapters.quantum.queued.vendor import Gone, NoResult

Json = dict[str, Any]
_AT_ONCE: Final = 4
_UNAVAILABLE_WORDS: Final = "not available"


class OqtopusVendor:
    """Implements `queued.Vendor`. An id is given out before anything runs under it: that is the start gate."""

    def __init__(self, settings: OqtopusSettings, api: Oqtopus, *, clock: Callable[[], datetime]) -> None:
        self._settings, self._api, self._clock = settings, api, clock
        self._few = asyncio.Semaphore(_AT_ONCE)

    async def device(self) -> Device:
        try:
            return device_of(await self._api.device(self._settings.device), self._settings, self._clock())
        except Refused as refused:
            raise Unavailable(f"no-device: HTTP {refused.status}", maybe_done=False) from refused
        except SizeUnknown as unknown:
            raise Unavailable("qubits-unknown: name `qubits` of the device", maybe_done=False) from unknown

    async def find_jobs(self, attempt_id: UUID) -> Sequence[Job] | None:
        try:
            found = await self._api.jobs_named(job_name(attempt_id))
        except Refused as refused:
            raise _odd(refused) from refused
        ours = sorted(
            (job for job in found if job.device in {"", self._settings.device}), key=lambda job: (job.name, job.job_id)
        )
        first = {job.name: job for job in reversed(ours)}  # a name that is there twice: the older id
        return [Job(job.job_id, name) for name, job in sorted(first.items())] or None

    async def register(self, attempt_id: UUID, plan: Json) -> Sequence[Job]:
        runs = plan["runs"]
        names = [job_name(attempt_id) + (f"-{at:04d}" if len(runs) > 1 else "") for at in range(len(runs))]
        registered = await asyncio.gather(*(self._registered(run) for run in runs))
        return [Job(one.job_id, name) for one, name in zip(registered, names, strict=True)]

    async def _registered(self, run: Json) -> Registered:
        async with self._few:
            try:
                made = await self._api.register()
                operators = [{"pauli": word, "coeff": factor} for word, factor in run["operators"]]
                content: Json = {"program": [run["program"]]}
                await self._api.upload(made, content | ({"operator": operators} if operators else {}))
            except Unavailable as away:
                raise Unavailable(away.detail, maybe_done=False) from away  # an empty job runs nothing
            except Refused as refused:
                raise _odd(refused) from refused
        return made

    async def submit(self, job: Job, run: Json, plan: Json) -> None:
        try:
            await self._api.submit(job.id, self._body(job, run, plan.get("options") or {}))
        except Refused as refused:
            await self._require_submitted(job, refused)

    async def _require_submitted(self, job: Job, refused: Refused) -> None:
        """A refusal of an id that was submitted before is none."""
        try:
            there = await self._api.job(job.id)
        except Refused as odd:
            raise _odd(odd) from odd
        if there is not None and there.seen is not None:
            return
        if _UNAVAILABLE_WORDS in refused.message or refused.status == HTTPStatus.NOT_FOUND:
            raise Unavailable(f"refused-for-now: HTTP {refused.status}", maybe_done=False) from refused
        raise Rejected("refused-by-vendor", status=refused.status, message=refused.message) from refused

    def _body(self, job: Job, run: Json, options: Mapping[str, Any]) -> Json:
        transpiler = dict(self._settings.transpiler_info)
        level, seed = options.get("optimization_level"), options.get("seed")
        if level is not None:
            wanted = {"optimization_level": level} | ({} if seed is None else {"seed_transpiler": seed})
            transpiler = {"transpiler_lib": "qiskit", "transpiler_options": wanted} | transpiler
        return {
            "name": job.name,
            "description": "kyoyo",
            "device_id": self._settings.device,
            "job_type": run["kind"],
            "shots": run["shots"],
            "transpiler_info": transpiler,
            "simulator_info": {} if seed is None else {"seed_simulation": seed},
            "mitigation_info": dict(self._settings.mitigation_info),
        }

    async def look(self, attempt_id: UUID, jobs: Sequence[Job]) -> Sequence[OqtopusJob]:
        listed: dict[str, OqtopusJob] = {}
        try:
            if len(jobs) > 1:
                listed = {job.job_id: job for job in await self._api.jobs_named(job_name(attempt_id))}
            found = await asyncio.gather(*(self._one(job, listed.get(job.id)) for job in jobs))
        except Refused as refused:
            raise _odd(refused) from refused
        known = [job for job in found if job is not None]
        if len(known) < len(jobs):
            raise Gone
        return known

    async def _one(self, job: Job, listed: OqtopusJob | None) -> OqtopusJob | None:
        if listed is not None:
            return listed
        async with self._few:
            found = await self._api.job(job.id)
        is_other = found is not None and found.seen is not None and found.name != job.name
        return None if is_other else found

    async def stop(self, jobs: Sequence[RemoteJob]) -> None:
        for job in jobs:
            if job.seen is not None and not job.seen.is_end:
                try:
                    await self._api.cancel(job.job_id)
                except Refused:
                    continue  # it has ended meanwhile

    async def result(self, plan: Json | None, jobs: Sequence[RemoteJob], calibration_id: str | None) -> bytes:
        whole = await asyncio.gather(*(self._answer(job.job_id) for job in jobs))
        answers = [answer for answer, _ in whole]
        if plan is None:  # what was asked is lost: the vendor's own words
            return json.dumps({"vendor": answers, "calibration_id": calibration_id}).encode()
        try:
            transpiled = [told for _, told in whole]
            return document(plan, answers, transpiled, device=self._settings.name, calibration_id=calibration_id)
        except Unreadable as unreadable:
            raise NoResult(str(unreadable)) from unreadable

    async def _answer(self, job_id: str) -> tuple[Json, Json | None]:
        async with self._few:
            try:
                job = await self._api.job(job_id)
                if job is None or "result" not in job.links:
                    raise NoResult("no link")
                answer = await self._api.file(job.links["result"])
            except Refused as refused:
                raise NoResult(f"HTTP {refused.status}") from refused
            link = job.links.get("transpile_result")
            try:
                return answer, None if link is None else await self._api.file(link)
            except (Refused, Unavailable):
                return answer, None  # only figures beside the result

    async def message(self, jobs: Sequence[RemoteJob]) -> str:
        for job in jobs:
            if isinstance(job, OqtopusJob) and job.status == "failed":
                try:
                    full = job if job.message else await self._api.job(job.job_id)
                except (Refused, Unavailable):
                    return ""
                return "" if full is None else full.message
        return ""

    async def clear(self, jobs: Sequence[RemoteJob]) -> None:
        for job in jobs:
            try:
                await self._api.delete(job.job_id)
            except (Refused, Unavailable):
                return  # it costs nothing there

    async def forget(self, attempt_id: UUID) -> int:  # noqa: ARG002
        """Nothing is kept here."""
        return 0

    async def expires(self) -> datetime | None:
        try:
            return await self._api.token_expires()
        except Refused:
            return None  # an older server has no such question

    async def close(self) -> None:
        await self._api.close()


def _odd(refused: Refused) -> Unavailable:
    """A refusal of something that is ours to ask: the vendor is not as we know it. Nothing was done."""
    return Unavailable(f"refused: HTTP {refused.status}: {refused.message}", maybe_done=False)
