"""Ends what outlives its parent by design: jobs in their sandboxes, and the embedded database.

A Slurm cluster does not: it ends with the demo, and its jobs with it.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from hpc_adapters.contract import Backend, Window
from infra import embedded
from infra.clock import utc_now
from portal.bootstrap import build_backends
from portal.settings import Settings, SlurmSite

DATABASE = "postgres"
BACKENDS_FILE = "backends.toml"
LOOKS = 200
LOOK_EVERY_S = 0.1
DAY = timedelta(days=1)


async def end_all(folder: Path) -> None:
    """No job and no database of this demo folder runs any more. Harmless for a folder where nothing runs."""
    if (folder / BACKENDS_FILE).exists() and (folder / "backends").exists():
        await _end_jobs(Settings(data_dir=folder, backends_file=folder / BACKENDS_FILE))
    if (folder / DATABASE / "postmaster.pid").exists():
        embedded.start(folder / DATABASE).stop()


async def _end_jobs(settings: Settings) -> None:
    ours = {name: machine for name, machine in settings.machines().items() if not isinstance(machine, SlurmSite)}
    for backend in build_backends(settings, ours).values():
        for _ in range(LOOKS):
            if not await _cancel_running(backend):
                break
            await asyncio.sleep(LOOK_EVERY_S)
        await backend.close()


async def _cancel_running(backend: Backend) -> int:
    """How many still run."""
    now = utc_now()
    running = [row for row in await backend.accounting(Window(now - DAY, now + DAY)) if row.ended_at is None]
    for row in running:
        ref = await backend.find(row.attempt_id) if row.attempt_id else None
        if ref is not None:
            await backend.cancel(ref)
    return len(running)
