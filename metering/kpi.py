"""The formulas of the figures: pure functions of named facts. What they are called and mean: metering.definitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from uuid import UUID

from hpc_adapters.contract import Window
from metering.windows import contains, overlap_us, share_of, unit_seconds

_TIME_LIKE = frozenset({"gpu_s", "cpu_s"})
_STEP = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """That a person belonged to an organisation. counts: neither of them is staff or a test."""

    person_id: UUID
    organisation_id: UUID
    since: datetime
    until: datetime | None
    counts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What an attempt used of one component, in the newest revision known."""

    person_id: UUID
    organisation_id: UUID
    job_id: UUID
    backend: str
    component: str
    quantity: Decimal
    ran: Window
    counts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Units of a component that a backend has in service from an instant on."""

    backend: str
    component: str
    since: datetime
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Rated lines of the period, summed, of persons and organisations that count: micro-yen without tax.

    sold_*: of lines that were sold, that is, not wholly waived.
    """

    charged: int = 0
    sold_at_price: int = 0
    sold_at_list: int = 0
    sold_at_market: int = 0


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that the figures of one period may use, as known at one instant."""

    window: Window
    """The period, cut at the instant of knowledge: what lies after it is not known."""
    members: Sequence[Member] = ()
    uses: Sequence[Use] = ()
    """Of every job that used something in the period: all its use, also before and after."""
    units: Sequence[Units] = ()
    money: Money = field(default_factory=Money)

    @cached_property
    def real_uses(self) -> Sequence[Use]:
        """Use in the period by persons and organisations that count."""
        return [use for use in self.uses if use.counts and ran_within(use, self.window)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A value, for one resource or for all; for a ratio what was divided by what. None: nothing to divide by."""

    value: Decimal | None
    resource: str = ""
    numerator: Decimal | None = None
    denominator: Decimal | None = None


def ran_within(use: Use, window: Window) -> bool:
    """Whether it really ran for some time in the window."""
    runs_in = overlap_us(use.ran, window) > 0 or (use.ran.since == use.ran.until and contains(window, use.ran.until))
    return use.quantity > 0 and runs_in


def quantity_within(use: Use, window: Window) -> Decimal:
    """Its part in the window: what grows with time by the overlap, what is counted at the instant of the end."""
    if use.component in _TIME_LIKE:
        return share_of(use.quantity, use.ran, window)
    return use.quantity if contains(window, use.ran.until) else Decimal(0)


# --- formulas -------------------------------------------------------------------------------------------------------


def registered_persons(facts: Facts) -> frozenset[UUID]:
    return frozenset(each.person_id for each in _members(facts))


def registered_organisations(facts: Facts) -> frozenset[UUID]:
    return frozenset(each.organisation_id for each in _members(facts))


def active_persons(facts: Facts) -> frozenset[UUID]:
    return frozenset(use.person_id for use in facts.real_uses)


def active_organisations(facts: Facts) -> frozenset[UUID]:
    return frozenset(use.organisation_id for use in facts.real_uses)


def ended_jobs(facts: Facts) -> frozenset[UUID]:
    """Jobs whose last run ended in the period."""
    last_end: dict[UUID, datetime] = {}
    for use in facts.uses:
        if use.counts and use.quantity > 0:
            last_end[use.job_id] = max(use.ran.until, last_end.get(use.job_id, use.ran.until))
    return frozenset(job for job, ended_at in last_end.items() if contains(facts.window, ended_at))


def used(facts: Facts, component: str) -> Decimal:
    """What persons and organisations that count used in the period."""
    uses = (use for use in facts.uses if use.counts and use.component == component)
    return sum((quantity_within(use, facts.window) for use in uses), Decimal(0))


def utilisation(facts: Facts, component: str) -> list[Figure]:
    """Used by anybody ÷ (units in service × time), in the period as far as it is known: of all, then per backend."""
    used_by, offered_by = _used_by_backend(facts, component), _offered_by_backend(facts, component)
    backends = sorted(used_by.keys() | offered_by.keys())
    zero = Decimal(0)
    whole = _ratio("", sum(used_by.values(), zero), sum(offered_by.values(), zero))
    return [whole, *(_ratio(name, used_by.get(name, zero), offered_by.get(name, zero)) for name in backends)]


def _ratio(resource: str, numerator: Decimal, denominator: Decimal) -> Figure:
    value = (numerator / denominator).quantize(_STEP, ROUND_HALF_UP) if denominator else None
    return Figure(value=value, resource=resource, numerator=numerator, denominator=denominator)


def _used_by_backend(facts: Facts, component: str) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for use in facts.uses:
        if use.component == component and (part := quantity_within(use, facts.window)):
            total[use.backend] = total.get(use.backend, Decimal(0)) + part
    return total


def _offered_by_backend(facts: Facts, component: str) -> dict[str, Decimal]:
    changes: dict[str, list[tuple[datetime, int]]] = {}
    for each in sorted(facts.units, key=lambda each: each.since):
        if each.component == component:
            changes.setdefault(each.backend, []).append((each.since, each.units))
    offered = {backend: unit_seconds(of_backend, facts.window) for backend, of_backend in changes.items()}
    return {backend: amount for backend, amount in offered.items() if amount}


def _members(facts: Facts) -> Sequence[Member]:
    """Members at any time of the period: so the persons of a year are those of its months together."""
    since, until = facts.window.since, facts.window.until
    if since == until:
        return []  # nothing is known of the future
    return [
        each
        for each in facts.members
        if each.counts and each.since < until and (each.until is None or each.until > since)
    ]
