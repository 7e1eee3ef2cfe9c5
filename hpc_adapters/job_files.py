"""Files of jobs: what a backend that has Feature.FILES does with them, beside the port."""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable
from uuid import UUID

from hpc_adapters.contract import Identity, Ref


@dataclass(frozen=True, slots=True)
class Desk:
    """Whose files: an attempt, known before it is handed over, and as whom it runs where that matters."""

    attempt_id: UUID
    tenant: str
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that an attempt left. `path`: below its working folder, for `read_output`; `name`: as it is to be kept."""

    path: str
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Outputs:
    """What an attempt left. `passed_over`: names that were not taken, each with a word why."""

    files: Sequence[OutputFile]
    passed_over: Sequence[tuple[str, str]] = ()


@runtime_checkable
class Files(Protocol):
    """Input files brought to an attempt before it is handed over, output files read after its end.

    A backend that has Feature.FILES implements this beside `Backend`. Names are relative, with "/" between parts, and
    checked again here (`hpc_adapters.filenames`): whoever calls may be wrong. Each call may be repeated.
    """

    async def put_input(self, desk: Desk, name: str, pieces: AsyncIterable[bytes], *, size: int) -> None:
        """Bring one file. It is whole or not there; one of this size that is there already is left, unread."""

    async def seal_inputs(self, desk: Desk, sizes: Mapping[str, int]) -> None:
        """All are there, and from now on the attempt will see exactly these. Unavailable: one is missing."""

    async def outputs(self, ref: Ref, desk: Desk, patterns: Sequence[str]) -> Outputs:
        """What an ended attempt left in KYOYO_OUTPUT_DIR, and what in its working folder matches a pattern.

        Regular files of its own only, no link is followed, and only so many. `Forgotten`.
        """

    async def read_output(self, ref: Ref, desk: Desk, path: str, offset: int, limit: int) -> bytes:
        """A piece of such a file; empty at its end, and where it is no longer such a file. `Forgotten`."""

    async def drop_inputs(self, desk: Desk) -> None:
        """Remove what was brought: it has been read, or will never be."""


MAILBOX = "qpu"
"""The folder below the working folder that is KYOYO_QPU_DIR: `call-N.json` comes in, `call-N.result.json` goes back."""


def call_file(number: int) -> str:
    """Where a running job leaves its call number N: 1, 2, …"""
    return f"{MAILBOX}/call-{number}.json"


def answer_file(number: int) -> str:
    """Where it finds what came of that."""
    return f"call-{number}.result.json"


@runtime_checkable
class Mailbox(Protocol):
    """Calls that a running attempt makes, and their answers. A backend that has Feature.CALLS implements this.

    The folder is the job's own: what is in it is a stranger's, and no link in it is followed, reading or writing.
    """

    async def read_call(self, ref: Ref, desk: Desk, number: int, limit: int) -> bytes:
        """Call number N, at most `limit` bytes of it; empty: there is none (yet). `Forgotten`."""

    async def answer_call(self, ref: Ref, desk: Desk, number: int, content: bytes) -> None:
        """Leave its answer: whole or not there. Again: harmless. Nothing where the job has removed its mailbox.

        `Forgotten`, also where the job has closed its mailbox (chmod): its own fault, and nothing to report of the
        machine; `Unavailable`: it could not be written.
        """
