"""What is left of a run whose supervisor died behind the gate: end it for certain, then write its end down.

bubblewrap dies with its parent, but not in the first milliseconds of its life, before it has asked the kernel for that.
A supervisor killed just then leaves a sandbox that nobody watches; it holds the sandbox's lock, so it is noticed here.
"""

from __future__ import annotations

import os
import signal
import time

from hpc_adapters.confined import cgroup, folder, processes

_PATIENCE_S = 0.5


def bury(place: str, attempt_id: str, *, now_us: int) -> bool:
    """Only with the supervisor's lock in hand. False: something of the run still lives; try again.

    The best known end is the last heartbeat: never in the future, never before the start.
    """
    if folder.exists(place, folder.END):
        return True
    until = time.monotonic() + _PATIENCE_S
    while _kill(place, attempt_id) or folder.is_alive(place, folder.SANDBOX):
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    cgroup.find(attempt_id).remove()
    _write_end(place, now_us)
    return True


def _kill(place: str, attempt_id: str) -> bool:
    """Whether there was anything to kill."""
    found = processes.of_run(work=folder.path(place, folder.WORK), mark=f"KYOYO_ATTEMPT_ID={attempt_id}")
    for pid in found:
        processes.send(pid, signal.SIGKILL)
    return bool(found)


def _write_end(place: str, now_us: int) -> None:
    folder.take(place, folder.SECRETS)
    started = folder.read_json(place, folder.STARTED)
    started_us = None if started is None else int(started["started_us"])
    heartbeat_us = os.stat(folder.path(place, folder.LOCK)).st_mtime_ns // 1000  # noqa: PTH116  no pathlib here
    ended_us = max(min(heartbeat_us, now_us), started_us or 0)
    end = {"started_us": started_us, "ended_us": ended_us, "ending": "node_failed", "detail": folder.VANISHED}
    folder.write_json(place, folder.END, end)
