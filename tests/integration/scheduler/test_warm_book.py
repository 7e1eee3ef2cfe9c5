"""The leader's book over many ticks of the real services: what PostgreSQL says, and what a new leader opens."""

from __future__ import annotations

import random  # noqa: TID251  one seeded instance
from dataclasses import replace

import pytest

from scheduler.core.book.book import Book
from scheduler.core.book.terms import Calendar
from scheduler.core.decided import Way
from scheduler.core.snapshot import Pool
from scheduler.loops import look
from scheduler.loops.memory import Memory
from tests.integration.scheduler.test_kept_from_changes import Walk
from tests.integration.scheduler.test_reservations import reservable
from tests.support.callers import SIZE
from tests.support.database import Database
from tests.support.mailboxes import Mailboxes
from tests.support.recording import Recorded, replayed
from tests.support.scheduled import CLUSTER, World, open_world
from tests.support.shadow import Picture

pytestmark = pytest.mark.postgres


async def a_walk(database: Database, seed: int) -> Walk:
    world = await open_world(database, size=SIZE)
    post = Mailboxes(world.backend)
    world.backends = {CLUSTER: post}  # type: ignore[dict-item]  it stands for one
    await reservable(world, units=4)
    return Walk(world, [await world.member("alice"), await world.member("bob")], post, random.Random(seed))


def took_part(book: Book, world: World) -> int:
    """How many were in the contest of one more decision, whoever of them was chosen."""
    starts = book.decide(world.now).starts
    return book.in_contest + sum(start.way != Way.INSIDE for start in starts)


async def is_as_read(world: World) -> None:
    """Told all there is, the book knows what a reading of everything says, and as much as one opened anew."""
    deps = world.deps(await world.leading())
    kept = await look.up_to_date(deps, world.now)
    picture = await Picture.read(world.market.database.worker)
    assert kept.book.differs_from(picture.waiting.values(), picture.held.values()) == []
    opened = await look.up_to_date(replace(deps, memory=Memory()), world.now)
    assert opened.book.differs_from(picture.waiting.values(), picture.held.values()) == []
    assert took_part(kept.book, world) == took_part(opened.book, world)
    assert kept.book.has_spare_work == opened.book.has_spare_work
    running = {each.seq: each.sent_at for each in opened.terms.lived if each.ended_at is None}
    assert running == {each.seq: each.sent_at for each in picture.held.values()}
    assert all(each.submitted_at <= each.sent_at <= (each.ended_at or world.now) for each in opened.terms.lived)


async def test_the_leaders_book_is_what_a_reading_of_everything_says(database: Database) -> None:
    walk = await a_walk(database, 3)
    for step in range(80):
        await walk.step()
        if step % 4 == 3:
            await is_as_read(walk.world)


async def test_what_a_dispatcher_was_told_and_decided_is_decided_again(database: Database) -> None:
    """Recorded from the first job on, with real hand-overs, ends, cancellations, calls and reservations."""
    walk = await a_walk(database, 4)
    world = walk.world
    await world.dispatch()
    kept = world.memory.kept
    assert kept is not None
    pool = Pool(name=CLUSTER, total=SIZE, free=SIZE)
    kept.book = Recorded(
        now=world.now, pools={CLUSTER: pool}, terms=kept.terms, calendar=Calendar(), policy=world.settings.policy
    )
    for _ in range(120):
        await walk.step()
    assert world.memory.kept is kept
    assert isinstance(kept.book, Recorded)
    assert replayed(kept.book.lines) > 10
