"""What the API answers, as values: money an exact Decimal in yen, times aware, the whole answer kept in `raw`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn, TypeVar, cast

from kyoyo.errors import Unavailable

T = TypeVar("T")
Json = Mapping[str, Any]
ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "PREEMPTED", "LOST"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayPlace:
    """Which task of which array a job is; `number` is the array's, that of its first task."""

    number: int
    index: int
    tasks: int

    @classmethod
    def of(cls, told: object) -> ArrayPlace | None:
        """Read the place, or nothing."""
        place = Fields(told if isinstance(told, Mapping) else {})
        number, index = place.optional_integer("number"), place.optional_integer("index")
        if number is None or index is None:
            return None
        return cls(number=number, index=index, tasks=place.integer("tasks", 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a job on a machine."""

    ordinal: int
    state: str
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    reason: str
    raw: Json

    @classmethod
    def of(cls, told: object) -> Attempt:
        """Read an attempt of a Job."""
        attempt = Fields(told)
        return cls(
            ordinal=attempt.integer("ordinal", 1),
            state=attempt.text("state", ""),
            started_at=attempt.instant("started_at"),
            ended_at=attempt.instant("ended_at"),
            exit_code=attempt.optional_integer("exit_code"),
            reason=attempt.text("reason", ""),
            raw=attempt.told,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """When a waiting job should start: as likely before `p50_at` as after, before `p90_at` in nine of ten cases.

    None: not within the time that is foreseen. `position`: its rank of starting. `ahead`: how many start before it, by
    cause ('own', 'due', 'below_share', 'fits'). `sentence`: all that in words, where a single job was asked for.
    """

    as_of: datetime | None
    position: int
    p50_at: datetime | None
    p90_at: datetime | None
    ahead: Mapping[str, int]
    sentence: str

    @classmethod
    def of(cls, told: object, sentence: str) -> Forecast | None:
        """Read a forecast, or nothing."""
        if not isinstance(told, Mapping):
            return None
        forecast = Fields(told)
        ahead = forecast.inner("ahead")
        return cls(
            as_of=forecast.instant("as_of"),
            position=forecast.integer("position", 0),
            p50_at=forecast.instant("p50_at"),
            p90_at=forecast.instant("p90_at"),
            ahead={cause: ahead.integer(cause, 0) for cause in ahead.told},
            sentence=sentence,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What would change that a job waits: a machine word ('fewer_gpus', 'own_ends', …), its facts, and a sentence."""

    code: str
    facts: Json
    sentence: str

    @classmethod
    def of(cls, told: object) -> Remedy:
        """Read a remedy."""
        remedy = Fields(told)
        return cls(code=remedy.text("code", ""), facts=remedy.inner("facts").told, sentence=remedy.text("sentence", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A job as the portal last told it. A word in `state` that we do not know counts as not ended."""

    id: str
    name: str
    kind: str
    state: str
    offering: str
    backend: str
    project: str
    gpus: int
    shots: int
    walltime_s: int
    submitted_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    reason: str
    attempt_count: int
    quote_yen: Decimal | None
    held_yen: Decimal | None
    charge_yen: Decimal | None
    waiting: str
    raw: Json
    number: int | None = None
    nodes: int = 1
    service_class: str = ""
    max_timeouts: int = 0
    begin_at: datetime | None = None
    array: ArrayPlace | None = None
    dependencies: Sequence[Json] = ()
    attempts: Sequence[Attempt] = ()
    forecast: Forecast | None = None
    remedies: Sequence[Remedy] = ()
    """What would change that it waits, the quickest first, where a single job was asked for."""

    @property
    def label(self) -> str:
        """What a person calls it: N, N_k for a task of an array, or its id where the portal numbers nothing."""
        if self.array is not None:
            return f"{self.array.number}_{self.array.index}"
        return self.id if self.number is None else str(self.number)

    @property
    def handle(self) -> str:
        """What a submission answers with, and what stands for all tasks of an array."""
        return self.label if self.array is None else str(self.array.number)

    @property
    def ended(self) -> bool:
        """Whether its newest attempt is over for good."""
        return self.state in ENDED

    @property
    def succeeded(self) -> bool:
        """Ended by itself with exit code 0."""
        return self.state == "SUCCEEDED"

    @classmethod
    def of(cls, told: object) -> JobRecord:
        """Read a Job of the API."""
        job = Fields(told)
        return cls(
            id=job.text("id"),
            name=job.text("name", ""),
            kind=job.text("kind", ""),
            state=job.text("state"),
            offering=job.text("offering", ""),
            backend=job.text("backend", ""),
            project=job.text("project", ""),
            gpus=job.integer("gpus", 0),
            shots=job.integer("shots", 0),
            walltime_s=job.integer("walltime_s", 0),
            submitted_at=job.instant("submitted_at"),
            started_at=job.instant("started_at"),
            ended_at=job.instant("ended_at"),
            exit_code=job.optional_integer("exit_code"),
            reason=job.text("reason", ""),
            attempt_count=job.integer("attempt_count", 1),
            quote_yen=job.yen("quote_yen"),
            held_yen=job.yen("held_yen"),
            charge_yen=job.yen("charge_yen"),
            waiting=job.inner("waiting").text("sentence", ""),
            raw=job.told,
            number=job.optional_integer("number"),
            nodes=job.integer("nodes", 1),
            service_class=job.text("service_class", ""),
            max_timeouts=job.integer("max_timeouts", 0),
            begin_at=job.instant("begin_at"),
            array=ArrayPlace.of(job.told.get("array")),
            dependencies=job.items(lambda each: Fields(each).told, "dependencies"),
            attempts=job.items(Attempt.of, "attempts"),
            forecast=Forecast.of(job.told.get("forecast"), job.inner("waiting").text("forecast", "")),
            remedies=job.inner("waiting").items(Remedy.of, "remedies"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Some jobs, newest first; `next_cursor` leads to the older ones."""

    items: Sequence[JobRecord]
    next_cursor: str | None
    raw: Json

    @classmethod
    def of(cls, told: object) -> JobPage:
        """Read a page of jobs."""
        page = Fields(told)
        return cls(items=page.items(JobRecord.of), next_cursor=page.text("next_cursor", "") or None, raw=page.told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a job would cost. Never more than the ceiling; `admissible`: the wallet covers it now."""

    offering: str
    ceiling_yen: Decimal
    ceiling_with_tax_yen: Decimal
    expected_yen: Decimal
    available_yen: Decimal | None
    admissible: bool
    raw: Json

    @classmethod
    def of(cls, told: object) -> Estimate:
        """Read an estimate."""
        estimate = Fields(told)
        return cls(
            offering=estimate.text("offering", ""),
            ceiling_yen=estimate.needed_yen("ceiling_yen"),
            ceiling_with_tax_yen=estimate.needed_yen("ceiling_with_tax_yen"),
            expected_yen=estimate.needed_yen("expected_yen"),
            available_yen=estimate.yen("available_yen"),
            admissible=estimate.told.get("admissible") is True,
            raw=estimate.told,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Price of `per` units of a component for this organisation, without tax, beside list and market."""

    service_class: str
    component: str
    per: Decimal
    price_yen: Decimal
    list_yen: Decimal | None
    market_yen: Decimal | None

    @classmethod
    def of(cls, told: object) -> Price:
        """Read one price."""
        price = Fields(told)
        return cls(
            service_class=price.text("service_class", "standard"),
            component=price.text("component"),
            per=price.needed_yen("per"),
            price_yen=price.needed_yen("price_yen"),
            list_yen=price.yen("list_yen"),
            market_yen=price.yen("market_yen"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """What can be bought. `limits` and `hardware` as the API gives them."""

    id: str
    kind: str
    title: str
    limits: Json
    hardware: Json
    prices: Sequence[Price]
    raw: Json

    @classmethod
    def of(cls, told: object) -> Offering:
        """Read one offering."""
        offering = Fields(told)
        return cls(
            id=offering.text("id"),
            kind=offering.text("kind"),
            title=offering.text("title", ""),
            limits=offering.inner("limits").told,
            hardware=offering.inner("hardware").told,
            prices=offering.items(Price.of, "prices"),
            raw=offering.told,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Money of one job, without tax: promised at most, still held, charged. `charge_yen` is None until settled."""

    quote_yen: Decimal | None
    held_yen: Decimal | None
    charge_yen: Decimal | None


class Fields:
    """Reads a JSON object with types; what a server of another version leaves out gets its default."""

    def __init__(self, told: object) -> None:
        if not isinstance(told, Mapping):
            raise Unavailable("unexpected-answer", f"expected an object, got {type(told).__name__}")
        self.told: Json = told

    def text(self, name: str, default: str | None = None) -> str:
        """A string; null counts as absent."""
        value = self.told.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            self._bad(name)
        return value

    def integer(self, name: str, default: int) -> int:
        """A whole number; null counts as absent."""
        value = self.optional_integer(name)
        return default if value is None else value

    def optional_integer(self, name: str) -> int | None:
        """A whole number or nothing."""
        value = self.told.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            self._bad(name)
        return value

    def number(self, name: str) -> float | None:
        """A number or nothing."""
        value = self.told.get(name)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            self._bad(name)
        return float(value)

    def integers(self, name: str) -> Sequence[int]:
        """A list of whole numbers; empty when absent."""
        values = self.items(lambda each: each, name)
        if not all(type(value) is int for value in values):
            self._bad(name)
        return cast("Sequence[int]", values)

    def numbers(self, name: str) -> Sequence[float]:
        """A list of numbers, null read as NaN; empty when absent."""
        values = self.items(lambda each: each, name)
        if not all(value is None or type(value) in {int, float} for value in values):
            self._bad(name)
        return [math.nan if value is None else float(cast("float", value)) for value in values]

    def yen(self, name: str) -> Decimal | None:
        """An exact amount from its decimal string, or nothing."""
        value = self.told.get(name)
        if value is None:
            return None
        if not isinstance(value, str | int) or isinstance(value, bool):
            self._bad(name)
        try:
            amount = Decimal(value)
        except InvalidOperation:
            self._bad(name)
        return amount if amount.is_finite() else self._bad(name)

    def needed_yen(self, name: str) -> Decimal:
        """An exact amount that must be there."""
        amount = self.yen(name)
        if amount is None:
            self._bad(name)
        return amount

    def instant(self, name: str) -> datetime | None:
        """An aware time or nothing."""
        value = self.told.get(name)
        try:
            return datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            self._bad(name)

    def inner(self, name: str) -> Fields:
        """The object under a name; an empty one when absent."""
        value = self.told.get(name)
        return Fields(value if isinstance(value, Mapping) else {})

    def items(self, read: Callable[[object], T], name: str = "items") -> Sequence[T]:
        """The list under a name, each read; empty when absent."""
        value = self.told.get(name)
        return [read(item) for item in value] if isinstance(value, list) else []

    def _bad(self, name: str) -> NoReturn:
        raise Unavailable("unexpected-answer", f"field {name!r}: {self.told.get(name)!r}")
