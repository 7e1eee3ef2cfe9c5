"""The machine's door: one at a time, across threads and processes."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpc_adapters.confined import folder
from hpc_adapters.errors import Rejected, Unavailable

_TENANT = ".tenant"


@contextmanager
def admission(root: Path, *, patience_s: float = 10.0) -> Iterator[None]:
    """Whoever is inside may count the bookings and add one. `Unavailable`: somebody stands in the door for too long."""
    fd = os.open(root / ".admission.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(fd, patience_s)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, patience_s: float) -> None:
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # A stopped process (SIGSTOP) may hold it: waiting without end would stop us with it.
            if time.monotonic() > until:
                raise Unavailable("admission-locked", maybe_done=False) from None
            time.sleep(0.002)
        else:
            return


def admit_tenant(root: Path, tenant: str) -> None:
    """Where there are no walls, the first organisation has the machine for good. Only inside `admission`."""
    marker = root / _TENANT
    if not marker.exists():
        folder.write_bytes(str(root), _TENANT, tenant.encode())
    if marker.read_text() != tenant:
        raise Rejected("single-tenant-backend")
