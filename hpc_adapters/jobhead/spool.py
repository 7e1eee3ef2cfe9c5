"""The shared folder: working folders made before a submission, and what jobs left in them read back.

    folder/                        ours
      <user>/                      ours; the user may go through it
        <attempt id>/              the user's own: gate/, {started,end,result,gpu}.json, script, stdout, stderr
        <attempt id>.note          ours: why we ended a copy of it by ourselves
        <attempt id>.marks         ours: by which its secrets are known again in its streams
        jobs/<job id>/checkpoint/  the user's own, shared by the attempts of a job

All that lies in a working folder was put there by the user or may be: it is read through descriptors of our own
folders, never through a link, only from regular files of the user's own, and never more than the cap.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from hpc_adapters.errors import Rejected
from hpc_adapters.jobhead.places import Places
from hpc_adapters.masking import Read

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FIRST_ORDINARY_UID: Final = 1000
_FACTS_CAP_BYTES: Final = 65_536
FOLDER_AWAY: Final = "folder-unavailable"
"""What is told when the shared folder does not answer."""
SECRETS: Final = ".secrets"
SAMPLER: Final = ".sampler.py"


@dataclass(frozen=True, slots=True)
class Start:
    """Who passed the gate, as the head of the job wrote it down: Slurm's id, its restart count and its start."""

    job_id: int
    restart: int
    start_s: int | None


@dataclass(frozen=True, slots=True)
class End:
    """How the program ended, as the head wrote it down. `head`: the program had not run."""

    exit_code: int
    by_itself: bool
    head: bool
    at_s: int | None = None
    """When, by the node's clock; None: not written down."""


