"""All that can be told of a backend, at once or as it happens, for halls and for today's floor alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random  # noqa: TID251  seeded by the caller
from uuid import UUID

from hypothesis import strategies as st

from hpc_adapters.contract import Resources
from scheduler.core import snapshot as seen
from scheduler.core.hall import Booking, Hall
from scheduler.core.request import Request
from scheduler.core.shapes import Shapes
from tests.support.slow_floor import Floor

ORIGIN = datetime.fromisoformat("2026-04-01T00:00:00+00:00")
SIZE = Resources(gpus=8, cpus=16, memory_mb=64)
NOTHING = Resources()
NOW = 100
OVERDUE_S = 4
"""All times are small, so that much happens at the same instant."""


@dataclass
class World:
    """All that can be told of a backend. A count of ours that is None is not known to the backend."""

    total: Resources = SIZE
    free: Resources = SIZE
    draining: Resources = NOTHING
    look_ahead: int = 0
    asked_s: int | None = None
    now_s: int = NOW
    held: dict[int, dict[str, object]] = field(default_factory=dict)
    bookings: dict[str, Booking] = field(default_factory=dict)

    def hall(self, random: Random) -> Hall:
        """Told all of it at once, in any order."""
        here = Hall("h200", Shapes(), units_of=lambda each: each.gpus, overdue_s=OVERDUE_S)
        for needs in NEEDS:
            here.shapes.of(needs)
        tells = [lambda: self.tell_count(here), lambda: here.booked(self.bookings.values())]
        tells += [lambda number=number: here.held(number, **self.held[number]) for number in self.held]  # type: ignore[misc,arg-type]
        random.shuffle(tells)
        for tell in tells:
            tell()
        here.begin(self.now_s)
        return here

    def tell_count(self, here: Hall) -> None:
        told = {"look_ahead": self.look_ahead, "asked_s": self.asked_s, "draining": self.draining}
        here.counted(self.total, self.free, **told)  # type: ignore[arg-type]  each of its own kind

    def floor(self) -> Floor:
        pool = seen.Pool(
            name="h200",
            total=self.total,
            free=self.free,
            draining=self.draining,
            look_ahead=self.look_ahead,
            asked_at=None if self.asked_s is None else moment(self.asked_s),
        )
        holding = tuple(self._holding(number, **told) for number, told in self.held.items())  # type: ignore[arg-type]
        bookings = tuple(self.booking(each) for each in self.bookings.values())
        world = seen.Snapshot(
            now=moment(self.now_s),
            pools={"h200": pool},
            waiting=(),
            holding=holding,
            standings={},
            bookings=bookings,
            policy=seen.Policy(overdue_s=OVERDUE_S),
        )
        return Floor(pool, world)

    def booking(self, each: Booking) -> seen.Booking:
        return seen.Booking(
            reservation_id=identity(str(each.reservation)),
            backend="h200",
            needs=each.needs,
            since=moment(each.since_s),
            until=moment(each.until_s),
        )

    def _holding(
        self,
        number: int,
        *,
        shape: int,
        until_s: int,
        accepted: bool,
        started: bool,
        sent_s: int | None,
        reservation: str | None,
        lasts_s: int | None = None,
    ) -> seen.Holding:
        sent_at = None if sent_s is None else moment(sent_s)
        assert lasts_s is None or sent_s is None or lasts_s == until_s - sent_s
        return seen.Holding(
            attempt_id=UUID(int=number),
            organisation_id=UUID(int=1),
            backend="h200",
            needs=NEEDS[shape],
            until=moment(until_s),
            accepted=accepted,
            started=started,
            sent_at=sent_at,
            reservation_id=None if reservation is None else identity(reservation),
        )


def when(at_s: int) -> str:
    return moment(at_s).isoformat()


def moment(at_s: int) -> datetime:
    return ORIGIN + timedelta(seconds=at_s)


def identity(name: str) -> UUID:
    return UUID(int=9000 + ord(name))


NEEDS = [
    Resources(gpus=a, cpus=b, memory_mb=c)
    for a, b, c in [(1, 1, 4), (2, 4, 8), (4, 1, 1), (0, 8, 32), (8, 16, 64), (3, 9, 2), (1, 0, 0), (5, 5, 40)]
]
NAMES = "ABC"


def amounts(of: Resources) -> st.SearchStrategy[Resources]:
    return st.builds(
        lambda a, b, c: Resources(gpus=a, cpus=b, memory_mb=c),
        st.integers(0, of.gpus),
        st.integers(0, of.cpus),
        st.integers(0, of.memory_mb),
    )


def _told(shape: int, sent: tuple[int, int] | None, reservation: str | None, seen_as: int) -> dict[str, object]:
    """sent: how long ago, and how long it may take. seen_as: sent, accepted, started."""
    return {
        "shape": shape,
        "until_s": NOW + 5 if sent is None else NOW - sent[0] + sent[1],
        "accepted": seen_as > 0,
        "started": seen_as > 1,
        "sent_s": None if sent is None else NOW - sent[0],
        "reservation": reservation,
    }


HELD = st.builds(
    _told,
    st.integers(0, len(NEEDS) - 1),
    st.none() | st.tuples(st.integers(0, 8), st.integers(1, 16)),
    st.none() | st.sampled_from(NAMES),
    st.integers(0, 2),
)


def bookings_of(ahead_s: int = 10) -> st.SearchStrategy[dict[str, Booking]]:
    def named(rows: list[tuple[Resources, int, int]]) -> dict[str, Booking]:
        kept = zip(NAMES, rows, strict=False)
        return {name: Booking(name, needs, since, since + lasts) for name, (needs, since, lasts) in kept}

    rows = st.tuples(amounts(SIZE), st.integers(NOW - 4, NOW + ahead_s), st.integers(1, 8))
    return st.lists(rows, max_size=3).map(named)


@st.composite
def worlds(draw: st.DrawFn, *, look_ahead: bool = True, booked: bool = True) -> World:
    return World(
        free=draw(st.just(SIZE) | amounts(SIZE)),
        draining=draw(st.just(Resources()) | amounts(SIZE)),
        look_ahead=draw(st.integers(0, 3)) if look_ahead else 0,
        asked_s=draw(st.none() | st.integers(NOW - 8, NOW)),
        held=dict(enumerate(draw(st.lists(HELD, max_size=6)), start=1)),
        bookings=draw(bookings_of()) if booked else {},
    )


def waiting(number: int, shape: int, limit_s: int, inside: seen.Inside | None = None) -> seen.Waiting:
    return seen.Waiting(
        attempt_id=UUID(int=1000 + number),
        organisation_id=UUID(int=1),
        backend="h200",
        needs=NEEDS[shape],
        walltime_s=limit_s,
        micro_nu=1,
        submitted_at=ORIGIN,
        inside=inside,
    )


def request(number: int, shape: int, limit_s: int) -> Request:
    return Request(number, 0, NEEDS[shape].gpus, limit_s, 0, shape=shape)


ASKED = st.lists(st.tuples(st.integers(0, len(NEEDS) - 1), st.integers(1, 12)), min_size=1, max_size=6)
