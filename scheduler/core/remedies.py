"""What would change that a job waits: machine words with facts, and a sentence for each. Pure.

What is said to start it now was tried by the dispatcher's book (book/answers.py), in the state of its last plan; the
rest follows from the facts of the reason, and from what of one's own runs. Nothing here knows of other tenants' jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from pricing.model import ServiceClass
from scheduler.core.quotas import EVERYWHERE, month_after
from scheduler.core.reasons import WOULD, Why
from scheduler.core.walls import ELIGIBILITY

Facts = Mapping[str, object]


class Do(StrEnum):
    """What to do. Part of the API."""

    FEWER_GPUS = "fewer_gpus"
    """It would start now with so many. Facts: gpus, per_node of a gang."""
    SHORTER_LIMIT = "shorter_limit"
    """It would start now with such a limit. Facts: limit_s, ends_by."""
    OTHER_OFFERING = "other_offering"
    """It would start now on one of these. Facts: offerings."""
    WITHIN_MACHINE = "within_machine"
    """Ask for no more than there is. Facts: total."""
    WITHIN_LIMIT = "within_limit"
    """With so many GPUs it would pass the limit of its branch. Facts: gpus, level, on."""
    SMALLER = "smaller"
    """With so short a limit it would pass this month's limit. Facts: limit_s, level, on."""
    OWN_ENDS = "own_ends"
    """What of one's own runs gives back enough. Facts: job, at (at the latest), jobs and gpus that end till then."""
    NEXT_MONTH = "next_month"
    """The month's limit begins anew. Facts: at."""
    RAISE_LIMIT = "raise_limit"
    """An operator may set another limit. Facts: level, on."""
    OTHER_CLASS = "other_class"
    """Spot work waits for all other: class standard would not. Facts: none."""
    AS_STANDARD = "as_standard"
    """Class standard is not bound to the reserved share. Facts: none."""
    AS_SPOT = "as_spot"
    """Spot work may use what is kept for class reserved. Facts: none."""
    AS_RESERVED = "as_reserved"
    """Its organisation's own reserved share has room for it. Facts: own."""
    RENEW = "renew_declaration"
    """The organisation's declaration of eligibility is to be renewed. Facts: at or code."""
    ADMINISTRATOR = "ask_administrator"
    """Somebody who may must put the organisation or its user in order. Facts: code."""
    NO_BEGIN_TIME = "no_begin_time"
    """Without its begin time it would take part at once. Facts: until."""
    MORE_TASKS = "more_tasks"
    """With more tasks at a time more of its array would take part. Facts: max."""
    OTHER_JOBS = "other_jobs"
    """It goes on when these have. Facts: jobs."""
    INPUT_FILES = "input_files"
    """Something is wrong with its input. Facts: problem."""
    ONLY_TIME = "only_time"
    """It starts by itself. Facts: at, as far as it is known."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """One thing to do."""

    code: Do
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a waiting job asks for. gpus: in all, on so many nodes."""

    gpus: int = 0
    nodes: int = 1
    walltime_s: int = 0
    service_class: ServiceClass = ServiceClass.STANDARD


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRun:
    """A running job of the branch whose limit it is. job: its number."""

    job: str
    gpus: int
    until: datetime
    """By its limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What else is known. offerings: those of other machines, by backend, that this job may be submitted to."""

    now: datetime
    runs: Sequence[OwnRun] = ()
    offerings: Mapping[str, Sequence[str]] = field(default_factory=dict)


def remedies(why: Why, facts: Facts, asked: Asked, known: Known) -> tuple[Remedy, ...]:
    """The quickest first; never none."""
    would = facts.get(WOULD)
    now = list(_now(would, asked, known)) if isinstance(would, Mapping) else []
    found = [*now, *_BY_REASON.get(why, _nothing)(facts, asked, known)]
    if asked.service_class is ServiceClass.SPOT and why in _FOR_ITS_TURN:
        found.append(Remedy(Do.OTHER_CLASS))
    return tuple(found) or (_time(facts),)


