"""The folder of one run: which files it has, how they are written, who holds its life.

Used by the server and by the supervisor, which must start in milliseconds: no heavy import here. The folder is
readable and writable by the server's user only; the job gets `work` and `files` through its mount namespace.

    request.json    what was asked; the folder appears in one rename, complete, so its existence is the acceptance
    secrets         variables for the program only; removed before it starts
    marks           by which they are known again in what the job prints
    files/          the run's read-only files and `.start`, the first program inside the sandbox
    work/           the job's working folder, owned by the job's user id
    alive.lock      two locks, held for life by the supervisor and by the sandbox; its mtime is the heartbeat
    gate/           made once: whoever makes it may start the job
    started.json    written before the job starts
    cancel          exists when somebody wishes the end
    stdout, stderr  what the job printed, up to the cap
    result.json     copied from `work` after the end, checked and bounded
    end.json        how it ended; written once, last
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import time
from typing import Any

REQUEST, STARTED, END, CANCEL, GATE, LOCK = "request.json", "started.json", "end.json", "cancel", "gate", "alive.lock"
FILES, WORK, START, SECRETS, MARKS = "files", "work", ".start", "secrets", "marks"
STDOUT, STDERR, RESULT = "stdout", "stderr", "result.json"
VANISHED = "supervisor-vanished"
SUPERVISOR, SANDBOX = 0, 1  # who holds which byte of the lock file

_FLOCK = "hhqqi4x"  # struct flock on 64-bit Linux

Json = dict[str, Any]


def utc_us() -> int:
    """Microseconds since 1970 in UTC. Only the supervisor calls it: it is a process of its own, hence an edge."""
    return time.time_ns() // 1000


def path(folder: str, name: str) -> str:
    """Of one file in the folder."""
    return os.path.join(folder, name)  # noqa: PTH118  pathlib costs the supervisor a third of its start


def read_json(folder: str, name: str) -> Json | None:
    """None: not written (yet)."""
    content = read_bytes(folder, name)
    if content is None:
        return None
    told: Json = json.loads(content)
    return told


def read_bytes(folder: str, name: str) -> bytes | None:
    """None: not written (yet)."""
    try:
        fd = os.open(path(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        return file.read()


def write_json(folder: str, name: str, content: Json) -> None:
    """Durable when it returns; a reader sees all of it or nothing."""
    write_bytes(folder, name, json.dumps(content, separators=(",", ":")).encode())


def write_bytes(folder: str, name: str, content: bytes, mode: int = 0o600) -> None:
    """Durable when it returns; a reader sees all of it or nothing."""
    temporary = path(folder, f".{name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path(folder, name))  # noqa: PTH104  see `path`
    sync(folder)


def take(folder: str, name: str) -> bytes | None:
    """The content of a file that is gone for good when this returns. None: there was none."""
    try:
        fd = os.open(path(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        content = file.read()
    os.unlink(path(folder, name))  # noqa: PTH108  see `path`
    sync(folder)
    return content


def sync(folder: str) -> None:
    """Make the folder's own entries durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def exists(folder: str, name: str) -> bool:
    """Whether the folder has it."""
    return os.path.lexists(path(folder, name))


def pass_gate(folder: str) -> bool:
    """True for one caller in the life of the run, durably. Only with the lock in hand."""
    try:
        os.mkdir(path(folder, GATE), 0o700)  # noqa: PTH102  see `path`
    except FileExistsError:
        return False
    sync(folder)
    return True


def acquire(folder: str, who: int) -> int | None:
    """The descriptor of a lock; None: it is held. A lock is the open file's: children that inherit it hold it, too."""
    fd = os.open(path(folder, LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _lock(who))
    except (BlockingIOError, PermissionError):
        os.close(fd)
        return None
    return fd


def is_alive(folder: str, who: int) -> bool:
    """Whether a lock is held. Asks without taking it, so asking never disturbs a start."""
    try:
        fd = os.open(path(folder, LOCK), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _lock(who))
    finally:
        os.close(fd)
    held: bool = struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK
    return held


def _lock(who: int) -> bytes:
    return struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, who, 1, 0)
