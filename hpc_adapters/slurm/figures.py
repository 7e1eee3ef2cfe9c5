"""GPU use of ended jobs from the site's own DCGM exporter, by way of its Prometheus. It never holds up accounting."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import httpx2

from hpc_adapters.slurm.models import DbJob
from hpc_adapters.workloads import dcgm

_CALL_S: Final = 3.0
_BODY_CAP_BYTES: Final = 2**20
_OK: Final = 200


class Figures:
    """One Prometheus. Safe for concurrent use in one loop."""

    def __init__(self, url: str, *, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._http = httpx2.AsyncClient(
            base_url=url.rstrip("/") + "/", timeout=_CALL_S, transport=transport, trust_env=False
        )

    async def summary(self, job: DbJob) -> Mapping[str, object] | None:
        """As the sampler would have written it; no figures: "not measured". None: no answer; ask no more for now."""
        if job.started_at is None or job.ended_at is None:
            return {}
        duration_s = round((job.ended_at - job.started_at).total_seconds())
        asked = dcgm.questions(job.job_id, duration_s=duration_s)
        at = str(job.ended_at.timestamp())
        try:
            async with asyncio.timeout(_CALL_S):
                answers = await asyncio.gather(*(self._ask(question, at) for question in asked.values()))
        except (httpx2.HTTPError, ValueError, TimeoutError, RecursionError):
            return None
        return dcgm.summary(dict(zip(asked, answers, strict=True)))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def _ask(self, question: str, at: str) -> object:
        """ValueError: no answer to it."""
        answer = await self._http.get("api/v1/query", params={"query": question, "time": at})
        if answer.status_code != _OK or len(answer.content) > _BODY_CAP_BYTES:
            raise ValueError(f"status {answer.status_code}")
        told: object = answer.json()
        return told
