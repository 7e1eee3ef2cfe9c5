"""The process tree below one process, seen from outside its PID namespace."""

from __future__ import annotations

import contextlib
import os
import signal

_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


def descendants(ancestor: int) -> list[int]:
    """Every process below `ancestor`, parents first."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  the supervisor does not load pathlib
        if name.isdigit() and (parent := _parent(int(name))) is not None:
            children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    pending = [ancestor]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found


def _parent(pid: int) -> int | None:
    content = _read(pid, "stat")
    return int(content.rpartition(b")")[2].split()[1]) if content else None


def _read(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:  # noqa: PTH123  the supervisor does not load pathlib
            return file.read()
    except OSError:
        return b""  # it has ended


def signal_all(pids: list[int], number: signal.Signals, *, below: int) -> None:
    """Signal each of `pids` that is still below `below`: a number that was reused in between is left alone."""
    pinned = [(pid, fd) for pid in pids if (fd := _pin(pid)) is not None]
    still = set(descendants(below))
    for pid, fd in pinned:
        try:
            if pid in still:
                signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(fd)


def listening(pids: list[int], number: signal.Signals) -> list[int]:
    """Those that catch a signal or wait for it: others, such as a shell in between, would die of it."""
    bit = 1 << (number - 1)
    return [pid for pid in pids if _handled(pid) & bit]


def _handled(pid: int) -> int:
    """Mask of the signals that a process catches or blocks."""
    mask = 0
    for line in _read(pid, "status").splitlines():
        if line.startswith((b"SigCgt:", b"SigBlk:")):
            mask |= int(line.split()[1], 16)
    return mask


def _pin(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def of_run(*, work: str, mark: str) -> list[int]:
    """Every process of a run on this machine: its sandbox (which binds its `work`), and what has its mark."""
    binds, marks = b"\0" + work.encode() + b"\0", mark.encode()
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208  the supervisor does not load pathlib
        if name.isdigit():
            line = _read(int(name), "cmdline")
            if (line.startswith(b"bwrap\0") and binds in line) or marks in _read(int(name), "environ").split(b"\0"):
                found.append(int(name))
    return found


def send(pid: int, number: signal.Signals) -> None:
    """A signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def memory_mb(pids: list[int], *, suspect_mb: int) -> int:
    """Memory of these processes together.

    The cheap sum of resident sizes counts shared pages once for each process; only when it exceeds `suspect_mb` is
    the proportional size, which counts them once, worth its cost.
    """
    resident = sum(_resident_kb(pid) for pid in pids) // 1024
    if resident <= suspect_mb:
        return resident
    return sum(_proportional_kb(pid) for pid in pids) // 1024


def _resident_kb(pid: int) -> int:
    fields = _read(pid, "statm").split()
    return int(fields[1]) * _PAGE_KB if fields else 0


def _proportional_kb(pid: int) -> int:
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1])
    return 0
