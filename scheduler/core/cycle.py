"""One cycle of an invented world: a book is opened, asked once, and closed. Pure."""

from __future__ import annotations

from collections import Counter

from scheduler.core.book.book import Book
from scheduler.core.book.terms import Calendar, Terms
from scheduler.core.branches import Branch, branches_of
from scheduler.core.snapshot import Plan, Snapshot


def plan(snapshot: Snapshot) -> Plan:
    """What starts now, in order, and the one reason of each that waits."""
    book = Book(
        now=snapshot.now,
        pools=snapshot.pools,
        terms=_terms(snapshot),
        calendar=Calendar(bookings=snapshot.bookings, walls=snapshot.walls),
        policy=snapshot.policy,
        waiting=snapshot.waiting,
        holding=snapshot.holding,
    )
    return book.decide(snapshot.now, preempted=snapshot.preempted, explained=max(1, len(snapshot.waiting)))


def _terms(snapshot: Snapshot) -> Terms:
    """A snapshot's use has what runs in it, at its full size; the book counts that by itself."""
    held: Counter[Branch] = Counter()
    for each in snapshot.holding:
        for branch in branches_of(each.leaf):
            held[branch] += each.micro_nu
    used: dict[Branch, int] = {branch: stake.used_micro_nu for branch, stake in snapshot.stakes.items()}
    tops = {each: standing.used_micro_nu for each, standing in snapshot.standings.items()}
    used |= {(organisation,): micro_nu for organisation, micro_nu in tops.items()}
    past = {branch: max(0, micro_nu - held[branch]) for branch, micro_nu in used.items()}
    return Terms(
        standings=snapshot.standings,
        weights={branch: stake.weight for branch, stake in snapshot.stakes.items()},
        limits=snapshot.limits,
        month_micro_nu=snapshot.month_micro_nu,
        used_micro_nu=past,
        lately_micro_nu={organisation: past[organisation,] for organisation in tops},
    )
