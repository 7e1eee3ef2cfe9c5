"""Intervals of time: what to ask a backend for, and which part of a run or of a capacity lies in a period. Pure.

Quantities are exact: six decimal places, cut by cumulative floors, so that the parts of a run add up to the run
whatever the borders are.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from hpc_adapters.contract import Window

_MICROSECOND = timedelta(microseconds=1)
_MICRO = 1_000_000


def next_window(collected_to: datetime, *, now: datetime, overlap: timedelta, longest: timedelta) -> Window:
    """What to ask for next: from the watermark, minus the overlap in which records may still appear or change.

    At most `longest` beyond the watermark: after a long stop the past is read in slices. `until` is the watermark
    after it; it never runs backward.
    """
    until = max(collected_to, min(now, collected_to + longest))
    return Window(collected_to - overlap, until)


def clipped(window: Window, until: datetime) -> Window:
    """The part of a window before an instant; empty when there is none."""
    return Window(window.since, max(window.since, min(window.until, until)))


def overlap_us(one: Window, other: Window) -> int:
    """Length of what two windows have in common, in microseconds."""
    return max(timedelta(0), min(one.until, other.until) - max(one.since, other.since)) // _MICROSECOND


def contains(window: Window, moment: datetime) -> bool:
    """Whether an instant lies in [since, until)."""
    return window.since <= moment < window.until


def share_of(quantity: Decimal, ran: Window, within: Window) -> Decimal:
    """The part of a quantity that was used within a window, if it was used evenly while it ran.

    What ran no time at all belongs to the instant of its end.
    """
    whole_us = (ran.until - ran.since) // _MICROSECOND
    if whole_us == 0:
        return quantity if contains(within, ran.until) else Decimal(0)
    micro = int(quantity * _MICRO)
    before, after = (micro * _elapsed_us(ran, at) // whole_us for at in (within.since, within.until))
    return Decimal(max(0, after - before)).scaleb(-6)


def unit_seconds(changes: Sequence[tuple[datetime, int]], within: Window) -> Decimal:
    """Units in service × seconds within a window. changes: from when on how many units, in order of time."""
    total_us = 0
    ends = [*(at for at, _ in changes[1:]), within.until]
    for (since, units), until in zip(changes, ends, strict=False):  # no changes: no units
        total_us += units * overlap_us(Window(since, max(since, until)), within)
    return Decimal(total_us).scaleb(-6)


def _elapsed_us(ran: Window, at: datetime) -> int:
    """How long it had run at an instant."""
    return (min(max(at, ran.since), ran.until) - ran.since) // _MICROSECOND
