"""The calls that we make of OQTOPUS Cloud's user API, typed. Each raises Unavailable and Refused, as `rest` says.

A job is made in three steps: it is registered, which gives it an id and runs nothing; its program is uploaded; it is
submitted under its id. The last step takes effect once for each id, and that is our start gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from hpc_adapters.errors import Unavailable
from hpc_adapters.quantum.oqtopus.rest import Json, Refused, Rest
from hpc_adapters.quantum.oqtopus.translate import seen_of
from hpc_adapters.quantum.queued.model import RemoteJob
from hpc_adapters.quantum.stamps import instant

_PAGE: Final = 1000
_FIELDS: Final = "job_id,name,device_id,status,shots,execution_time,submitted_at,ready_at,running_at,ended_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """An id of the vendor's, and where its program is to be put."""

    job_id: str
    link: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OqtopusJob(RemoteJob):
    """A job as the vendor tells of it. `status` is its word; `links` go to its files."""

    name: str
    device: str
    status: str
    links: Mapping[str, str]
    message: str = ""


class Oqtopus:
    """One account of one cloud."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def device(self, device: str) -> Json:
        """As the vendor tells of it, its `device_info` fetched where it is a link. Refused 404: no such device."""
        told = _object(await self._rest.get(f"devices/{_part(device)}"))
        link = told.get("device_info")
        if isinstance(link, str) and link.startswith(("http://", "https://")):
            told = told | {"device_info": await self._rest.download(link)}
        return told

    async def token_expires(self) -> datetime | None:
        """None: it does not tell."""
        return instant(_object(await self._rest.get("api-token/status")).get("api_token_expiration"))

    async def register(self) -> Registered:
        """Make a job that runs nothing. What it leaves when its answer is lost is an empty job."""
        told = _object(await self._rest.post("jobs"))
        try:
            link = told["presigned_url"]
            fields = {str(name): str(value) for name, value in link["fields"].items()}
            return Registered(job_id=_id(told["job_id"]), link=str(link["url"]), fields=fields | {"key": fields["key"]})
        except (KeyError, TypeError, AttributeError) as error:
            raise Unavailable("not-a-registered-job", maybe_done=False) from error

    async def upload(self, registered: Registered, program: Json) -> None:
        """Its program; again: harmless."""
        await self._rest.upload(registered.link, registered.fields, program)

    async def submit(self, job_id: str, body: Json) -> None:
        """Let a registered job run. Refused 400: it was submitted before, or the vendor will not have it."""
        await self._rest.post(f"jobs/{_part(job_id)}/submit", body)

    async def job(self, job_id: str) -> OqtopusJob | None:
        """With its links. None: the vendor knows no such job."""
        try:
            return _job(_object(await self._rest.get(f"jobs/{_part(job_id)}")))
        except Refused as refused:
            if refused.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def jobs_named(self, part: str, *, since: datetime | None = None) -> Sequence[OqtopusJob]:
        """Every submitted job whose name contains it, in no order, without links."""
        found: dict[str, OqtopusJob] = {}
        page = 1
        while True:
            params = {"q": part, "fields": _FIELDS, "size": str(_PAGE), "page": str(page), "order": "ASC"}
            if since is not None:
                params["start_time"] = since.astimezone(UTC).isoformat()
            told = await self._rest.get("jobs", params)
            if not isinstance(told, list):
                raise Unavailable("not-a-list-of-jobs", maybe_done=False)
            jobs = [_job(_object(entry)) for entry in told]
            before = len(found)
            found |= {job.job_id: job for job in jobs if part in job.name}
            if len(jobs) < _PAGE or len(found) == before:  # beyond the last page the vendor repeats it
                return list(found.values())
            page += 1

    async def cancel(self, job_id: str) -> None:
        """Ask that it end. Refused: it has ended, or there is no such job."""
        await self._rest.post(f"jobs/{_part(job_id)}/cancel")

    async def delete(self, job_id: str) -> None:
        """An ended job, with its files."""
        await self._rest.delete(f"jobs/{_part(job_id)}")

    async def file(self, link: str) -> Json:
        """Behind a link of a job. Refused: it is not there."""
        return await self._rest.download(link)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._rest.close()


def _job(told: Json) -> OqtopusJob:
    info = told.get("job_info")
    info = info if isinstance(info, dict) else {}
    shots, status, running_at = told.get("shots"), _text(told.get("status")), instant(told.get("running_at"))
    return OqtopusJob(
        job_id=_id(told.get("job_id")),
        seen=seen_of(status, has_run=running_at is not None),
        name=_text(told.get("name")),
        device=_text(told.get("device_id")),
        status=status,
        shots=shots if isinstance(shots, int) else 0,
        execution_s=_seconds(told.get("execution_time")),
        submitted_at=instant(told.get("submitted_at")),
        running_at=running_at,
        ended_at=instant(told.get("ended_at")),
        links={name: value for name, value in info.items() if isinstance(value, str) and name != "message"},
        message=_text(info.get("message"))[:1000],
    )


def _object(told: Any) -> Json:
    if not isinstance(told, dict):
        raise Unavailable("not-an-object", maybe_done=False)
    return told


def _id(told: Any) -> str:
    if not isinstance(told, str) or not 0 < len(told) <= 128 or not told.isprintable():  # noqa: PLR2004  any id is short
        raise Unavailable("not-a-job-id", maybe_done=False)
    return told


def _text(told: Any) -> str:
    return told if isinstance(told, str) else ""


def _seconds(told: Any) -> Decimal | None:
    """A number that is no time (negative, not finite) is none."""
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    amount = Decimal(str(told))
    return amount.quantize(Decimal("0.000001")) if amount.is_finite() and 0 <= amount < 10**9 else None


def _part(word: str) -> str:
    return quote(word, safe="")
