"""What a vendor's own part of an adapter does for the common one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from hpc_adapters.devices import Device
from hpc_adapters.quantum.queued.model import RemoteJob
from hpc_adapters.quantum.queued.records import Job

Json = dict[str, Any]


class Gone(Exception):
    """The vendor knows the jobs of the attempt no more."""


class NoResult(Exception):
    """The vendor says that all has succeeded, and gives no result of what was asked."""


class Vendor(Protocol):
    """One device of a vendor. Every method but `close` may raise Unavailable, with exact maybe_done."""

    async def device(self) -> Device:
        """As it is now."""

    async def find_jobs(self, attempt_id: UUID) -> Sequence[Job] | None:
        """The jobs that the vendor has of an attempt of which we have no record. None: none that it tells of."""

    async def register(self, attempt_id: UUID, plan: Json) -> Sequence[Job]:
        """Ids for all that the plan wants run. Nothing runs yet, and what is registered may be left lying."""

    async def submit(self, job: Job, run: Json, plan: Json) -> None:
        """Let one run. Each id takes effect once, however often this is called.

        `Rejected`: the vendor will not have it, and it does not run.
        """

    async def look(self, attempt_id: UUID, jobs: Sequence[Job]) -> Sequence[RemoteJob]:
        """Each as the vendor tells now. Gone."""

    async def stop(self, jobs: Sequence[RemoteJob]) -> None:
        """Ask that they end. Again, or too late: harmless."""

    async def result(self, plan: Json | None, jobs: Sequence[RemoteJob], calibration_id: str | None) -> bytes:
        """`result.json` of an attempt whose jobs have all succeeded. NoResult. `plan` None: our record was lost."""

    async def message(self, jobs: Sequence[RemoteJob]) -> str:
        """Why it failed, in the vendor's words; empty: it does not tell."""

    async def clear(self, jobs: Sequence[RemoteJob]) -> None:
        """All that was to be had of them is here."""

    async def forget(self, attempt_id: UUID) -> int:
        """Remove what it keeps here of an attempt that is over: the bytes that it had."""

    async def expires(self) -> datetime | None:
        """When the credentials do; None: it does not tell."""

    async def close(self) -> None:
        """Let go of connections and processes."""
