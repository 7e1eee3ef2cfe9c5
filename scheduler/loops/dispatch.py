"""Steps 4 and 5 of the life of a job: plan, write why the others wait, end what never will, hand over what starts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from infra.db.connection import reading, transaction
from pricing.model import ServiceClass
from scheduler.core.book.book import Book
from scheduler.core.book.figures import Figures
from scheduler.core.events import NeverReady, ReservationOver
from scheduler.core.model import State
from scheduler.core.reasons import Why
from scheduler.core.snapshot import Never, Plan, Start
from scheduler.loops import items, look, metrics, placing, preempt
from scheduler.loops.apply import apply_to
from scheduler.loops.deps import Deps
from scheduler.loops.handover import HandedOver, Window, hand_over_all
from scheduler.store import attempts as attempt_store
from scheduler.store import planning as store


async def tick(deps: Deps, now: datetime, clock: Callable[[], float] | None = None) -> int:
    """One cycle after the other, until all that could start has been handed over. How many attempts were.

    clock: seconds that have passed since any instant; None: the loop's. No cycle begins after the budget of a tick, and
    what a cycle starts has a budget of its own, from the first hand-over on: a long look takes nothing from it.
    """
    clock = clock or asyncio.get_running_loop().time
    began, moved, silent = clock(), 0, set[str]()
    budget_s = deps.settings.hand_over_budget_s
    while True:
        with metrics.CYCLE.time():
            decided, placed = await _cycle(deps, now + _whole_s(clock() - began))
        passed = _whole_s(
            clock() - began
        )  # the sweep counts from then, so none is begun later than the budget after it
        window = Window(clock, began + passed.total_seconds() + budget_s)
        starts = [start for start in decided.starts if start.backend not in silent]
        rounds = await _hand_over(deps, starts, now + passed, window)
        answered = sum(each.answered for each in rounds.values())
        moved += answered
        now_silent = {name for name, each in rounds.items() if each.silent}
        silent |= now_silent
        goes_on = placed or (decided.more and answered and not now_silent)
        if not goes_on or clock() > began + budget_s:
            return moved


async def _hand_over(deps: Deps, starts: Sequence[Start], now: datetime, window: Window) -> Mapping[str, HandedOver]:
    """How it went, by backend."""
    names = sorted({start.backend for start in starts})
    rounds = [hand_over_all(deps, [start for start in starts if start.backend == name], now, window) for name in names]
    ended = await asyncio.gather(*rounds, return_exceptions=True)  # none may go on beside the next tick
    for problem in ended:
        if isinstance(problem, BaseException):
            raise problem
    return {name: each for name, each in zip(names, ended, strict=True) if not isinstance(each, BaseException)}


def _whole_s(passed_s: float) -> timedelta:
    return timedelta(seconds=int(passed_s))


# -- plan --------------------------------------------------------------------------------------------------------------


async def _cycle(deps: Deps, now: datetime) -> tuple[Plan, int]:
    """Our books first, the backends after: what has started or ended in between only makes a plan more careful.

    Also how many were placed anew, where nothing else is left to start: the next cycle starts them.

    What is in memory is believed only as long as each step after it has gone well.
    """
    try:
        kept = await look.up_to_date(deps, now)
        decided = kept.book.decide(kept.now, preempted=await _preempted(deps, kept.book, now))
        await placing.look(deps, kept)
        news = kept.news(kept.asked.told(kept.book, decided, kept.now), now)
        if news:
            async with transaction(deps.pool, lease=deps.lease) as conn:
                await store.write_reasons(conn, placing.told(deps, kept, news))
            kept.wrote(news, now)
        if await preempt.carry_out(deps, decided.preempts, now) < len(decided.preempts):
            deps.memory.forget()  # it believes that they leave
        placed = 0 if decided.more else await placing.carry_out(deps, kept, kept.now)
    except BaseException:
        deps.memory.forget()
        raise
    _show(kept.waiting_by_reason(now))
    _show_shares(kept.figures(now))
    nevers = decided.nevers[: deps.settings.item_limit]
    await items.each("dispatch", nevers, lambda never: _end(deps, never, now))
    return decided, placed


async def _preempted(deps: Deps, book: Book, now: datetime) -> Mapping[UUID, int]:
    """Asked only where somebody could have to make room."""
    if not book.has_spare_work:
        return {}
    async with reading(deps.pool) as conn:
        return await attempt_store.preempted(conn, since=now - timedelta(hours=1))


def _show(counts: Mapping[str, int] | None) -> None:
    if counts is not None:
        for why in Why:
            metrics.WAITING.labels(why.value).set(counts.get(why.value, 0))


def _show_shares(figures: Figures | None) -> None:
    if figures is None:
        return
    for each in ServiceClass:
        metrics.WAITING_BY_CLASS.labels(each.value).set(figures.waiting.get(each, 0))
    metrics.HELD.set(figures.held_nu_per_h)
    metrics.CAPACITY.set(figures.capacity_nu_per_h)
    metrics.BORROWED.set(figures.borrowed_nu_per_h)
    metrics.SHARE_ERROR.set(figures.share_error)


async def _end(deps: Deps, never: Never, now: datetime) -> bool:
    """What it waits for can no longer happen: it ends in the queue, and costs nothing."""
    over = never.reservation
    event = NeverReady(at=now, jobs=never.jobs) if over is None else ReservationOver(at=now, reservation=over)
    async with transaction(deps.pool, lease=deps.lease) as conn:
        attempt = await attempt_store.locked(conn, never.attempt_id)
        if attempt is None or attempt.state is not State.QUEUED:
            return False
        return (await apply_to(conn, deps, attempt, event, now=now)).changed
