"""PBS's job states, substates and exit codes in our words. Total: every value of the table, and UNKNOWN for the rest.

Sources: states: pbs_job_attributes(7B) of OpenPBS; substates 91 to 94 and the negative exit codes: src/include/job.h
of OpenPBS; positive ones: "Job Exit Status Codes" of the PBS Professional Administrator's Guide (256 + n: signal n).
"""

from __future__ import annotations

from collections.abc import Mapping

from hpc_adapters.contract import Seen
from hpc_adapters.pbs.parsing import Job, Unreadable, seconds

TERMINATED = 91
"""Substate of a finished job that qdel ended."""
BY_SIGNAL = 256
"""Exit codes from here on: ended by the signal of the rest."""
BY_SIGNAL_IN_SHELL = 128
SIGTERM = 15
"""POSIX, XBD <signal.h> and kill(1)."""

STATES: Mapping[str, tuple[Seen, str]] = {
    "Q": (Seen.WAITING, ""),
    "T": (Seen.WAITING, "in-transit"),
    "W": (Seen.WAITING, "start-time"),
    "H": (Seen.WAITING, "held"),
    "R": (Seen.RUNNING, ""),
    "E": (Seen.RUNNING, "exiting"),  # its processes have ended; what it leaves is still on its way
    "S": (Seen.RUNNING, "suspended"),
    "U": (Seen.RUNNING, "suspended-for-owner"),
    "B": (Seen.UNKNOWN, "array"),  # we send no arrays
    "X": (Seen.UNKNOWN, "subjob-ended"),
    "M": (Seen.UNKNOWN, "moved-to-another-server"),
}
"""Every state but F, which only its exit code explains."""

NOT_RUN: Mapping[int, tuple[Seen, str]] = {
    -1: (Seen.NODE_FAILED, "exec-failed-before-files"),
    -2: (Seen.NODE_FAILED, "exec-failed-after-files"),
    -3: (Seen.NODE_FAILED, "exec-failed-retry"),
    -4: (Seen.NODE_FAILED, "mom-restarted"),
    -5: (Seen.NODE_FAILED, "mom-restarted"),
    -6: (Seen.NODE_FAILED, "mom-restarted"),
    -7: (Seen.NODE_FAILED, "restart-failed"),
    -10: (Seen.NODE_FAILED, "bad-uid"),
    -11: (Seen.NODE_FAILED, "rerun"),
    -12: (Seen.NODE_FAILED, "checkpointed"),
    -13: (Seen.NODE_FAILED, "bad-password"),
    -14: (Seen.NODE_FAILED, "sister-node-failed"),
    -15: (Seen.NODE_FAILED, "requeued-from-checkpoint"),
    -16: (Seen.NODE_FAILED, "hook-rejected"),
    -17: (Seen.NODE_FAILED, "hook-rejected"),
    -18: (Seen.NODE_FAILED, "hook-rerun"),
    -19: (Seen.NODE_FAILED, "hook-deleted"),
    -20: (Seen.NODE_FAILED, "node-lost"),
    -21: (Seen.NODE_FAILED, "node-insecure"),
    -22: (Seen.NODE_FAILED, "hook-error"),
    -23: (Seen.NODE_FAILED, "no-credential"),
    -24: (Seen.FAILED, "cpus-exceeded"),
    -25: (Seen.FAILED, "cpus-exceeded"),
    -26: (Seen.OUT_OF_MEMORY, ""),
    -27: (Seen.OUT_OF_MEMORY, ""),
    -28: (Seen.FAILED, "cpu-time-exceeded"),
    -29: (Seen.TIMED_OUT, ""),
    -30: (Seen.NODE_FAILED, "join-failed"),
    -31: (Seen.OUT_OF_MEMORY, "huge-pages"),
    -32: (Seen.NODE_FAILED, "zombie-rerun"),
}
"""Exit codes that PBS gives itself. What the site is to blame for is NODE_FAILED: nobody pays for it."""


def seen(job: Job) -> tuple[Seen, str]:
    """Our word for what PBS says of a job, and a machine word of detail."""
    if job.state != "F":
        return STATES.get(job.state, (Seen.UNKNOWN, "unknown-state"))
    if job.exit_status is None:
        # History without an exit code: deleted before it ever ran.
        return (Seen.CANCELLED, "deleted-in-queue") if job.started_at is None else (Seen.UNKNOWN, "no-exit-status")
    return ending(
        job.exit_status,
        deleted=job.substate == TERMINATED,
        used_up_walltime=used_up(job.used.get("walltime"), job.requested.get("walltime")),
    )


def ending(exit_status: int, *, deleted: bool, used_up_walltime: bool) -> tuple[Seen, str]:
    """What an exit code means. deleted: qdel ended it; used_up_walltime: it ran as long as it was allowed to."""
    if exit_status == 0:
        return Seen.SUCCEEDED, ""
    if exit_status < 0:
        return NOT_RUN.get(exit_status, (Seen.UNKNOWN, "unknown-exit-status"))
    if deleted:
        return Seen.CANCELLED, ""
    if exit_status >= BY_SIGNAL and used_up_walltime:
        return Seen.TIMED_OUT, ""
    if exit_status == BY_SIGNAL + SIGTERM:
        # The signal of qdel; finished history may have lost the substate.
        return Seen.CANCELLED, "terminated"
    return Seen.FAILED, ""


def exit_code(exit_status: int | None) -> int | None:
    """As a shell would tell it: 0–255, 128 + n for signal n. None: there is none that a program gave."""
    if exit_status is None or exit_status < 0:
        return None
    return BY_SIGNAL_IN_SHELL + exit_status - BY_SIGNAL if exit_status >= BY_SIGNAL else exit_status


def used_up(used: str | None, allowed: str | None) -> bool:
    """Whether a job ran for all the time that it had. Durations as PBS prints them."""
    if used is None or allowed is None:
        return False
    try:
        return seconds(used) >= seconds(allowed)
    except Unreadable:
        return False
