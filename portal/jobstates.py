"""Follows a job's state for whoever watches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import UUID

from portal.auth.caller import Caller
from portal.language import Language
from scheduler import service as scheduler
from scheduler.views import JobView, WaitingView

Event = tuple[str, Mapping[str, Any]]


async def state_events(caller: Caller, job_id: UUID) -> AsyncIterator[Event]:
    """('state', …) now and at every change, then ('end', …) when the job has ended."""
    streams, poll_s = caller.deps.streams, caller.deps.limits.live_poll_s
    told: Mapping[str, Any] | None = None
    while True:
        async with caller.transaction() as conn:
            job = await scheduler.job(conn, job_id)
        news = _news(job, caller.language)
        if news != told:
            told = news
            yield "state", news
        if job.state.is_terminal:
            yield "end", {"state": job.state.value}
            return
        if not await streams.pause(poll_s):
            return


def _expected(waiting: WaitingView, language: Language) -> str | None:
    if waiting.forecast is None:
        return None
    sentence = waiting.forecast.sentence
    return sentence.ja if language is Language.JA else sentence.en


def _news(job: JobView, language: Language) -> Mapping[str, Any]:
    waiting = None
    if job.waiting is not None:
        sentence = job.waiting.sentence
        waiting = {
            "reason": job.waiting.reason.value,
            "sentence": sentence.ja if language is Language.JA else sentence.en,
            "forecast": _expected(job.waiting, language),
        }
    return {
        "state": job.state.value,
        "attempt_count": job.attempt_count,
        "reason": job.reason,
        "exit_code": job.exit_code,
        "waiting": waiting,
    }
