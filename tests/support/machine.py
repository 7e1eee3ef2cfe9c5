"""A folder with confined runs on this machine, for tests that really run programs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from hpc_adapters.confined.model import FilePath, RunSpec, RunState
from hpc_adapters.confined.runs import ConfinedRuns
from hpc_adapters.contract import Stream
from infra.clock import new_id, utc_now

PATIENCE_S = 60.0


def a_run(script: str, **changes: object) -> RunSpec:
    """A shell script with generous limits, but for the given ones."""
    stated: dict[str, object] = {
        "attempt_id": new_id(),
        "tenant": "tenant-a",
        "argv": [FilePath("script")],
        "files": {"script": f"#!/bin/sh\n{script}\n".encode()},
        "walltime_s": 30.0,
        "memory_mb": 256,
        "grace_s": 5.0,
    }
    return RunSpec(**{**stated, **changes})  # type: ignore[arg-type]  # a builder: the class checks at run time


class Machine:
    """Runs in one folder, with the waiting that tests need."""

    def __init__(self, root: Path, *, kind: str | None = None, control_groups: bool = True) -> None:
        self.root = root
        self._options = {"kind": kind, "control_groups": control_groups}
        self.restart()

    def restart(self) -> None:
        """A new object on the same folder, as a restarted worker has it."""
        self.runs = ConfinedRuns(self.root, clock=utc_now, **self._options)  # type: ignore[arg-type]  # a dict of two

    async def run(self, spec: RunSpec) -> RunState:
        """Start it and wait for its end."""
        await self.runs.start(spec)
        return await self.until_over(spec.attempt_id)

    async def until(self, attempt_id: UUID, wanted: Callable[[RunState], bool]) -> RunState:
        state = None
        for _ in range(int(PATIENCE_S / 0.02)):
            state = await self.runs.state(attempt_id)
            if state is not None and wanted(state):
                return state
            await asyncio.sleep(0.02)
        raise AssertionError(f"never as wanted; last: {state}")

    async def until_over(self, attempt_id: UUID) -> RunState:
        return await self.until(attempt_id, lambda state: state.is_over)

    async def until_prints(self, attempt_id: UUID, text: str) -> None:
        for _ in range(int(PATIENCE_S / 0.02)):
            if text in await self.output(attempt_id):
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"never printed {text!r}, but {await self.output(attempt_id)!r}")

    async def output(self, attempt_id: UUID, stream: Stream = Stream.STDOUT) -> str:
        chunk = await self.runs.read(attempt_id, stream, limit=2**24)
        assert chunk is not None
        return chunk.data.decode(errors="replace")

    def work(self, attempt_id: UUID) -> Path:
        """The job's working folder, seen from outside."""
        return self.root / str(attempt_id) / "work"

    def processes(self, attempt_id: UUID) -> set[int]:
        """Every process of this machine that has the attempt id in its environment: the job's own programs."""
        mark = f"KYOYO_ATTEMPT_ID={attempt_id}".encode()
        return {pid for pid in _pids() if mark in _read(pid, "environ")}

    def supervisors(self, attempt_id: UUID) -> set[int]:
        """Every process of this machine that supervises the attempt."""
        mark = str(attempt_id).encode()
        return {
            pid
            for pid in _pids()
            if (line := _read(pid, "cmdline")).startswith(b"/") and line.endswith(mark + b"\0") and b"-I" in line
        }


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
