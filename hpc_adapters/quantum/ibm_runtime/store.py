"""What we keep of each attempt, in a folder of its own: IBM may delete jobs, and forgets none of ours by our doing.

Files, each whole or absent and durable once written:

| file | what | from when |
|---|---|---|
| `sent.json` | what rows and observations need of the request, and when it was last sent | before the first POST |
| `known.json` | IBM's id | the answer, or found by tag |
| `wish.json` | why we asked for its end | before we ask |
| `end.json` | how it ended; written once, by whoever saw it first | the end, its result being kept |
| `usage.json` | its final row's amounts | IBM has worked them out |
| `result.json`, `stdout` | for its owner | the end; each event |
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from hpc_adapters.confined import folder
from hpc_adapters.confined.runs import ids_in
from hpc_adapters.contract import Seen
from hpc_adapters.errors import Unavailable
from hpc_adapters.keeping import remove

_SENT, _KNOWN, _WISH, _END, _USAGE = "sent.json", "known.json", "wish.json", "end.json", "usage.json"
RESULT: Final = "result.json"
STDOUT: Final = "stdout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an attempt ended. `started_at` None: it never reached the device."""

    seen: Seen
    detail: str
    started_at: datetime | None
    ended_at: datetime

    @property
    def exit_code(self) -> int | None:
        """As a program's would be: 0, 1, or none where it did not end by itself."""
        return {Seen.SUCCEEDED: 0, Seen.FAILED: 1}.get(self.seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One attempt as it is kept. `sent` is empty where it was only found at IBM."""

    attempt_id: UUID
    sent: Mapping[str, Any]
    vendor_id: str | None
    wish: str | None
    end: Ending | None
    usage: Mapping[str, Any] | None

    @property
    def is_session(self) -> bool:
        return self.sent.get("kind") == "session"

    @property
    def sent_at(self) -> datetime | None:
        """When it was last sent with an outcome that may be unknown."""
        return _time(self.sent.get("sent_at"))

    @property
    def is_live(self) -> bool:
        return self.vendor_id is not None and self.end is None


class AttemptStore:
    """All attempts of one backend. Every call is a few small files; use a thread where that matters."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._over: dict[UUID, Record] = {}
        """Ended with final usage: they never change."""

    def all_ids(self) -> list[UUID]:
        return ids_in(self._root)

    def record(self, attempt_id: UUID) -> Record | None:
        """None: never sent from here, and not found at IBM either."""
        if attempt_id in self._over:
            return self._over[attempt_id]
        sent, known = self._read(attempt_id, _SENT), self._read(attempt_id, _KNOWN)
        if sent is None and known is None:
            return None
        record = Record(
            attempt_id=attempt_id,
            sent=sent or {},
            vendor_id=None if known is None else known["id"],
            wish=(self._read(attempt_id, _WISH) or {}).get("why"),
            end=_ending(self._read(attempt_id, _END)),
            usage=self._read(attempt_id, _USAGE),
        )
        if record.end is not None and record.usage is not None:
            self._over[attempt_id] = record
        return record

    def records(self) -> list[Record]:
        found = (self.record(attempt_id) for attempt_id in self.all_ids())
        return [record for record in found if record is not None]

    @contextmanager
    def sending(self, attempt_id: UUID) -> Iterator[None]:
        """One process at a time may send it. Unavailable: another one does."""
        place = self._place(attempt_id, make=True)
        fd = os.open(f"{place}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Unavailable("being-sent", maybe_done=True) from None
        finally:
            os.close(fd)

    def send(self, attempt_id: UUID, sent: Mapping[str, Any], *, now: datetime) -> None:
        """From here on it may be at IBM."""
        self._write(attempt_id, _SENT, {**sent, "sent_at": now.isoformat()})

    def not_sent(self, attempt_id: UUID) -> None:
        """It is known that the last sending created nothing."""
        shutil.rmtree(self._place(attempt_id), ignore_errors=True)

    def remove(self, attempt_id: UUID) -> int:
        """Forget one that is over, in one step, and the bytes that its files had."""
        self._over.pop(attempt_id, None)
        return remove(self._root, str(attempt_id))

    def know(self, attempt_id: UUID, vendor_id: str) -> None:
        self._write(attempt_id, _KNOWN, {"id": vendor_id})

    def wish(self, attempt_id: UUID, why: str) -> None:
        """The first wish stays: it is what ends the attempt."""
        if self._read(attempt_id, _WISH) is None:
            self._write(attempt_id, _WISH, {"why": why})

    def end(self, attempt_id: UUID, ending: Ending) -> Ending:
        """As it is kept: who writes first is right for good."""
        told = {
            "seen": ending.seen.value,
            "detail": ending.detail,
            "started_at": None if ending.started_at is None else ending.started_at.isoformat(),
            "ended_at": ending.ended_at.isoformat(),
        }
        aside = f"{_END}.{os.getpid()}"
        self._write(attempt_id, aside, told)
        place = self._place(attempt_id)
        with suppress(FileExistsError):
            os.link(f"{place}/{aside}", f"{place}/{_END}")
        os.unlink(f"{place}/{aside}")  # noqa: PTH108  as above
        folder.sync(str(place))
        kept = _ending(self._read(attempt_id, _END))
        assert kept is not None
        return kept

    def final_usage(self, attempt_id: UUID, usage: Mapping[str, Any]) -> None:
        self._write(attempt_id, _USAGE, usage)

    def keep_result(self, attempt_id: UUID, result: Mapping[str, Any]) -> None:
        folder.write_bytes(str(self._place(attempt_id, make=True)), RESULT, json.dumps(result).encode())

    def note(self, attempt_id: UUID, event: str, line: str) -> None:
        """One line of stdout for each event, whoever sees it first."""
        place = self._place(attempt_id, make=True)
        try:
            os.close(os.open(f"{place}/said-{event}", os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return
        fd = os.open(f"{place}/{STDOUT}", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, f"{line}\n".encode())
        finally:
            os.close(fd)

    def read(self, attempt_id: UUID, name: str, offset: int, limit: int) -> tuple[bytes, int]:
        """A piece of a file, and the file's size."""
        try:
            with (self._place(attempt_id) / name).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(offset)
                return file.read(limit), size
        except FileNotFoundError:
            return b"", 0

    # -- one's own affairs --------------------------------------------------------------------------------------------

    def _place(self, attempt_id: UUID, *, make: bool = False) -> Path:
        place = self._root / str(attempt_id)
        if make and not place.is_dir():
            place.mkdir(mode=0o700, exist_ok=True)
            folder.sync(str(self._root))
        return place

    def _read(self, attempt_id: UUID, name: str) -> dict[str, Any] | None:
        try:
            content = folder.read_bytes(str(self._place(attempt_id)), name)
        except NotADirectoryError:
            return None
        return None if content is None else json.loads(content)

    def _write(self, attempt_id: UUID, name: str, content: Mapping[str, Any]) -> None:
        folder.write_bytes(str(self._place(attempt_id, make=True)), name, json.dumps(dict(content)).encode())


def _ending(told: Mapping[str, Any] | None) -> Ending | None:
    if told is None:
        return None
    ended = _time(told["ended_at"])
    assert ended is not None
    return Ending(seen=Seen(told["seen"]), detail=told["detail"], started_at=_time(told["started_at"]), ended_at=ended)


def _time(told: str | None) -> datetime | None:
    return None if told is None else datetime.fromisoformat(told)
