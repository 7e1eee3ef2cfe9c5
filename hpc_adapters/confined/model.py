"""What is asked of a confined run, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from uuid import UUID

from hpc_adapters.contract import Seen, Signal


@dataclass(frozen=True, slots=True)
class FilePath:
    """In an argv: the path under which the run sees one of its own `files`."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """One run. The program starts in an empty working folder, sees `files` read-only, and has no network by default.

    `facts` are the caller's own (JSON values); they are kept with the run and come back in its state.
    """

    attempt_id: UUID
    tenant: str
    argv: Sequence[str | FilePath]
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Name (one path component) to content. All are executable."""
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further variables, which are in no file and no command line once the program runs."""
    lineage: UUID | None = None
    """Runs of one lineage share a folder that they may write, and a user id; None: this run has no such folder."""
    folders: Sequence[str] = ()
    """Names of empty folders in the working folder."""
    inputs: Path | None = None
    """A folder that the run sees, read-only, as `input` in its working folder; one of `folders` then."""
    signal: Signal | None = None
    """A warning, to the processes that wait for it."""
    walltime_s: float
    memory_mb: int
    cpus: int = 1
    read_only: Sequence[Path] = ()
    """Further paths that the run may read, at the same place. Their `bin` folders lead its PATH."""
    network: bool = False
    stdout_cap_bytes: int = 16 * 2**20
    """Of stdout and of stderr, each."""
    result_cap_bytes: int = 2**20
    grace_s: float = 10.0
    """Between SIGTERM and SIGKILL."""
    processes: int = 512
    """Processes and threads at one time."""
    disk_mb: int = 20_480
    """In the working folder, together."""
    facts: Mapping[str, object] = field(default_factory=dict)


class Phase(StrEnum):
    """How far a run has come."""

    STARTING = "starting"
    """Accepted; its program has not started."""
    RUNNING = "running"
    """Its program has started."""
    ENDED = "ended"
    """Nothing of it runs any more, and its supervisor has written down how it ended."""
    VANISHED = "vanished"
    """Its supervisor died behind the start gate (kill -9, power loss); its program died with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What is known of a run now. Ended and vanished runs never change again.

    `started_at` None in an ended run: its program never started. `ended_at` - `started_at` was measured with a
    monotonic clock. `ended_at` of a vanished run is its supervisor's last heartbeat.
    """

    attempt_id: UUID
    tenant: str
    phase: Phase
    accepted_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    ending: Seen | None = None
    """Set with `ended_at`."""
    detail: str = ""
    """Short machine word: 'supervisor-vanished', 'sandbox-failed', 'disk-limit'; empty mostly."""
    cpu_used_s: float | None = None
    peak_memory_mb: float | None = None
    measured_by: str = ""
    """Where the two figures come from: 'cgroup', or 'process' (waited-for processes; sampled memory)."""
    truncated: frozenset[str] = frozenset()
    """Streams ('stdout', 'stderr') that lost bytes to their cap, and 'result' when one was there but not usable."""
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.phase in {Phase.ENDED, Phase.VANISHED}
