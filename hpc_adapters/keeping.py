"""How long a backend of ours keeps what attempts have left: folders go, what they used stays told.

An adapter that keeps a folder for each attempt is a `Keeper`. Whoever asks it to forget knows that nobody needs the
folder any more: its result, its files and its accounting are elsewhere. Its accounting goes on telling what was used
(`Past`), and its attempt id stays taken: nothing of it ever starts again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable
from uuid import UUID

from hpc_adapters.contract import Seen, UsageRow, Window

GONE: Final = ".gone"
"""Where an adapter keeps what is told of them, beside the folders."""
_ASIDE: Final = ".going"
_ID: Final = slice(7, 43)
"""Of a line, which begins with {"id":"…"."""


@dataclass(frozen=True, slots=True)
class Freed:
    """How many attempts were forgotten, and the bytes that their files had."""

    attempts: int = 0
    bytes: int = 0


@runtime_checkable
class Keeper(Protocol):
    """Beside `contract.Backend`. Both methods may raise Unavailable, maybe_done False, and OSError."""

    async def ended_before(self, moment: datetime) -> Sequence[UUID]:
        """Attempts that have ended before then and whose folders are here, in the order of their ends."""

    async def forget(self, attempt_ids: Sequence[UUID]) -> Freed:
        """Remove their folders and all that they left. What has not ended, or is still needed here, is passed over."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is told of an attempt after its folder is gone. row None: it never started."""

    attempt_id: UUID
    native_id: str
    ended_at: datetime
    row: UsageRow | None


@dataclass(slots=True)
class _Day:
    """A file of a day, as far as it was read: only whose lines are in it, for there may be millions of them."""

    size: int = 0
    ids: set[bytes] = field(default_factory=set)


class Past:
    """A file for each day (UTC) on which attempts ended that were forgotten, with a line for each of them.

    One process writes; any may read. Every method may raise OSError.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._days: dict[str, _Day] = {}

    def note(self, left: Iterable[Left]) -> None:
        """Durable when it returns: their folders may go then. Again: harmless."""
        by_day: dict[str, list[Left]] = {}
        for each in left:
            by_day.setdefault(each.ended_at.astimezone(UTC).date().isoformat(), []).append(each)
        for day, those in by_day.items():
            self._root.mkdir(mode=0o700, exist_ok=True)
            content = "".join(f"\n{json.dumps(_said(each), separators=(',', ':'))}\n" for each in those)
            fd = os.open(self._root / day, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(content.encode())
                file.flush()
                os.fsync(file.fileno())
        if by_day:
            _sync(self._root)

    def rows(self, window: Window) -> list[UsageRow]:
        """Records of theirs that touch the window, each once."""
        found = [left.row for left in self._ended_since(window.since) if left.row is not None]
        return [row for row in found if window.touches(row.started_at, row.ended_at)]

    def find(self, attempt_id: UUID) -> Left | None:
        """None: it was not forgotten."""
        days = [day for day in self._names() if attempt_id.bytes in self._known(day).ids]
        return next((found for day in days if (found := self._read(day).get(attempt_id)) is not None), None)

    def native_ids(self, since: datetime) -> set[str]:
        """Of those that ended since then, or some hours before."""
        return {left.native_id for left in self._ended_since(since)}

    def _ended_since(self, moment: datetime) -> list[Left]:
        first = moment.astimezone(UTC).date()
        days = [day for day in self._names() if date.fromisoformat(day) >= first]
        return [left for day in days for left in self._read(day).values()]

    def _names(self) -> list[str]:
        try:
            return sorted(os.listdir(self._root))  # noqa: PTH208  only names
        except FileNotFoundError:
            return []

    def _known(self, name: str) -> _Day:
        """A file is looked at again when it has grown."""
        day = self._days.setdefault(name, _Day())
        if (self._root / name).stat().st_size != day.size:
            content = (self._root / name).read_bytes()
            for line in content.split(b"\n"):
                with suppress(ValueError):
                    if line:
                        day.ids.add(UUID(line[_ID].decode("ascii")).bytes)
            day.size = len(content)
        return day

    def _read(self, name: str) -> dict[UUID, Left]:
        """A line that a crash has cut was not acted upon: its folder is still there."""
        found = {}
        for line in (self._root / name).read_bytes().split(b"\n"):
            with suppress(ValueError, KeyError, TypeError):
                if line:
                    left = _heard(json.loads(line))
                    found[left.attempt_id] = left
        return found


def remove(root: Path, name: str) -> int:
    """A folder under `root`, with all that is in it, and the bytes of its files. Killed anywhere, none of it is seen.

    Half a folder would say something else than the whole one: so it is put aside in one step first.
    """
    going = root / _ASIDE
    going.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileNotFoundError):
        (root / name).rename(going / name)
    size = _bytes_in(going / name)
    for left in going.iterdir():  # also what was begun before
        shutil.rmtree(left, ignore_errors=True)
    return size


def _bytes_in(place: Path) -> int:
    total = 0
    for home, _, names in os.walk(place):
        for name in names:
            with suppress(OSError):
                total += (Path(home) / name).lstat().st_size
    return total


def _said(left: Left) -> dict[str, Any]:
    row = left.row
    return {
        "id": str(left.attempt_id),
        "native": left.native_id,
        "ended": left.ended_at.isoformat(),
        "row": None
        if row is None
        else {
            "key": row.natural_key,
            "attempt": None if row.attempt_id is None else str(row.attempt_id),
            "started": row.started_at.isoformat(),
            "ended": None if row.ended_at is None else row.ended_at.isoformat(),
            "final": row.final,
            "ending": row.ending.value,
            "components": {name: str(amount) for name, amount in row.components.items()},
            "facts": dict(row.facts),
        },
    }


def _heard(told: dict[str, Any]) -> Left:
    row = told["row"]
    return Left(
        attempt_id=UUID(told["id"]),
        native_id=told["native"],
        ended_at=datetime.fromisoformat(told["ended"]),
        row=None
        if row is None
        else UsageRow(
            natural_key=row["key"],
            attempt_id=None if row["attempt"] is None else UUID(row["attempt"]),
            started_at=datetime.fromisoformat(row["started"]),
            ended_at=None if row["ended"] is None else datetime.fromisoformat(row["ended"]),
            final=row["final"],
            ending=Seen(row["ending"]),
            components={name: Decimal(amount) for name, amount in row["components"].items()},
            facts=row["facts"],
        ),
    )


def together(rows: Iterable[UsageRow], gone: Iterable[UsageRow]) -> list[UsageRow]:
    """Each record once: what is being forgotten is in both."""
    return list({row.natural_key: row for row in (*gone, *rows)}.values())


def _sync(place: Path) -> None:
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
