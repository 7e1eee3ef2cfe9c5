"""On which of several offerings a job runs: one total order, and the reason for what it puts first. Pure.

The rule (scheduler/README.md): where it starts now goes before where it has to wait. Among those the cheapest, then
where it breaks the fewest nodes, then by name. Where it starts nowhere now: the earliest expected start, and within a
tolerance of that the cheapest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TOLERANCE_S: Final = 600
"""A later start by no more than this is worth a lower price."""
JAPAN: Final = "jp"
"""The one place where data can be told to stay."""
_NEVER_S: Final = 2**62
Key = tuple[int, int, int, int, int, str]


class Rule(StrEnum):
    """What decided between the one that was chosen and the next best: a word of the records."""

    ONLY = "only"
    """No other can take it at present."""
    STARTS_NOW = "starts_now"
    STARTS_EARLIER = "starts_earlier"
    CHEAPER = "cheaper"
    FEWER_BROKEN = "fewer_broken"
    """It leaves less of a node over that was whole."""
    BY_NAME = "by_name"
    """They are alike."""
    AS_BEFORE = "as_before"
    """No choice: another attempt starts where the one before ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A job on one of its offerings, as things stand."""

    offering_id: str
    backend: str
    ceiling_micro_yen: int
    """What it costs there at most."""
    barred: str | None = None
    """Why it may not start there however much is free: a machine word (core.reasons.Why, or a refusal's code)."""
    starts_now: bool = False
    expected_s: int | None = None
    """So many seconds from now it is expected to start there; None: nobody knows."""
    broken: int = 0
    """Units that it leaves over of a node that was whole (`broken`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The option that goes first, by which rule, and before how many others that could take it."""

    option: Option
    rule: Rule
    others: int

    def facts(self) -> dict[str, object]:
        """Of the records, as JSON values."""
        return {"offering": self.option.offering_id, "rule": self.rule.value, "others": self.others}


def chosen(options: Iterable[Option], *, tolerance_s: int = TOLERANCE_S) -> Choice | None:
    """The best of those that are not barred; None: each is. The order in which they are told changes nothing."""
    open_ = [each for each in options if each.barred is None]
    if not open_:
        return None
    ranked = sorted(open_, key=_key(open_, tolerance_s))
    return Choice(option=ranked[0], rule=_rule(ranked, tolerance_s), others=len(ranked) - 1)


def order(options: Iterable[Option], *, tolerance_s: int = TOLERANCE_S) -> Sequence[Option]:
    """All of them, the best first; those that are barred last, by name."""
    known = list(options)
    open_ = [each for each in known if each.barred is None]
    return [*sorted(open_, key=_key(open_, tolerance_s)), *sorted(_barred(known), key=lambda each: each.offering_id)]


def broken(free_of_nodes: Sequence[int], *, node_units: int, nodes: int, units: int) -> int:
    """Units that are left over of nodes that were whole, if a job of so many units on so many nodes takes its place.

    free_of_nodes: of each node that works. A part of a node goes where the least is left over. 0: nothing is known.
    """
    if not free_of_nodes or units <= 0 or nodes < 1:
        return 0
    part = -(-units // nodes)
    fitting = sorted(free for free in free_of_nodes if free >= part)
    return sum(free - part for free in fitting[:nodes] if free == node_units)


def _barred(options: Sequence[Option]) -> list[Option]:
    return [each for each in options if each.barred is not None]


def _key(options: Sequence[Option], tolerance_s: int) -> Callable[[Option], Key]:
    waits = [_expected_s(each) for each in options if not each.starts_now]
    soon_s = min(waits, default=0) + tolerance_s

    def key(each: Option) -> Key:
        wait_s = 0 if each.starts_now else _expected_s(each)
        late_s = 0 if each.starts_now or wait_s <= soon_s else wait_s
        return (int(not each.starts_now), late_s, each.ceiling_micro_yen, each.broken, wait_s, each.offering_id)

    return key


def _expected_s(each: Option) -> int:
    return _NEVER_S if each.expected_s is None else each.expected_s


_RULES: Final = (Rule.STARTS_NOW, Rule.STARTS_EARLIER, Rule.CHEAPER, Rule.FEWER_BROKEN, Rule.STARTS_EARLIER)


def _rule(ranked: Sequence[Option], tolerance_s: int) -> Rule:
    """The first part of the key in which the best is before the next one."""
    if len(ranked) == 1:
        return Rule.ONLY
    key = _key(ranked, tolerance_s)
    pairs = zip(_RULES, key(ranked[0]), key(ranked[1]), strict=False)
    return next((rule for rule, best, other in pairs if best != other), Rule.BY_NAME)
