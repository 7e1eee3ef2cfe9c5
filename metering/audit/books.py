"""A job's money as its facts demand it, and what its books say. Pure.

The rules, in this module's own words: a quantity costs quantity × price ÷ per, rounded down to a micro-yen. GPU time of
fewer GPUs than a price says is dearer by its premium, and less than its minimum time counts as that. An attempt
that ended by itself, failed or was cancelled by its user is charged; every other costs nothing; or as the refund matrix
said of it when it ended. A job is never charged more than its ceiling; once its hold is closed its charge never grows;
what was decided to be given back of it is taken off. Grants pay first, without tax; the rest is taxed
as a whole, the tax rounded down to a micro-yen. What was used and not charged is the house's overrun.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import groupby, permutations, product
from math import ceil, floor
from uuid import UUID

from metering.audit.model import Difference

CHARGED_ENDINGS = frozenset({"succeeded", "failed", "cancelled"})
_WHOLE = 10_000
_MOST_PERMUTED = 3
_CLOCKS = timedelta(minutes=2)
"""A loop's facts carry the instant at which its tick began: two loops differ by the length of a tick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Of `per` units, in micro-yen."""

    per: Decimal
    price: int
    list: int
    market: int
    slice_below_gpus: int = 0
    premium_bp: int = 0
    minimum_s: int = 0
    """These three of GPU time alone."""

    def of_slice(self) -> Price:
        """With the premium, rounded down."""
        dearer = {name: getattr(self, name) * (10_000 + self.premium_bp) // 10_000 for name in ("price", "list")}
        return replace(self, **dearer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    id: UUID
    ending: str | None
    accounting_final_at: datetime | None
    phase: str = "main"
    offering: str = ""
    charged_bp: int | None = None
    """What of it is charged, in 1/100 of a percent, as the refund matrix said when it ended; None: by its ending."""

    @property
    def share_bp(self) -> int:
        if self.charged_bp is not None:
            return self.charged_bp
        return _WHOLE if self.ending in CHARGED_ENDINGS else 0

    @property
    def is_rated(self) -> bool:
        return self.ending is not None and self.accounting_final_at is not None

    @property
    def is_charged(self) -> bool:
        return self.is_rated and self.share_bp > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    id: UUID
    row_id: UUID
    attempt_id: UUID
    component: str
    quantity: Decimal
    supersedes: UUID | None
    recorded_at: datetime
    ran_s: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """Sum of the rated lines of one usage record."""

    quantity: Decimal = Decimal(0)
    price: int = 0
    list: int = 0
    market: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """Sums of a job's ledger entries by bucket, and what its hold claimed by kind of lot."""

    earned: int = 0
    overrun: int = 0
    tax: int = 0
    owed: int = 0
    held: int = 0
    claimed: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What was promised of one phase of a job, or of the job on one offering, and the prices of that offering."""

    phase: str
    gpus: int
    shots: int
    walltime_s: int
    """Of one run."""
    ceiling: int
    promised: Mapping[str, tuple[Decimal, int]]
    prices: Mapping[str, Price]
    runs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Everything about one job's money."""

    job_id: UUID
    gpus: int
    shots: int
    walltime_s: int
    ceiling: int
    tax_rate_bp: int
    promised: Mapping[str, tuple[Decimal, int]]
    """Component → most quantity and its amount, as quoted."""
    closed_at: datetime | None
    prices: Mapping[str, Price]
    attempts: Sequence[Attempt]
    usages: Sequence[Usage]
    rated: Mapping[UUID, Rated]
    charged_on_lines: int
    posted: Posted
    runs: int = 1
    refunded: int = 0
    """What was decided to be given back of it."""
    parts: Sequence[Part] = ()
    """Of a job with phases: its ceiling is the sum of theirs, and each attempt has the prices of its phase."""
    places: Mapping[str, Part] = field(default_factory=dict)
    """Of a job that may run on one of several offerings, by offering: its promise is that of the dearest, and each
    attempt has the prices of the one where it was placed."""


def check(book: Book) -> list[Difference]:
    """Everything in which the books differ from the facts."""
    return [*_promise(book), *_lines(book), *_charge(book)]


# --- the promise ----------------------------------------------------------------------------------------------------


def _promise(book: Book) -> Iterable[Difference]:
    """Ceiling: each component's most quantity at its price, rounded up, added up; so of each phase and each place."""
    parts: Sequence[Part | Book] = book.parts or list(book.places.values()) or [book]
    for part in parts:
        yield from _part(book, part)
    ceilings = [part.ceiling for part in parts]
    wanted_ceiling = max(ceilings) if book.places else sum(ceilings)
    if wanted_ceiling != book.ceiling:
        yield _of(book, "ceiling-differs", wanted_ceiling, book.ceiling)
    if book.places and book.promised not in [each.promised for each in parts if each.ceiling == wanted_ceiling]:
        yield _of(book, "promised-quantity-differs", "what the dearest place promises", _promises(book))
    claimed, wanted_claim = sum(book.posted.claimed.values()), _cover(book, book.ceiling).total
    if claimed != wanted_claim:
        yield _of(book, "hold-differs", wanted_claim, claimed)


def _part(book: Book, part: Part | Book) -> Iterable[Difference]:
    most = {name: quantity for name, (quantity, _) in part.promised.items()}
    least_s = part.prices["gpu_s"].minimum_s if "gpu_s" in part.prices else 0
    wanted = {"gpu_s": Decimal(part.gpus * max(part.walltime_s, least_s) * part.runs), "shot": Decimal(part.shots)}
    for name, quantity in wanted.items():
        if name in part.prices and most.get(name, Decimal(0)) != quantity:
            yield _of(book, "promised-quantity-differs", f"{quantity} {name}", most.get(name, 0))
    if unpriced := sorted(most.keys() - part.prices.keys()):
        yield _of(book, "promised-without-price", "a price for each component", ", ".join(unpriced))
        return
    prices = {
        name: each.of_slice() if part.gpus < each.slice_below_gpus else each for name, each in part.prices.items()
    }
    ceiling = sum(ceil(_worth(quantity, prices[name], "price")) for name, quantity in most.items())
    if ceiling != part.ceiling:
        yield _of(book, "ceiling-differs", ceiling, part.ceiling)


def _quoted(part: Part | Book, name: str) -> Price:
    price = part.prices[name]
    return price.of_slice() if part.gpus < price.slice_below_gpus else price


# --- rated lines ----------------------------------------------------------------------------------------------------


def _lines(book: Book) -> Iterable[Difference]:
    """Each record that counts stands rated in full at the frozen price; every other one stands at nothing."""
    standing = {usage.id for usage in _counting(book.usages) if _attempt(book, usage).is_rated}
    for usage in book.usages:
        price = _prices(book, usage).get(usage.component)
        wanted = Rated() if usage.id not in standing or price is None else _rated(usage, price)
        found = book.rated.get(usage.id, Rated())
        if found != wanted:
            yield Difference(
                check="rated-line-differs",
                subject=f"usage-record:{usage.id}",
                expected=_told(wanted),
                found=_told(found),
            )
    for stranger in book.rated.keys() - {usage.id for usage in book.usages}:
        yield Difference(
            check="rated-line-without-usage",
            subject=f"usage-record:{stranger}",
            expected="a usage record",
            found=_told(book.rated[stranger]),
        )


def _rated(usage: Usage, told: Price) -> Rated:
    quantity, price = _counted(usage, told), _dear(usage, told)
    return Rated(
        quantity=quantity,
        price=floor(_worth(quantity, price, "price")),
        list=floor(_worth(quantity, price, "list")),
        market=floor(_worth(quantity, price, "market")),
    )


# --- the charge -----------------------------------------------------------------------------------------------------


def _charge(book: Book) -> Iterable[Difference]:
    bases = possible_charges(book)
    possible = {_less_refunds(book, base) for base in bases}
    posted = book.posted.earned + book.posted.overrun
    told = " or ".join(map(str, sorted(possible)))
    if posted not in possible:
        yield _of(book, "charge-differs", told, posted)
    if book.charged_on_lines not in possible:
        yield _of(book, "charge-on-lines-differs", told, book.charged_on_lines)
    if posted != book.charged_on_lines:
        yield _of(book, "lines-differ-from-ledger", posted, book.charged_on_lines)
    yield from _postings(book, posted)
    yield from _overrun(book, [base for base in bases if _less_refunds(book, base) == posted] or sorted(bases))


def _less_refunds(book: Book, charge: int) -> int:
    """What is left of a charge when all that was decided to be given back of the job is."""
    return max(0, charge - book.refunded)


def _overrun(book: Book, bases: Sequence[int]) -> Iterable[Difference]:
    """What was used and not charged, refunds aside, is the house's."""
    wanted = {base - _used(book, _counting(book.usages)) for base in bases}
    if book.posted.overrun not in wanted:
        yield _of(book, "overrun-differs", " or ".join(map(str, sorted(wanted))), book.posted.overrun)


def _postings(book: Book, charge: int) -> Iterable[Difference]:
    """Tax, debt and what is still held follow from the charge."""
    drawn = _cover(book, charge)
    posted = book.posted
    still_held = _cover(book, book.ceiling).total - drawn.total if book.closed_at is None else 0
    for check_name, wanted, found in (
        ("tax-differs", drawn.tax, posted.tax),
        ("debt-differs", -drawn.on_credit, posted.owed),
        ("held-differs", still_held, posted.held),
    ):
        if wanted != found:
            yield _of(book, check_name, wanted, found)


def possible_charges(book: Book) -> set[int]:
    """What the job may have been charged. One amount, unless records came together with the closing of the hold, or
    within the difference of two loops' clocks: then their order, which decides, is not known.
    """
    if book.closed_at is None:
        return {min(_used(book, _counting(book.usages)), book.ceiling)}
    complete_at = _complete_at(book)
    if complete_at is None:
        return {0}
    # The hold is closed after the last charged attempt's accounting is complete, whatever the clocks say.
    before = [usage for usage in book.usages if usage.recorded_at < complete_at]
    later = [usage for usage in book.usages if usage.recorded_at >= complete_at]
    return {
        charge
        for order in _orders(later)
        for charge in _charges(book, before, order, closed_at=book.closed_at, complete_at=complete_at)
    }


def _charges(
    book: Book, before: list[Usage], order: Sequence[list[Usage]], *, closed_at: datetime, complete_at: datetime
) -> Iterable[int]:
    """For each place in the order at which the hold may have been closed: from then on the charge only falls."""
    seen, used = list(before), [_used(book, _counting(before))]
    for row in order:
        seen += row
        used.append(_used(book, _counting(seen)))
    moments = [row[0].recorded_at for row in order]
    first = 1 if complete_at in moments else 0
    for place in range(first, len(used)):
        too_soon = any(at < closed_at - _CLOCKS for at in moments[place:])
        too_late = any(at > closed_at + _CLOCKS and at != complete_at for at in moments[:place])
        if not (too_soon or too_late):
            yield min([book.ceiling, *used[place:]])


def _complete_at(book: Book) -> datetime | None:
    """When the last charged attempt's accounting was known to be complete; None: nothing is charged."""
    moments = [each.accounting_final_at for each in book.attempts if each.is_charged]
    return max((at for at in moments if at is not None), default=None)


def _orders(usages: Iterable[Usage]) -> Iterable[list[list[Usage]]]:
    """Rows, each with its usages, in every order that their instants allow."""
    by_instant: list[list[list[Usage]]] = []
    for _, together in groupby(sorted(usages, key=lambda each: each.recorded_at), key=lambda each: each.recorded_at):
        rows = [list(of_row) for _, of_row in groupby(sorted(together, key=_row_key), key=_row_key)]
        by_instant.append(rows)
    for choice in product(*(_arrangements(rows) for rows in by_instant)):
        yield [row for rows in choice for row in rows]


def _arrangements(rows: list[list[Usage]]) -> Iterable[Sequence[list[Usage]]]:
    return permutations(rows) if len(rows) <= _MOST_PERMUTED else [rows]


def _used(book: Book, counting: Iterable[Usage]) -> int:
    """Worth of what is charged, before the ceiling."""
    return sum(
        _rated(usage, _prices(book, usage)[usage.component]).price * _attempt(book, usage).share_bp // _WHOLE
        for usage in counting
        if usage.component in _prices(book, usage) and _attempt(book, usage).is_charged
    )


def _prices(book: Book, usage: Usage) -> Mapping[str, Price]:
    """Those of its attempt's phase, or of the offering where it was placed."""
    attempt = _attempt(book, usage)
    if attempt.offering in book.places:
        return book.places[attempt.offering].prices
    return next((part.prices for part in book.parts if part.phase == attempt.phase), book.prices)


# --- who pays -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cover:
    total: int
    tax: int
    on_credit: int


def _cover(book: Book, net: int) -> _Cover:
    """What an amount without tax takes from what the hold claimed: grants, then prepaid, then credit."""
    claimed = book.posted.claimed
    granted = min(net, claimed.get("grant", 0))
    tax = (net - granted) * book.tax_rate_bp // 10_000
    gross = net - granted + tax
    return _Cover(total=granted + gross, tax=tax, on_credit=max(0, gross - claimed.get("prepaid", 0)))


def _counted(usage: Usage, price: Price) -> Decimal:
    """As if it had run the minimum time, rounded down to a millionth."""
    if not 0 < usage.ran_s < price.minimum_s:
        return usage.quantity
    return Decimal(floor(Fraction(usage.quantity) * 10**6 * price.minimum_s / Fraction(usage.ran_s))) / 10**6


def _dear(usage: Usage, price: Price) -> Price:
    """Units × time below slice × time: fewer units than a slice has."""
    return price.of_slice() if usage.quantity < price.slice_below_gpus * usage.ran_s else price


def _worth(quantity: Decimal, price: Price, at: str) -> Fraction:
    return Fraction(quantity) * int(getattr(price, at)) / Fraction(price.per)


def _counting(usages: Iterable[Usage]) -> list[Usage]:
    known = list(usages)
    replaced = {usage.supersedes for usage in known}
    return [usage for usage in known if usage.id not in replaced]


def _attempt(book: Book, usage: Usage) -> Attempt:
    unknown = Attempt(id=usage.attempt_id, ending=None, accounting_final_at=None)
    return next((each for each in book.attempts if each.id == usage.attempt_id), unknown)


def _row_key(usage: Usage) -> str:
    return str(usage.row_id)


def _promises(book: Book) -> str:
    return ", ".join(f"{quantity} {name} for {amount}" for name, (quantity, amount) in sorted(book.promised.items()))


def _told(rated: Rated) -> str:
    return f"{rated.quantity.normalize():f} worth {rated.price} (list {rated.list}, market {rated.market})"


def _of(book: Book, check_name: str, expected: object, found: object) -> Difference:
    return Difference(check=check_name, subject=f"job:{book.job_id}", expected=str(expected), found=str(found))
