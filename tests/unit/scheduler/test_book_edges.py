"""What a book does where the world is not as it should be: clocks, sizes, too many, too much at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hpc_adapters.contract import Resources
from scheduler.core.book.book import Book
from scheduler.core.book.charges import Charge
from scheduler.core.book.lived import Lived
from scheduler.core.book.terms import Calendar, Terms
from scheduler.core.book.turns import Turns
from scheduler.core.snapshot import Holding, Policy, Pool, Standing, Waiting

NOW = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
A = UUID(int=1)
SIZE = Resources(gpus=8)


def job(number: int, organisation: UUID = A, **known: object) -> Waiting:
    usual = Waiting(
        attempt_id=UUID(int=1000 + number),
        organisation_id=organisation,
        project_id=UUID(int=11),
        person_id=UUID(int=21),
        backend="h200",
        needs=Resources(gpus=1),
        walltime_s=3600,
        micro_nu=1_000_000,
        submitted_at=NOW - timedelta(seconds=100 - number),
        seq=number,
    )
    return replace(usual, **known)


def held(number: int, *, hours: int = 20) -> Holding:
    one = job(number)
    return Holding(
        attempt_id=one.attempt_id,
        organisation_id=A,
        project_id=one.project_id,
        person_id=one.person_id,
        backend="h200",
        needs=one.needs,
        until=NOW + timedelta(hours=hours),
        sent_at=NOW,
        micro_nu=hours * 1_000_000,
        seq=number,
    )


def book(pool: Pool, *, policy: Policy | None = None, terms: Terms | None = None, **known: object) -> Book:
    return Book(
        now=NOW,
        pools={"h200": pool},
        terms=terms or Terms(),
        calendar=Calendar(),
        policy=policy or Policy(),
        **known,  # type: ignore[arg-type]  waiting, holding
    )


WHOLE = Pool(name="h200", total=SIZE, free=SIZE)


def test_what_ends_on_a_machine_of_unknown_size_is_no_error_and_voids_the_book_when_the_size_is_known() -> None:
    found = book(Pool(name="h200", online=False), holding=[held(1)])
    found.gone(UUID(int=1001), NOW + timedelta(hours=20), Charge(20_000_000, NOW + timedelta(hours=20)), seq=1)
    found.decide(NOW + timedelta(hours=20))
    assert not found.is_void
    found.pool(WHOLE, NOW + timedelta(hours=20))
    assert found.is_void


def test_a_clock_that_stands_still_or_goes_back_a_second_is_no_error() -> None:
    found = book(WHOLE, waiting=[job(1), job(2, needs=Resources(gpus=9))])
    assert [each.attempt_id.int for each in found.decide(NOW).starts] == [1001]
    found.holds(held(1), NOW)
    assert found.decide(NOW - timedelta(seconds=1)).starts == ()


def test_a_plan_says_whether_others_could_start_in_the_next() -> None:
    found = book(WHOLE, policy=Policy(max_starts=2), waiting=[job(1), job(2), job(3)])
    first = found.decide(NOW)
    for start in first.starts:
        found.holds(held(start.attempt_id.int - 1000), NOW)
    second = found.decide(NOW)
    assert (len(first.starts), first.more, len(second.starts), second.more) == (2, True, 1, False)


def test_more_people_may_come_than_there_was_room_for_when_it_was_opened() -> None:
    found = book(WHOLE)
    new = [UUID(int=10_000 + number) for number in range(400)]
    for number, organisation in enumerate(new, start=1):
        found.waits(job(number, organisation), NOW)
    weights = {each: Standing(organisation_id=each, weight=3) for each in [*new, UUID(int=5)]}
    found.agreed(Terms(standings=weights), NOW)
    found.waits(job(999, UUID(int=5)), NOW)
    assert len(found.decide(NOW).starts) == 8
    assert found.waiting == 401  # what has started is not confirmed yet


def test_turns_come_round() -> None:
    turns = Turns()
    assert [turns.next([1, 2, 3], 2), turns.next([1, 2, 3], 2), turns.next([], 2)] == [[1, 2], [3, 1], [2, 3]]


def longest_s(found: Book) -> int:
    return found._world.order._yardsticks[0].longest_s


def test_a_new_world_and_a_new_leader_know_how_long_the_yardstick_has_waited() -> None:
    """Jobs of an hour held the machine one after the other, here as in a queue without shares."""
    hour, one_gpu = timedelta(hours=1), replace(WHOLE, total=Resources(gpus=1), free=Resources(gpus=1))
    jobs = [job(number, submitted_at=NOW) for number in (1, 2, 3)]
    found, lived = book(one_gpu, waiting=jobs), list[Lived]()
    for since in (NOW, NOW + hour):
        (start,) = found.decide(since).starts
        number, until = start.attempt_id.int - 1000, since + hour
        found.holds(replace(held(number), sent_at=since, until=until), since)
        found.gone(start.attempt_id, until, seq=number)
        lived.append(Lived(number, "h200", Resources(gpus=1), 3600, NOW, since, until))
    now = NOW + 2 * hour
    found.decide(now)
    assert longest_s(found) == 7_200
    found.pool(replace(WHOLE, total=Resources(gpus=2), free=Resources(gpus=2)), now)
    assert longest_s(found) == 7_200
    last = next(each for each in jobs if each.seq not in {one.seq for one in lived})
    for past, waited_s in ((Terms(lived=lived), 7_200), (Terms(), 0)):
        opened = book(one_gpu, terms=past, waiting=[last])
        opened.decide(now)
        assert longest_s(opened) == waited_s