class Spool:
    """Blocking: call it from a thread. OSError where the shared folder does not answer."""

    def __init__(self, folder: Path, *, uids: Mapping[str, int], group_id: int | None = None) -> None:
        self._folder, self._uids, self._group_id = folder, uids, group_id

    def require_usable(self) -> None:
        """OSError: it is not there, or others may write in it."""
        status = self._folder.stat()
        if not stat.S_ISDIR(status.st_mode) or status.st_mode & stat.S_IWOTH:
            raise PermissionError(f"{self._folder}: not a folder, or everybody may write in it")
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{self._folder}: we may not write in it")

    def ids_of(self, user: str) -> tuple[int, int]:
        """User and group id. Rejected: there is no such ordinary user."""
        uid = self._uids.get(user)
        gid = uid
        if uid is None:
            try:
                entry = pwd.getpwnam(user)
            except KeyError:
                raise Rejected("unknown-user", user=user) from None
            uid, gid = entry.pw_uid, entry.pw_gid
        if uid < _FIRST_ORDINARY_UID and uid != os.geteuid():
            raise Rejected("unknown-user", user=user)
        return uid, gid if gid is not None else uid

    def prepare(self, places: Places, *, secrets: bytes, sampler: bytes) -> bool:
        """Make the working folder, whole or not at all. False: it is there already. Rejected, OSError."""
        uid, gid = self.ids_of(places.user)
        if places.work.is_dir():
            return False
        self._make_ours(places.work.parent, gid)
        self._make_ours(places.checkpoint.parent.parent, gid)
        self._make_ours(places.checkpoint.parent, gid)
        with suppress(FileExistsError):
            places.checkpoint.mkdir(mode=0o700)
            self._give(places.checkpoint, uid, gid)
        staging = Path(tempfile.mkdtemp(dir=places.work.parent, prefix=".new-"))
        try:
            for name, content in ((SECRETS, secrets), (SAMPLER, sampler)):
                if content:
                    _write(staging / name, content, uid, gid)
            self._give(staging, uid, gid)
            return _publish(staging, places.work)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def make_home(self, user: str) -> None:
        """The folder of ours that one user's working folders lie in. Rejected, OSError."""
        _, gid = self.ids_of(user)
        self._make_ours(self._folder / user, gid)

    @contextmanager
    def work(self, user: str, attempt_id: UUID) -> Iterator[tuple[int, int] | None]:
        """A descriptor of the working folder, and whose it is. None: there is none. OSError."""
        with self._work(user, attempt_id) as work:
            yield None if work is None else (work, os.fstat(work).st_uid)

    def discard(self, places: Places) -> None:
        """Remove a working folder in which nothing has run. OSError.

        Whoever removes it passes the gate first: an earlier submission may be starting at this moment.
        """
        try:
            (places.work / "gate").mkdir()
        except (FileExistsError, FileNotFoundError):
            return
        shutil.rmtree(places.work, ignore_errors=True)

    def knows(self, user: str, attempt_id: UUID) -> bool:
        """Whether we have made a working folder for this attempt of this user. OSError: nobody can say now."""
        with self._work(user, attempt_id) as work:
            return work is not None

    def started(self, user: str, attempt_id: UUID) -> Start | None:
        """None: nobody has passed the gate, or what he left cannot be read."""
        told = self._told(user, attempt_id, "started.json")
        job_id = _number(told.get("job_id"))
        if job_id is None:
            return None
        return Start(job_id, _number(told.get("restart")) or 0, _number(told.get("start")))

    def ended(self, user: str, attempt_id: UUID) -> End | None:
        """None: it has not, or what it left cannot be read."""
        told = self._told(user, attempt_id, "end.json")
        code = _number(told.get("exit_code"))
        if code is None:
            return None
        return End(
            code, by_itself=told.get("by_itself") is True, head=told.get("head") is True, at_s=_number(told.get("at"))
        )

    def gpu_summary(self, user: str, attempt_id: UUID) -> Mapping[str, object]:
        """What the sampler wrote; not to be trusted, and empty where there is none."""
        return self._told(user, attempt_id, "gpu.json")

    def read(self, user: str, attempt_id: UUID, name: str, *, offset: int, limit: int) -> Read | None:
        """A piece of a file in the working folder. None: there is no such folder.

        What is absent, or no regular file of the user's own, is empty, with size -1 when something else stands there.
        """
        with self._work(user, attempt_id) as work:
            if work is None:
                return None
            return _piece(work, name, offset=offset, limit=limit)

    def drop_secrets(self, user: str, attempt_id: UUID) -> None:
        """Remove what a job that never started has left of them."""
        with self._work(user, attempt_id) as work:
            if work is not None:
                with suppress(FileNotFoundError):
                    os.unlink(SECRETS, dir_fd=work)

    def note(self, user: str, attempt_id: UUID, word: str) -> None:
        """Keep why we end a copy of this attempt ourselves."""
        self._keep(user, f"{attempt_id}.note", word.encode("ascii"))

    def noted(self, user: str, attempt_id: UUID) -> str:
        """What `note` kept; empty: nothing."""
        return self._kept(user, f"{attempt_id}.note").decode("ascii")

    def keep_marks(self, user: str, attempt_id: UUID, marks: bytes) -> None:
        """By which the secrets of an attempt are known again in what it prints. Rejected, OSError."""
        self.make_home(user)
        self._keep(user, f"{attempt_id}.marks", marks)

    def marks(self, user: str, attempt_id: UUID) -> bytes:
        """What `keep_marks` kept; empty: it had no secrets."""
        return self._kept(user, f"{attempt_id}.marks")

    def _keep(self, user: str, name: str, content: bytes) -> None:
        """A file of ours, beside the working folders: whole or not at all, and read by nobody else."""
        fd, aside = tempfile.mkstemp(dir=self._folder / user, prefix=".new-")
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        Path(aside).replace(self._folder / user / name)

    def _kept(self, user: str, name: str) -> bytes:
        try:
            return (self._folder / user / name).read_bytes()
        except FileNotFoundError:
            return b""

    def _make_ours(self, path: Path, gid: int) -> None:
        """A folder that the user may go through, and neither list nor change."""
        try:
            path.mkdir(mode=0o710)
        except FileExistsError:
            return
        os.chown(path, -1, gid)
        path.chmod(0o710)

    def _give(self, path: Path, uid: int, gid: int) -> None:
        os.chown(path, uid, gid if self._group_id is None else self._group_id)
        path.chmod(0o700 if self._group_id is None else 0o2750)

    def _told(self, user: str, attempt_id: UUID, name: str) -> Mapping[str, object]:
        with self._work(user, attempt_id) as work:
            told = None if work is None else _json(_whole(work, name))
        return told if isinstance(told, dict) else {}

    @contextmanager
    def _work(self, user: str, attempt_id: UUID) -> Iterator[int | None]:
        """A descriptor of the working folder, reached through our own folders only."""
        fds: list[int] = []
        try:
            try:
                fds.append(os.open(self._folder, _DIRECTORY))
                for name in (user, str(attempt_id)):
                    fds.append(os.open(name, _DIRECTORY, dir_fd=fds[-1]))
            except FileNotFoundError:
                if not fds:
                    raise  # the shared folder itself is away: that says nothing about the attempt
                yield None
                return
            yield fds[-1]
        finally:
            for fd in fds:
                os.close(fd)


def _write(path: Path, content: bytes, uid: int, gid: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        os.fchown(fd, uid, gid)


def _publish(staging: Path, work: Path) -> bool:
    """Of two that prepare the same attempt one wins: a folder is not renamed over one with content."""
    try:
        staging.rename(work)
    except OSError:
        if not work.is_dir():
            raise
        return False
    return True


def _piece(work: int, name: str, *, offset: int, limit: int) -> Read:
    try:
        fd = os.open(name, _FILE, dir_fd=work)
    except FileNotFoundError:
        return Read(b"", 0)
    except OSError:
        return Read(b"", -1)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.fstat(work).st_uid:
            return Read(b"", -1)
        wanted = max(0, min(limit, status.st_size - offset))
        return Read(os.pread(fd, wanted, offset) if wanted else b"", status.st_size)
    finally:
        os.close(fd)


def _whole(work: int, name: str) -> bytes:
    """A small file; empty when it is larger than facts can be."""
    read = _piece(work, name, offset=0, limit=_FACTS_CAP_BYTES)
    return read.data if 0 <= read.size <= _FACTS_CAP_BYTES else b""


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _number(value: object) -> int | None:
    is_one = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
    return value if is_one and isinstance(value, int) else None
