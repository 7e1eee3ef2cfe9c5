"""The audit's own rules of money, by hand. A GPU-second costs 100 micro-yen; tax is 10 %."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.audit.books import Attempt, Book, Part, Posted, Price, Rated, Usage, check, possible_charges

NOW = datetime(2026, 4, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ATTEMPT = UUID(int=1)
PRICE = Price(per=Decimal(1), price=100, list=150, market=200)


def usage(n: int, seconds: int, at: datetime = NOW, *, corrects: int | None = None, row: int | None = None) -> Usage:
    return Usage(
        id=UUID(int=n),
        row_id=UUID(int=row or n),
        attempt_id=ATTEMPT,
        component="gpu_s",
        quantity=Decimal(seconds),
        supersedes=None if corrects is None else UUID(int=corrects),
        recorded_at=at,
    )


def book(*usages: Usage, closed_at: datetime | None = NOW, ending: str = "succeeded", **changed: object) -> Book:
    """A job for 1 GPU and 100 s, whose ceiling (10,000) is held from a grant."""
    made = Book(
        job_id=UUID(int=99),
        gpus=1,
        shots=0,
        walltime_s=100,
        ceiling=10_000,
        tax_rate_bp=1000,
        promised={"gpu_s": (Decimal(100), 10_000)},
        closed_at=closed_at,
        prices={"gpu_s": PRICE},
        attempts=[Attempt(id=ATTEMPT, ending=ending, accounting_final_at=NOW)],
        usages=usages,
        rated={},
        charged_on_lines=0,
        posted=Posted(claimed={"grant": 10_000}),
    )
    return replace(made, **changed)


def kept(of: Book, charge: int) -> Book:
    """With the postings and lines that a charge of a job with one record demands."""
    [used] = of.usages
    rated = Rated(quantity=used.quantity, price=int(used.quantity) * 100, list=int(used.quantity) * 150,
                  market=int(used.quantity) * 200)  # fmt: skip
    posted = replace(of.posted, earned=rated.price, overrun=charge - rated.price)
    return replace(of, rated={used.id: rated}, charged_on_lines=charge, posted=posted)


def found(of: Book) -> list[str]:
    return [each.check for each in check(of)]


def test_what_ran_is_charged_at_the_frozen_price() -> None:
    assert possible_charges(book(usage(1, 60))) == {6000}
    assert found(kept(book(usage(1, 60)), 6000)) == []


def test_never_more_than_the_ceiling() -> None:
    assert possible_charges(book(usage(1, 130))) == {10_000}
    assert found(kept(book(usage(1, 130)), 10_000)) == []


@pytest.mark.parametrize("ending", ["lost", "preempted", "never_ran"])
def test_what_is_not_the_users_fault_costs_nothing(ending: str) -> None:
    lost = book(usage(1, 60), ending=ending)
    assert possible_charges(lost) == {0}
    rated = kept(lost, 0).rated
    assert found(replace(lost, rated=rated)) == []


def test_an_amount_is_rounded_down_and_a_ceiling_up() -> None:
    third = replace(PRICE, per=Decimal(3))
    odd = book(usage(1, 50), prices={"gpu_s": third}, ceiling=3334)
    assert possible_charges(odd) == {1666}
    assert "ceiling-differs" not in found(odd)
    assert "ceiling-differs" in found(replace(odd, ceiling=3333))


def test_a_correction_counts_both_ways_while_the_hold_is_open() -> None:
    assert possible_charges(book(usage(1, 60), usage(2, 90, corrects=1), closed_at=None)) == {9000}
    assert possible_charges(book(usage(1, 60), usage(2, 30, corrects=1), closed_at=None)) == {3000}


def test_after_the_release_the_charge_only_falls() -> None:
    later = [NOW + n * 10 * MINUTE for n in range(4)]
    assert possible_charges(book(usage(1, 60), usage(2, 90, later[1], corrects=1))) == {6000}
    fell = [usage(1, 60), usage(2, 30, later[1], corrects=1), usage(3, 50, later[2], corrects=2)]
    assert possible_charges(book(*fell)) == {3000}


def test_a_correction_long_before_the_release_counts_in_full() -> None:
    corrected = [usage(1, 60), usage(2, 90, NOW + MINUTE, corrects=1)]
    assert possible_charges(book(*corrected, closed_at=NOW + 60 * MINUTE)) == {9000}


def test_the_first_record_is_before_the_release_whatever_the_clocks_say() -> None:
    assert possible_charges(book(usage(1, 60), closed_at=NOW - 10 * MINUTE)) == {6000}


def test_what_came_together_with_the_release_may_stand_on_either_side() -> None:
    assert possible_charges(book(usage(1, 60), usage(2, 90, NOW + MINUTE, corrects=1))) == {6000, 9000}


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 30)), min_size=1, max_size=4), st.integers(0, 30))
def test_a_charge_is_never_above_the_ceiling_and_always_possible(rows: list[tuple[int, int]], closed: int) -> None:
    moments = sorted(at for _, at in rows)
    usages = [
        usage(n, seconds, NOW + at * MINUTE, corrects=n - 1 if n > 1 else None)
        for n, ((seconds, _), at) in enumerate(zip(rows, moments, strict=True), start=1)
    ]
    first = replace(book(*usages), closed_at=NOW + closed * MINUTE)
    complete = replace(first, attempts=[replace(first.attempts[0], accounting_final_at=usages[0].recorded_at)])
    possible = possible_charges(complete)
    assert possible
    assert all(0 <= charge <= 10_000 for charge in possible)


def test_tax_falls_on_what_grants_do_not_cover() -> None:
    paid = book(usage(1, 60), posted=Posted(claimed={"grant": 1000, "prepaid": 2000, "credit": 7900}))
    right = replace(
        kept(paid, 6000).posted, tax=500, owed=-3500
    )  # 1,000 granted; 5,000 + tax: 2,000 prepaid, 3,500 owed
    assert found(replace(kept(paid, 6000), posted=right)) == []
    assert found(replace(kept(paid, 6000), posted=replace(right, tax=499))) == ["tax-differs"]
    assert found(replace(kept(paid, 6000), posted=replace(right, owed=-3499))) == ["debt-differs"]


def test_an_open_hold_holds_what_is_not_drawn() -> None:
    waiting = book(closed_at=None, posted=Posted(held=10_000, claimed={"grant": 10_000}))
    assert found(waiting) == []
    assert found(replace(waiting, posted=replace(waiting.posted, held=9_999))) == ["held-differs"]


def test_each_wrong_amount_has_a_name() -> None:
    right = kept(book(usage(1, 60)), 6000)
    [line] = right.rated.values()
    wrong = {
        "charge-differs": replace(right, posted=replace(right.posted, earned=6001)),
        "charge-on-lines-differs": replace(right, charged_on_lines=5999),
        "rated-line-differs": replace(right, rated={UUID(int=1): replace(line, list=1)}),
        "rated-line-without-usage": replace(right, rated={**right.rated, UUID(int=7): line}),
        "overrun-differs": replace(right, posted=replace(right.posted, earned=6001, overrun=-1)),
        "hold-differs": replace(right, posted=replace(right.posted, claimed={"grant": 9_999})),
        "promised-quantity-differs": replace(right, walltime_s=101),
        "promised-without-price": replace(right, promised={**right.promised, "tpu_s": (Decimal(1), 1)}),
        "held-differs": replace(right, posted=replace(right.posted, held=1)),
    }
    for name, corrupted in wrong.items():
        assert name in found(corrupted), name


def _place(price: Price) -> Part:
    most = 100 * price.price
    return Part(
        phase="main", gpus=1, shots=0, walltime_s=100, ceiling=most, promised={"gpu_s": (Decimal(100), most)},
        prices={"gpu_s": price},
    )  # fmt: skip


def test_a_job_that_may_run_in_several_places_was_promised_the_dearest_and_pays_where_it_ran() -> None:
    placed = book(
        usage(1, 60),
        prices={"gpu_s": replace(PRICE, price=70)},  # of the offering where it waited at first
        attempts=[Attempt(id=ATTEMPT, ending="succeeded", accounting_final_at=NOW, offering="dear")],
        places={"cheap": _place(replace(PRICE, price=70)), "dear": _place(PRICE)},
    )
    assert possible_charges(placed) == {6000}
    assert found(kept(placed, 6000)) == []
    elsewhere = replace(placed, attempts=[replace(placed.attempts[0], offering="cheap")])
    assert possible_charges(elsewhere) == {4200}
    assert "charge-differs" in found(kept(elsewhere, 6000))
    assert found(replace(kept(placed, 6000), ceiling=7000))[0] == "ceiling-differs"
    least = replace(kept(placed, 6000), promised=placed.places["cheap"].promised)
    assert found(least) == ["promised-quantity-differs"]


def test_each_run_after_a_timeout_is_promised_too() -> None:
    twice = book(closed_at=None, runs=2, ceiling=20_000, promised={"gpu_s": (Decimal(200), 20_000)},
                 posted=Posted(held=20_000, claimed={"grant": 20_000}))  # fmt: skip
    assert found(twice) == []