_FOR_ITS_TURN: Final = frozenset({Why.NO_CAPACITY, Why.RESERVED_FOR_EARLIER})


def _now(would: Facts, asked: Asked, known: Known) -> Iterator[Remedy]:
    """Of a gang each node keeps as many."""
    gpus = _whole(would.get("gpus")) // max(1, asked.nodes) * max(1, asked.nodes)
    if gpus:
        per_node = {"per_node": gpus // asked.nodes} if asked.nodes > 1 else {}
        yield Remedy(Do.FEWER_GPUS, {"gpus": gpus, **per_node})
    if would.get("limit_s"):
        yield Remedy(Do.SHORTER_LIMIT, {"limit_s": would["limit_s"], "ends_by": would.get("ends_by")})
    backends = would.get("backends")
    names = [str(each) for each in backends] if isinstance(backends, list) else []
    offerings = [each for name in names for each in known.offerings.get(name, ())]
    if offerings:
        yield Remedy(Do.OTHER_OFFERING, {"offerings": offerings})


def _nothing(facts: Facts, asked: Asked, known: Known) -> Iterator[Remedy]:
    del facts, asked, known
    yield from ()


def _time(facts: Facts) -> Remedy:
    at = facts.get("earliest") or facts.get("until")
    return Remedy(Do.ONLY_TIME, {} if at is None else {"at": at})


def _limit_of_jobs(facts: Facts, asked: Asked, known: Known) -> Iterator[Remedy]:
    del asked
    yield from _own_ends(known, 1 + _whole(facts.get("running")) - _whole(facts.get("max")), lambda _: 1)
    yield _raised(facts)


def _limit_of_gpus(facts: Facts, asked: Asked, known: Known) -> Iterator[Remedy]:
    used, most = _whole(facts.get("used")), _whole(facts.get("max"))
    if most > used and not _tried(facts, "gpus"):
        yield Remedy(Do.WITHIN_LIMIT, {"gpus": most - used, **_place(facts)})
    yield from _own_ends(known, used + asked.gpus - most, lambda run: run.gpus)
    yield _raised(facts)


def _limit_of_month(facts: Facts, asked: Asked, known: Known) -> Iterator[Remedy]:
    """Its size goes with its limit."""
    left, size = _number(facts.get("max")) - _number(facts.get("used")), _number(facts.get("asked"))
    limit_s = int(asked.walltime_s * left / size) // 60 * 60 if left > 0 and size > 0 else 0
    if limit_s > 0 and not _tried(facts, "limit_s"):
        yield Remedy(Do.SMALLER, {"limit_s": limit_s, **_place(facts)})
    yield Remedy(Do.NEXT_MONTH, {"at": month_after(known.now).isoformat()})
    yield _raised(facts)


def _limit_of_loans(facts: Facts, asked: Asked, known: Known) -> Iterator[Remedy]:
    """Of GPUs and QPUs of one machine."""
    most = _number(facts.get("max", facts.get("nominal")))
    fits = int(most - _number(facts.get("held")))
    if 0 < fits < asked.gpus and not _tried(facts, "gpus"):
        yield Remedy(Do.WITHIN_LIMIT, {"gpus": fits, "level": "organisation", "on": EVERYWHERE})
    if asked.gpus:
        yield from _own_ends(known, asked.gpus - fits, lambda run: run.gpus)
    yield Remedy(Do.RAISE_LIMIT, {"level": "organisation", "on": EVERYWHERE})


def _reserved_share(facts: Facts, asked: Asked, known: Known) -> Iterator[Remedy]:
    """Of one machine."""
    del known
    fits = int(_number(facts.get("max")) - _number(facts.get("held")))
    if 0 < fits < asked.gpus and not _tried(facts, "gpus"):
        yield Remedy(Do.WITHIN_LIMIT, {"gpus": fits, "level": "organisation", "on": EVERYWHERE})
    yield Remedy(Do.AS_STANDARD)
    yield Remedy(Do.RAISE_LIMIT, {"level": "organisation", "on": EVERYWHERE})


def _kept_for_reserved(facts: Facts, asked: Asked, known: Known) -> Iterator[Remedy]:
    del asked, known
    if _number(facts.get("own")) >= _number(facts.get("asked")) > 0:
        yield Remedy(Do.AS_RESERVED, {"own": facts["own"]})
    yield Remedy(Do.AS_SPOT)


def _wall(facts: Facts, asked: Asked, known: Known) -> Iterator[Remedy]:
    del asked, known
    if facts.get("kind") == ELIGIBILITY:
        yield Remedy(Do.RENEW, {"at": facts.get("at")})


def _not_eligible(facts: Facts, asked: Asked, known: Known) -> Iterator[Remedy]:
    del asked, known
    code = str(facts.get("code", ""))
    yield Remedy(Do.RENEW if code.startswith("declaration-") else Do.ADMINISTRATOR, {"code": code})


def _larger(facts: Facts, asked: Asked, known: Known) -> Iterator[Remedy]:
    del asked, known
    yield Remedy(Do.WITHIN_MACHINE, {"total": facts.get("total", {})})


def _begins_later(facts: Facts, asked: Asked, known: Known) -> Iterator[Remedy]:
    del asked, known
    yield Remedy(Do.NO_BEGIN_TIME, {"until": facts.get("until")})


def _throttled(facts: Facts, asked: Asked, known: Known) -> Iterator[Remedy]:
    del asked, known
    yield Remedy(Do.MORE_TASKS, {"max": facts.get("max")})


def _depends(facts: Facts, asked: Asked, known: Known) -> Iterator[Remedy]:
    del asked, known
    yield Remedy(Do.OTHER_JOBS, {"jobs": facts.get("jobs", [])})


def _stages(facts: Facts, asked: Asked, known: Known) -> Iterator[Remedy]:
    del asked, known
    if facts.get("problem"):
        yield Remedy(Do.INPUT_FILES, {"problem": facts["problem"]})


_BY_REASON: Final[Mapping[Why, Callable[[Facts, Asked, Known], Iterable[Remedy]]]] = {
    Why.RUNNING_QUOTA: _limit_of_jobs,
    Why.GPU_QUOTA: _limit_of_gpus,
    Why.NU_QUOTA: _limit_of_month,
    Why.BORROW_LIMIT: _limit_of_loans,
    Why.KEPT_SHARE: _limit_of_loans,
    Why.RESERVED_SHARE: _reserved_share,
    Why.KEPT_FOR_RESERVED: _kept_for_reserved,
    Why.WALL: _wall,
    Why.NOT_ELIGIBLE: _not_eligible,
    Why.EXCEEDS_MACHINE: _larger,
    Why.BEGIN_TIME: _begins_later,
    Why.ARRAY_THROTTLE: _throttled,
    Why.DEPENDENCY: _depends,
    Why.STAGING: _stages,
}
"""Of the others only time helps, and what would start it now."""


def _own_ends(known: Known, lacking: int, amount: Callable[[OwnRun], int]) -> Iterator[Remedy]:
    """The first end by which as much is back as is lacking, each running to its limit. None: that is not enough."""
    back = gpus = 0
    for jobs, run in enumerate(sorted(known.runs, key=lambda run: (run.until, run.job)), start=1):
        back, gpus = back + amount(run), gpus + run.gpus
        if back >= lacking > 0:
            yield Remedy(Do.OWN_ENDS, {"job": run.job, "at": run.until.isoformat(), "jobs": jobs, "gpus": gpus})
            return


def _tried(facts: Facts, name: str) -> bool:
    """Whether something that starts it now is known of this kind."""
    would = facts.get(WOULD)
    return isinstance(would, Mapping) and name in would


def _raised(facts: Facts) -> Remedy:
    return Remedy(Do.RAISE_LIMIT, _place(facts))


def _place(facts: Facts) -> dict[str, object]:
    return {name: facts[name] for name in ("level", "on") if name in facts}


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
