"""What an attempt is called at a site, and where it lives on the site's shared folder. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from hpc_adapters.contract import JobRequest

_NAME: Final = re.compile(r"ky-([0-9a-f]{32})")
_NATIVE: Final = re.compile(r"([1-9]\d{0,9}):([a-z_][a-z0-9_-]{0,31})")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

STDOUT, STDERR, RESULT = "stdout", "stderr", "result.json"


@dataclass(frozen=True, slots=True)
class Native:
    """What our `native_id` says."""

    job_id: int
    user: str

    def __str__(self) -> str:
        return f"{self.job_id}:{self.user}"


def native(text: str) -> Native | None:
    """None: not one of ours."""
    match = _NATIVE.fullmatch(text)
    return Native(int(match[1]), match[2]) if match else None


def job_name(attempt_id: UUID) -> str:
    """Name and comment of an attempt's job."""
    return f"ky-{attempt_id.hex}"


@dataclass(frozen=True, slots=True)
class Places:
    """Paths of one attempt. All are of plain characters."""

    folder: Path
    user: str
    attempt_id: UUID
    job_id: UUID

    @classmethod
    def of(cls, request: JobRequest, folder: Path, user: str) -> Places:
        return cls(folder, user, request.attempt_id, request.job_id or request.attempt_id)

    @property
    def work(self) -> Path:
        """The working folder: one for each attempt, the user's own."""
        return work_of(self.folder, self.user, self.attempt_id)

    @property
    def checkpoint(self) -> Path:
        """What the attempts of a job hand on."""
        return self.folder / self.user / "jobs" / str(self.job_id) / "checkpoint"


def work_of(folder: Path, user: str, attempt_id: UUID) -> Path:
    """The working folder of an attempt."""
    return folder / user / str(attempt_id)


def inputs_of(folder: Path, user: str, attempt_id: UUID) -> Path:
    """Where the inputs of an attempt are brought: beside its working folder, and ours."""
    return folder / user / f"{attempt_id}.input"


def attempt_in_path(folder: Path, user: str, path: str) -> UUID | None:
    """The attempt whose working folder of this user a path is, or lies in."""
    inside = path.removeprefix(f"{folder}/{user}/")
    found = _UUID.match(inside) if inside != path else None
    if found is None or inside[found.end() : found.end() + 1] not in {"", "/"}:
        return None
    return UUID(found.group())


def attempt_in_name(name: str) -> UUID | None:
    """The attempt that a job's name or comment claims to be. Its owner may have written it."""
    match = _NAME.fullmatch(name)
    return UUID(match[1]) if match else None
