"""What ran lately, for the yardstick of a book that is opened: it shall have waited as it would have. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from hpc_adapters.contract import Resources
from scheduler.core.book.seconds import Clock
from scheduler.core.request import Request


class Lived(NamedTuple):
    """An attempt that was handed over, at sent_at. ended_at: None: its backend has it yet."""

    seq: int
    backend: str
    needs: Resources
    walltime_s: int
    submitted_at: datetime
    sent_at: datetime
    ended_at: datetime | None


def came(lived: Iterable[Lived], clock: Clock) -> Mapping[int, int]:
    """Of those that run: when they were submitted, by number."""
    return {each.seq: clock.second(each.submitted_at) for each in lived if each.ended_at is None}


def ended(
    lived: Iterable[Lived], backend: str, units_of: Callable[[Resources], int], clock: Clock
) -> Iterator[tuple[Request, int, int]]:
    """Of those that ended there, as Yardstick.lived takes them: the whole second in which each was told."""
    for each in lived:
        if each.backend == backend and each.ended_at is not None:
            since_s, submitted_s = clock.second(each.sent_at), clock.second(each.submitted_at)
            job = Request(each.seq, 0, max(1, units_of(each.needs)), each.walltime_s, submitted_s)
            yield job, since_s, max(0, clock.next_second(each.ended_at) - since_s)
