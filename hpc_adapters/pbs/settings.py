"""What an operator says of a PBS site."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class PbsSettings:
    """One queue of one PBS server, as one backend.

    `run_as` runs a command as a Unix user: {user} stands for the name, the command follows. `select` is the chunk
    statement of qsub; {nodes}, {cpus}, {gpus} and {memory_mb} (the last three for each node) may stand in it. A site
    that sells whole nodes by queue, as ABCI 3.0 does, has "{nodes}" and says in `gpus_per_node` what that means.
    """

    name: str
    server: str
    queue: str
    folder: Path
    """Shared by the nodes and by us: an attempt's files are in <folder>/<user>/<attempt id>."""
    accounting_folder: Path
    """The server's daily accounting logs, or a copy that is kept up to date: files named YYYYMMDD."""
    zone: ZoneInfo
    """Of the server's clock: qstat prints local times."""
    run_as: tuple[str, ...] = ("sudo", "-n", "-H", "-u", "{user}", "--")
    service_user: str = "kyoyo"
    """Who asks for the state of everybody's jobs; needs query_other_jobs, or to be a PBS operator."""
    bin_folder: Path | None = None
    select: str = "{nodes}:ncpus={cpus}:ngpus={gpus}:mem={memory_mb}mb"
    project_option: str = "-P"
    """The option that takes the account; ABCI 3.0 and PBS Professional: -P, others -A."""
    gpus_per_node: int = 0
    domestic: bool = False
    """Its machines and file systems stand in Japan."""
    chunk_label: tuple[str, str] | None = None
    """Resource and value that mark this queue's nodes; None: every node serves it."""
    look_ahead: int = 2
    max_walltime_s: int | None = None
    call_timeout_s: float = 20
    settle_window_s: float = 30
    accounting_lag_s: float = 300

    def command(self, name: str) -> str:
        """Where one of PBS's commands is."""
        return str(self.bin_folder / name) if self.bin_folder else name
