"""The process that stays with a run from its start gate to its end record. Standard library only, quick to start.

Detached from the server, so that a restart of the server does not touch the job; but when the supervisor itself is
killed, the job dies with it (bubblewrap's --die-with-parent), because a job without walltime is worse than a lost one.
"""

from __future__ import annotations

import ctypes
import os
import sys

from hpc_adapters.confined import folder, vanished
from hpc_adapters.confined.supervision import Supervision

_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Take the lock of the run's folder, detach, supervise. Ends at once when another one lives."""
    place = sys.argv[1]
    lock = folder.acquire(place, folder.SUPERVISOR)
    if lock is None or folder.exists(place, folder.END):
        return
    if os.fork():
        os._exit(0)  # whoever started us may go on: the lock is held by the child
    os.chdir("/")
    supervise(place, lock)


def supervise(place: str, lock: int) -> None:
    """One run, from the gate to the end record."""
    request = folder.read_json(place, folder.REQUEST)
    assert request is not None, "the folder appears complete or not at all"
    if not folder.pass_gate(place):
        vanished.bury(place, request["attempt_id"], now_us=folder.utc_us())
        return
    if folder.exists(place, folder.CANCEL):
        folder.take(place, folder.SECRETS)
        end = {"started_us": None, "ended_us": folder.utc_us(), "ending": "cancelled", "detail": "before-start"}
        folder.write_json(place, folder.END, end)
        return
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans of the job come to us, not to init
    Supervision(place, request, lock).run()
