"""A collector in a process of its own, to be killed: `python -m tests.support.collector URL < pickled (rows, now)`."""

from __future__ import annotations

import asyncio
import pickle
import sys
from datetime import datetime

from hpc_adapters.contract import UsageRow
from infra.db.connection import open_pool
from metering.loops import collect
from metering.loops.deps import Deps
from tests.support.metered import CLUSTER, Scripted


async def main(url: str, rows: list[UsageRow], now: datetime) -> None:
    async with open_pool(url, user="kyoyo_worker", size=2) as pool:
        await collect.tick(Deps(pool=pool, backends={CLUSTER: Scripted(rows=rows)}), now)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *pickle.load(sys.stdin.buffer)))
