"""How much work a benchmark does, and how it is driven."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from itertools import pairwise
from time import perf_counter

from tests.support.database import Database

CONNECTIONS = 8
_ROUNDS = 5
_SCALE = "KYOYO_BENCH_SCALE"


def sized(usual: int) -> int:
    """So much work, times KYOYO_BENCH_SCALE (1 when unset)."""
    return max(1, round(usual * float(os.environ.get(_SCALE, "1"))))


async def closed_loop(numbers: range, one: Callable[[int], Awaitable[object]], *, callers: int = CONNECTIONS) -> float:
    """Does `one` for every number; each caller begins its next when its last has ended. Seconds."""
    left = iter(numbers)

    async def caller() -> None:
        for number in left:
            await one(number)

    began = perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return perf_counter() - began


async def in_turns(
    database: Database,
    count: int,
    ours: Callable[[range], Awaitable[float]],
    peer: Callable[[range], Awaitable[float]],
) -> tuple[float, float]:
    """Seconds of each side over the same `count` items, in alternating rounds: a noisy neighbour disturbs both.

    The test server has no autovacuum. What that would do for the plans of growing tables is done before each round.
    """
    spent = [0.0, 0.0]
    borders = [count * each // _ROUNDS for each in range(_ROUNDS + 1)]
    for since, until in pairwise(borders):
        await database.owner.execute("VACUUM (ANALYZE)")
        for side, run in enumerate((ours, peer)):
            spent[side] += await run(range(since, until))
    return spent[0], spent[1]
