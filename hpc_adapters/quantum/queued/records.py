"""What we keep of an attempt: a folder with a file for each thing that is decided once. Nothing here is a secret.

accepted.json   what was asked, and the service model of that day; the attempt takes a slot from here on
jobs.json       the vendor's ids that were chosen for it, for good: this is the start gate. Of two processes that
                choose at once one wins, and what the other has registered stays empty
handed          at least one of them was submitted
stop.json       why we want its end; the first reason stays
result.json     what it left, before end.json
end.json        how it ended; written once, last
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from hpc_adapters.confined import folder
from hpc_adapters.confined.runs import ids_in
from hpc_adapters.keeping import remove

Json = dict[str, Any]
_ACCEPTED, _JOBS, _HANDED, _STOP, _RESULT, _END = (
    "accepted.json",
    "jobs.json",
    "handed",
    "stop.json",
    "result.json",
    "end.json",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What was asked of an attempt. `shots`: all executions together. `base_us`: of each of the vendor's jobs."""

    tenant: str
    walltime_s: int
    shots: int
    max_qpu_us: int | None
    base_us: int
    per_kshot_us: int
    calibration_id: str | None
    at_us: int

    def model_us(self, jobs: int) -> int:
        """QPU time of the whole attempt by the model, whole microseconds, rounded down."""
        return self.base_us * jobs + self.per_kshot_us * self.shots // 1000

    def shots_within(self, used_us: int, jobs: int) -> int:
        """How many shots the model has taken after this much QPU time."""
        if used_us >= self.model_us(jobs):
            return self.shots
        after_base = max(0, used_us - self.base_us * jobs)
        return after_base * 1000 // self.per_kshot_us if self.per_kshot_us else 0


@dataclass(frozen=True, slots=True)
class Job:
    """One of the vendor's jobs of an attempt."""

    id: str
    name: str


class Records:
    """Of all attempts under one root, of this process and of all before it. Every method may raise OSError."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def all_ids(self) -> list[UUID]:
        """Of every attempt with a folder, in their order."""
        return ids_in(self._root)

    def accepted(self, attempt_id: UUID) -> Accepted | None:
        told = self._read(attempt_id, _ACCEPTED)
        return None if told is None else Accepted(**told)

    def accept(self, attempt_id: UUID, accepted: Accepted) -> None:
        """Again: harmless."""
        place = self._root / str(attempt_id)
        place.mkdir(mode=0o700, exist_ok=True)
        self._once(attempt_id, _ACCEPTED, asdict(accepted))
        folder.sync(str(self._root))

    def remove(self, attempt_id: UUID) -> int:
        """Forget one that is over, in one step, and the bytes that its files had."""
        return remove(self._root, str(attempt_id))

    def discard(self, attempt_id: UUID) -> None:
        """Forget an attempt of which nothing runs and nothing ever will."""
        shutil.rmtree(self._root / str(attempt_id), ignore_errors=True)

    def jobs(self, attempt_id: UUID) -> Sequence[Job] | None:
        told = self._read(attempt_id, _JOBS)
        return None if told is None else [Job(**job) for job in told["jobs"]]

    def choose(self, attempt_id: UUID, jobs: Sequence[Job]) -> Sequence[Job]:
        """The jobs of the attempt from now on: these, or those that were chosen before."""
        return [Job(**job) for job in self._once(attempt_id, _JOBS, {"jobs": [asdict(job) for job in jobs]})["jobs"]]

    def is_handed(self, attempt_id: UUID) -> bool:
        return folder.exists(self._place(attempt_id), _HANDED)

    def hand(self, attempt_id: UUID) -> None:
        """Again: harmless."""
        if not self.is_handed(attempt_id):
            folder.write_bytes(self._place(attempt_id), _HANDED, b"")

    def stop(self, attempt_id: UUID) -> str:
        """Why its end is wanted; empty: it is not."""
        told = self._read(attempt_id, _STOP)
        return "" if told is None else str(told["reason"])

    def want_stop(self, attempt_id: UUID, reason: str) -> str:
        """The reason that stays."""
        return str(self._once(attempt_id, _STOP, {"reason": reason})["reason"])

    def end(self, attempt_id: UUID) -> Json | None:
        return self._read(attempt_id, _END)

    def finish(self, attempt_id: UUID, end: Json, result: bytes | None) -> Json:
        """The end that stays: this one, or the one that was written before."""
        if result is not None and not folder.exists(self._place(attempt_id), _END):
            folder.write_bytes(self._place(attempt_id), _RESULT, result)
        return self._once(attempt_id, _END, end)

    def result(self, attempt_id: UUID) -> bytes | None:
        with suppress(FileNotFoundError):
            return folder.read_bytes(self._place(attempt_id), _RESULT)
        return None

    def _place(self, attempt_id: UUID) -> str:
        return str(self._root / str(attempt_id))

    def _read(self, attempt_id: UUID, name: str) -> Json | None:
        return folder.read_json(self._place(attempt_id), name)

    def _once(self, attempt_id: UUID, name: str, content: Json) -> Json:
        """Write a file unless it is there; what is in it now. Durable, whole, and the same for everybody."""
        place = self._place(attempt_id)
        temporary = f".{name}.{os.getpid()}.{id(content)}"
        folder.write_bytes(place, temporary, json.dumps(content).encode())
        with suppress(FileExistsError):
            os.link(folder.path(place, temporary), folder.path(place, name))
        os.unlink(folder.path(place, temporary))  # noqa: PTH108  see `folder.path`
        folder.sync(place)
        told = self._read(attempt_id, name)
        assert told is not None
        return told
