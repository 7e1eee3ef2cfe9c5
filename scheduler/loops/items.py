"""One bad item never stops the others: each is carried out by itself, and what fails is reported and comes again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import structlog

from hpc_adapters.errors import Unavailable
from infra.db.faults import is_stale_leader, passes
from scheduler.loops import metrics

_log = structlog.get_logger(__name__)
_Item = TypeVar("_Item")


async def each(loop: str, items: Iterable[_Item], work: Callable[[_Item], Awaitable[bool]]) -> int:
    """How many items moved. A backend that does not answer ends the round (it is asked again in the next tick)."""
    moved = 0
    for item in items:
        try:
            moved += await work(item)
        except Unavailable:
            break
        except Exception as problem:
            if stops_the_loop(problem):
                raise
            report(loop, item, problem)
    return moved


def stops_the_loop(problem: Exception) -> bool:
    """A stale leader must stop, and without a database nothing goes on; anything else is one item's matter."""
    return is_stale_leader(problem) or passes(problem)


def report(loop: str, item: object, problem: Exception) -> None:
    metrics.ITEM_FAILURES.labels(loop).inc()
    identity = getattr(item, "attempt_id", None) or getattr(item, "id", None)
    _log.error("item failed", loop=loop, item=str(identity), exc_info=problem)
