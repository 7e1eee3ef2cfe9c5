"""What runs and may have to make room, and who of it does for the first in line of a machine. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from hpc_adapters.contract import Resources
from scheduler.core.classes import GIVES_WAY
from scheduler.core.preempting import Blocked, making_room
from scheduler.core.snapshot import Booking, Holding, Preempt, Preemption, Waiting
from scheduler.core.walls import is_on


class Yielding:
    """By the numbers of the book."""

    def __init__(self) -> None:
        self._of_machine: dict[str, set[int]] = {}
        self.leaving: set[int] = set()
        """What was asked to leave, or shall end anyway."""

    @property
    def machines(self) -> set[str]:
        """On which something of the kind runs."""
        return {name for name, numbers in self._of_machine.items() if numbers}

    def held(self, number: int, held: Holding) -> None:
        (self.leaving.add if held.leaving else self.leaving.discard)(number)
        if held.service_class in GIVES_WAY:
            self._of_machine.setdefault(held.backend, set()).add(number)

    def gone(self, number: int, held: Holding | None) -> None:
        self.leaving.discard(number)
        if held is not None:
            self._of_machine.get(held.backend, set()).discard(number)


def chosen(
    first: Waiting | Holding,
    free: Resources,
    holding: Iterable[Holding],
    bookings: Iterable[Booking],
    *,
    policy: Preemption,
    recent: Counter[UUID],
    now: datetime,
) -> tuple[Sequence[Preempt], Sequence[Holding]]:
    """Who is asked to make room for the first in line of its machine, and what is known of them.

    What runs in a reservation that is on gives no room to others.
    """
    on = {each.reservation_id for each in bookings if is_on(each, now)}
    here: Mapping[UUID, Holding] = {
        each.attempt_id: each for each in holding if each.backend == first.backend and each.reservation_id not in on
    }
    blocked = Blocked(needs=first.needs, service_class=first.service_class, free=free)
    asked = making_room(blocked, here.values(), policy=policy, recent=recent, now=now)
    return asked, [here[each.attempt_id] for each in asked]
