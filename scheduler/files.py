"""The files of a job as it asks for them, and what can be said of them alone. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias
from uuid import UUID

from hpc_adapters.filenames import problem_of, problem_of_pattern
from infra.db.connection import Conn, Lease
from scheduler.errors import BadOption
from scheduler.options import in_range, shown

MAX_INPUTS = 1_000
MAX_PATTERNS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class InputWish:
    """An object of the organisation's store, and under which name the job sees it."""

    name: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenInput:
    """The version of it that was there at submission: what comes later does not change the job."""

    name: str
    key: str
    object_id: UUID
    size: int
    checksum: str


class ContentLost(Exception):
    """The version that a job reads is not to be had any more. code: 'input-gone', 'input-damaged'."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ShelfAway(Exception):
    """The store does not answer now: later, perhaps. detail: a machine word."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Changed(Exception):
    """A file became another while it was read."""


class Shelf(Protocol):
    """What the loops need of the organisations' store."""

    def read(self, organisation_id: UUID, object_id: UUID, checksum: str) -> AsyncGenerator[bytes, None]:
        """A version's content, checked as it is read. ContentLost, ShelfAway."""

    async def freeze(self, organisation_id: UUID, wishes: Sequence[InputWish]) -> Sequence[FrozenInput]:
        """The versions that are there now, in the order of the wishes. ContentLost."""

    async def keep(
        self, owner: tuple[UUID, UUID], key: str, *, size: int, read: Reader, lease: Lease | None, now: datetime
    ) -> str:
        """A file of this size under a key of an organisation and a person; its checksum. Again: harmless.

        Changed, ShelfAway, and the store's refusals, such as for its quota.
        """


Reader: TypeAlias = Callable[[int, int], Awaitable[bytes]]
"""A piece of a file from an offset on, at most so long; empty at its end."""
Freeze: TypeAlias = Callable[[Conn, UUID, Sequence[InputWish]], Awaitable[Sequence[FrozenInput]]]
"""Looks the wishes of an organisation up, in the transaction of its submission. ObjectNotFound and the like."""


def checked_files(inputs: Sequence[InputWish], outputs: Sequence[str]) -> tuple[InputWish, ...]:
    """The inputs with clean names. BadOption, OptionOutOfRange."""
    in_range("inputs", len(inputs), 0, MAX_INPUTS)
    in_range("outputs", len(outputs), 0, MAX_PATTERNS)
    clean = tuple(InputWish(name=_clean(each.name), key=each.key) for each in inputs)
    names = {each.name for each in clean}
    if len(names) < len(clean):
        raise BadOption(option="inputs", value=_twice([each.name for each in clean]), problem="twice")
    for name in names:
        if any(name.startswith(f"{other}/") for other in names):
            raise BadOption(option="inputs", value=shown(name), problem="path")  # a file cannot be a folder, too
    for pattern in outputs:
        problem = problem_of_pattern(pattern)
        if problem is not None:
            raise BadOption(option="outputs", value=shown(pattern), problem=problem)
    return clean


def _clean(name: str) -> str:
    clean = unicodedata.normalize("NFC", name)
    problem = problem_of(clean)
    if problem is not None:
        raise BadOption(option="inputs", value=shown(name), problem=problem)
    return clean


def _twice(names: Sequence[str]) -> str:
    return next(shown(name) for name in names if names.count(name) > 1)
