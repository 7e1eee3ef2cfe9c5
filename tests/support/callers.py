"""Jobs that call a QPU while they run, for tests."""

from __future__ import annotations

from typing import Any

from accounts.model import Principal
from hpc_adapters.contract import Resources
from hpc_adapters.simulated.behaviour import Behaviour
from scheduler import service
from scheduler.core.model import State
from scheduler.submission import QpuWish, Submission
from scheduler.views import CallView, JobView
from tests.support.mailboxes import Mailboxes
from tests.support.scheduled import World, a_submission

SIZE = Resources(gpus=4, cpus=8, memory_mb=32_000, qpus=1)
WISH: dict[str, Any] = {"offering_id": "qpu-local", "shots": 1000, "calls": 5, "idle_s": 120}
NO_COLLECTOR_HERE = {"attempt-never-settled", "window-never-read"}
"""Differences that the audit finds where nothing collects accounting."""


def a_caller(run_s: float = 500, **wish: object) -> Submission:
    return a_submission(body=Behaviour(run_s=run_s).script().body, qpu=QpuWish(**{**WISH, **wish}))


async def started(world: World, who: Principal, request: Submission | None = None) -> JobView:
    job = await world.submit(who, request or a_caller())
    return await world.until(lambda seen: seen.state is State.RUNNING, job)


async def made(world: World, job: JobView) -> list[CallView]:
    """All of its calls in their order, as its owner is told of them, page by page."""
    found: list[CallView] = []
    cursor: str | None = None
    async with world.market.as_worker() as conn:
        while True:
            page = await service.calls(conn, job.id, limit=40, cursor=cursor)
            found += page.items
            if (cursor := page.next_cursor) is None:
                return found[::-1]


async def answered(world: World, post: Mailboxes, job: JobView, number: int) -> Any:
    for _ in range(40):
        told = post.told(job.attempt_id, number)
        if told is not None:
            return told
        await world.round()
    raise AssertionError(f"no answer to call {number}")
