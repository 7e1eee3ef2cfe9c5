"""The files of attempts on a file system of ours: inputs brought aside, outputs read out of strangers' hands.

Inputs lie in a folder that only we may write, beside the attempt's own: `<place>.new` while they come, then `<place>`
in one rename. The job sees them and cannot change them, so nothing that it, or another of its user, puts in the way is
ever written through. Outputs are reached folder by folder, without following a link, and must be regular files of the
job's own.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import shutil
import stat
from collections.abc import AsyncIterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hpc_adapters.errors import Unavailable
from hpc_adapters.filenames import matches, problem_of
from hpc_adapters.job_files import OutputFile, Outputs

OUTPUT: Final = "output"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """How much of what a job left is looked at."""

    files: int = 1_000
    entries: int = 100_000
    depth: int = 32
    passed_over: int = 200


CAPS: Final = Caps()


class Inputs:
    """The inputs of one attempt, at `place`; `mode` says who may enter it. Whoever enters can read."""

    def __init__(self, place: Path, *, mode: int = 0o755) -> None:
        self._place, self._mode = place, mode
        self._new = place.with_name(f"{place.name}.new")

    async def put(self, name: str, pieces: AsyncIterable[bytes], *, size: int) -> None:
        """See `job_files.Files.put_input`. ValueError: not a name; whoever let it come this far is wrong."""
        if problem_of(name) is not None:
            raise ValueError(f"not a file name: {name!r}")
        if await asyncio.to_thread(self._has, name, size):
            return
        aside = await asyncio.to_thread(self._open, name)
        try:
            async for piece in pieces:
                await asyncio.to_thread(_write, aside, piece)
            await asyncio.to_thread(self._keep, aside, name, size)
        finally:
            os.close(aside)

    def seal(self, sizes: Mapping[str, int]) -> None:
        """See `job_files.Files.seal_inputs`."""
        with _told():
            if self._place.is_dir():
                return
            for name, size in sizes.items():
                if not self._has(name, size):
                    raise Unavailable("input-not-there", maybe_done=False)
            self._new.chmod(self._mode)
            self._new.rename(self._place)
            _sync(self._place.parent)

    def is_there(self) -> bool:
        """Whether all were brought."""
        return self._place.is_dir()

    def drop(self) -> None:
        """Remove all of them."""
        for place in (self._new, self._place):
            shutil.rmtree(place, ignore_errors=True)

    def _has(self, name: str, size: int) -> bool:
        for home in (self._place, self._new):
            with suppress(OSError):
                found = (home / name).lstat()
                if stat.S_ISREG(found.st_mode) and found.st_size == size:
                    return True
        return False

    def _open(self, name: str) -> int:
        with _told():
            self._new.mkdir(mode=0o755, exist_ok=True)
            home = (self._new / name).parent
            home.mkdir(mode=0o755, parents=True, exist_ok=True)
            aside = self._aside(name)
            return os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o444)

    def _keep(self, fd: int, name: str, size: int) -> None:
        with _told():
            if os.fstat(fd).st_size != size:
                raise Unavailable("input-cut-short", maybe_done=False)
            os.fchmod(fd, 0o444)
            os.fsync(fd)
            self._aside(name).rename(self._new / name)

    def _aside(self, name: str) -> Path:
        path = self._new / name
        return path.with_name(f".{path.name}.part")


def collected(work: int, patterns: Sequence[str], *, owner: int | None, caps: Caps = CAPS) -> Outputs:
    """What lies below a working folder (a descriptor) and is to be kept. owner: whose files they must be."""
    walk = _Walk(owner, caps)
    files: dict[str, OutputFile] = {}
    for path, size in walk.regular(work):
        inside = path.startswith(f"{OUTPUT}/")
        if not inside and not any(matches(pattern, path) for pattern in patterns):
            continue
        name = path.removeprefix(f"{OUTPUT}/") if inside else path
        if problem_of(name) is not None:
            walk.pass_over(path, "name")
        elif name in files:
            walk.pass_over(path, "name-taken")
        elif len(files) >= caps.files:
            walk.pass_over(path, "too-many")
        else:
            files[name] = OutputFile(path, name, size)
    wanted = [(path, why) for path, why in walk.passed_over if _is_wanted(path, patterns)]
    return Outputs(tuple(files.values()), tuple(wanted[: caps.passed_over]))


def _is_wanted(path: str, patterns: Sequence[str]) -> bool:
    return path.startswith(f"{OUTPUT}/") or any(matches(pattern, path) for pattern in patterns)


class _Walk:
    """Everything below a folder, by descriptors. What the job does meanwhile can at worst hide a file of its own."""

    def __init__(self, owner: int | None, caps: Caps) -> None:
        self._owner, self._caps = owner, caps
        self._seen = 0
        self.passed_over: list[tuple[str, str]] = []

    def pass_over(self, path: str, why: str) -> None:
        if len(self.passed_over) < self._caps.passed_over * 10:
            self.passed_over.append((path.encode("utf-8", "replace").decode(), why))

    def regular(self, work: int) -> Iterator[tuple[str, int]]:
        yield from self._below(work, "", 0)

    def _below(self, folder: int, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
        for name in sorted(os.listdir(folder), key=lambda each: (each != OUTPUT or bool(prefix), each)):
            self._seen += 1
            if self._seen > self._caps.entries:
                self.pass_over(f"{prefix}{name}", "too-many")
                return
            path = f"{prefix}{name}"
            try:
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(found.st_mode):
                yield from self._inner(folder, name, path, depth)
            elif not stat.S_ISREG(found.st_mode) or (self._owner is not None and found.st_uid != self._owner):
                self.pass_over(path, "not-a-file")
            else:
                yield path, found.st_size

    def _inner(self, folder: int, name: str, path: str, depth: int) -> Iterator[tuple[str, int]]:
        if depth >= self._caps.depth:
            self.pass_over(f"{path}/", "too-deep")
            return
        try:
            inner = os.open(name, _DIRECTORY, dir_fd=folder)
        except OSError:
            return
        try:
            yield from self._below(inner, f"{path}/", depth + 1)
        finally:
            os.close(inner)


def read_piece(work: int, path: str, offset: int, limit: int, *, owner: int | None) -> bytes:
    """A piece of a regular file below a working folder; empty where there is none."""
    if problem_of(path) is not None:
        return b""
    *folders, name = path.split("/")
    fds = [os.dup(work)]
    try:
        for folder in folders:
            fds.append(os.open(folder, _DIRECTORY, dir_fd=fds[-1]))
        fds.append(os.open(name, _FILE, dir_fd=fds[-1]))
        found = os.fstat(fds[-1])
        if not stat.S_ISREG(found.st_mode) or (owner is not None and found.st_uid != owner):
            return b""
        return os.pread(fds[-1], limit, offset)
    except OSError:
        return b""
    finally:
        for fd in fds:
            os.close(fd)


def left_in(work: int, folder: str, name: str, content: bytes) -> bool:
    """Leave a file for a running job, in a folder of its own below its working folder: whole or not at all.

    That folder is reached without following a link, the file is made anew under a name that nobody can foresee, and
    renamed: whatever the job has put in the way is replaced, never written through. Nothing where there is no such
    folder. False: the job itself has closed the folder; it may be tried again. Unavailable.
    """
    try:
        home = os.open(folder, _DIRECTORY, dir_fd=work)
    except OSError as gone:
        if gone.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return True
        if gone.errno == errno.EACCES and _is_closed(work, folder):
            return False
        raise Unavailable(f"os-error-{gone.errno}", maybe_done=False) from gone
    try:
        _put_into(home, name, content)
    except Unavailable:
        if _is_closed(work, folder):
            return False
        raise
    finally:
        os.close(home)
    return True


def _put_into(home: int, name: str, content: bytes) -> None:
    """Unavailable."""
    aside = f".{secrets.token_hex(16)}"
    with _told():
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=home)
    try:
        _write(fd, content)
        with _told():
            os.fchmod(fd, 0o644)
    except Unavailable:  # it is tried again and again: no piece of it may stay each time
        _unlinked(home, aside)
        raise
    finally:
        os.close(fd)
    _named(home, aside, name)


def _is_closed(work: int, folder: str) -> bool:
    """Whether its owner has taken a right on it from itself: what we may not do there is then no fault of ours."""
    try:
        mode = os.stat(folder, dir_fd=work, follow_symlinks=False).st_mode
    except OSError:
        return False
    return stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU


def _named(home: int, aside: str, name: str) -> None:
    """IsADirectory: the job has made a folder of that name, and so does not want its answer."""
    try:
        os.rename(aside, name, src_dir_fd=home, dst_dir_fd=home)
    except OSError:
        _unlinked(home, aside)


def _unlinked(home: int, name: str) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=home)


def _write(fd: int, piece: bytes) -> None:
    rest = memoryview(piece)
    with _told():
        while rest:
            rest = rest[os.write(fd, rest) :]


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise Unavailable("disk-full" if full else f"os-error-{error.errno}", maybe_done=False) from error
