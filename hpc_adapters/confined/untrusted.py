"""Reading what a job has left behind: it may be a link, a pipe, a device or a terabyte of nothing."""

from __future__ import annotations

import os
import stat


def open_regular(folder: str, name: str) -> int | None:
    """A read descriptor of the regular file `name` directly in `folder`. None: absent, or anything else."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fd = os.open(name, flags, dir_fd=folder_fd)
    except OSError:
        return None
    finally:
        os.close(folder_fd)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def read_regular(folder: str, name: str, *, cap_bytes: int) -> bytes | None:
    """The whole file. None: absent, not a regular file, or larger than the cap."""
    fd = open_regular(folder, name)
    if fd is None:
        return None
    with os.fdopen(fd, "rb") as file:
        if os.fstat(fd).st_size > cap_bytes:
            return None
        content = file.read(cap_bytes + 1)
    return content if len(content) <= cap_bytes else None


def disk_used_mb(folder: str, *, stop_mb: int, entries: int = 500_000) -> int:
    """Space taken below `folder`, counted until it exceeds `stop_mb`.

    What cannot be counted (absurd depth or number) counts as too much. Links are not followed.
    """
    blocks, pending, seen = 0, [folder], 0
    while pending:
        try:
            with os.scandir(pending.pop()) as entries_here:
                for entry in entries_here:
                    seen += 1
                    blocks += entry.stat(follow_symlinks=False).st_blocks
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except FileNotFoundError:
            continue  # the job removed it in between
        except OSError:
            return stop_mb + 1  # too deep to be named
        if blocks // 2048 > stop_mb or seen > entries:
            return stop_mb + 1
    return blocks // 2048
