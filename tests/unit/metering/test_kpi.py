"""A tiny known world, and its figures by hand.

April to June 2026. aya works for alpha and beta, bob for beta until 20 May, cho (staff) for alpha; test-corp is a test.
The cluster has 2 GPUs from 1 April, 4 from 1 May; one QPU from 1 April.
"""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from hpc_adapters.contract import Window
from metering.definitions import DEFINITIONS, YEN, calculate
from metering.kpi import Facts, Member, Money, Units, Use, active_persons
from metering.periods import Period, fiscal_year, month, months_of, quarter
from metering.report import Report, as_csv, as_json
from metering.windows import clipped

APRIL, MAY, JUNE = month(2026, 4), month(2026, 5), month(2026, 6)
AYA, BOB, CHO, DAN = (UUID(int=n) for n in range(1, 5))
ALPHA, BETA, TEST = (UUID(int=n) for n in range(11, 14))
HOUR = timedelta(hours=1)
FAR = datetime(2030, 1, 1, tzinfo=UTC)

MEMBERS = [
    Member(person_id=AYA, organisation_id=ALPHA, since=APRIL.since, until=None, counts=True),
    Member(person_id=AYA, organisation_id=BETA, since=APRIL.since, until=None, counts=True),
    Member(person_id=BOB, organisation_id=BETA, since=MAY.since, until=MAY.since + timedelta(days=19), counts=True),
    Member(person_id=CHO, organisation_id=ALPHA, since=APRIL.since, until=None, counts=False),
    Member(person_id=DAN, organisation_id=TEST, since=APRIL.since, until=None, counts=False),
]


def use(job: int, who: UUID, whose: UUID, since: datetime, hours: float, gpus: int = 1, **changed: object) -> Use:
    made = Use(
        person_id=who,
        organisation_id=whose,
        job_id=UUID(int=100 + job),
        backend="cluster",
        component="gpu_s",
        quantity=gpus * 3600 * Decimal(str(hours)),
        ran=Window(since, since + hours * HOUR),
        counts=who in {AYA, BOB},
    )
    return replace(made, **changed)


def shots(job: int, ended_at: datetime, seconds: int) -> list[Use]:
    made = use(job, AYA, BETA, ended_at - timedelta(seconds=seconds), seconds / 3600, component="qpu_s")
    return [replace(made, quantity=Decimal(seconds)), replace(made, component="shot", quantity=Decimal(4000))]


USES = [
    use(1, AYA, ALPHA, APRIL.since, 10, gpus=2),  # 20 GPU-hours in April, from its first instant
    use(2, AYA, BETA, APRIL.until - 3 * HOUR, 4),  # 3 GPU-hours in April, 1 in May
    use(3, BOB, BETA, MAY.until - 2 * HOUR, 2),  # 2 GPU-hours in May, to its last instant
    use(4, CHO, ALPHA, APRIL.since + 100 * HOUR, 6),  # staff: only the machine was busy
    use(5, DAN, TEST, MAY.since + 100 * HOUR, 5),  # a test organisation
    use(6, BOB, BETA, APRIL.since + 50 * HOUR, 1, quantity=Decimal(0)),  # turned away: never ran
    *shots(7, MAY.until, 30),  # ended in the first instant of June
]
UNITS = [
    Units(backend="cluster", component="gpu_s", since=APRIL.since, units=2),
    Units(backend="cluster", component="gpu_s", since=MAY.since, units=4),
    Units(backend="cluster", component="qpu_s", since=APRIL.since, units=1),
]


def report(period: Period, *, as_known_at: datetime = FAR, money: Money | None = None) -> Report:
    facts = Facts(
        window=clipped(period.window, as_known_at), members=MEMBERS, uses=USES, units=UNITS, money=money or Money()
    )
    return Report(period=period, as_known_at=as_known_at, figures=calculate(facts))


def figures(period: Period, *keys: str) -> list[Decimal | None]:
    told = report(period)
    return [told.value(key) for key in keys]


def test_a_person_in_two_organisations_counts_once() -> None:
    assert figures(APRIL, "registered_users", "registered_organisations") == [1, 2]
    assert figures(APRIL, "active_users", "active_organisations") == [1, 2]


def test_who_left_still_counts_in_the_period_in_which_they_were_there() -> None:
    assert figures(MAY, "registered_users", "active_users") == [2, 2]
    assert figures(JUNE, "registered_users") == [1]


def test_distinct_persons_do_not_add_up_over_months() -> None:
    months = [report(each).value("registered_users") for each in (APRIL, MAY, JUNE)]
    assert (sum(months), report(quarter(2026, 1)).value("registered_users")) == (4, 2)
    facts = {each.code: Facts(window=each.window, uses=USES) for each in months_of(quarter(2026, 1))}
    assert frozenset().union(*map(active_persons, facts.values())) == {AYA, BOB}


def test_gpu_hours_are_cut_at_midnight_in_tokyo_and_add_up() -> None:
    assert figures(APRIL, "gpu_hours") == [23]
    assert figures(MAY, "gpu_hours") == [3]
    assert figures(JUNE, "gpu_hours") == [0]
    assert figures(quarter(2026, 1), "gpu_hours") == figures(fiscal_year(2026), "gpu_hours") == [26]
    assert figures(fiscal_year(2025), "gpu_hours") == [0]


def test_qpu_seconds_belong_to_the_instant_of_the_end() -> None:
    assert figures(MAY, "qpu_seconds") == [0]
    assert figures(JUNE, "qpu_seconds") == [30]


def test_a_job_counts_once_in_the_period_in_which_its_last_run_ended() -> None:
    assert [figures(each, "jobs") for each in (APRIL, MAY, JUNE)] == [[1], [1], [2]]
    # job 1 ended in April, job 2 in May; job 3 ended at May's last midnight, which is June's, and so did job 7
    assert figures(fiscal_year(2026), "jobs") == [4]


def test_utilisation_names_what_was_divided_by_what() -> None:
    told = {f.resource: f for d, f in report(APRIL).figures if d.key == "gpu_utilisation"}
    used, offered = (23 + 6) * 3600, 2 * 30 * 24 * 3600  # staff included
    assert (told["cluster"].numerator, told["cluster"].denominator) == (used, offered)
    assert told["cluster"].value == told[""].value == Decimal("0.020139")
    assert figures(MAY, "gpu_utilisation") == [(Decimal(8 * 3600) / (4 * 31 * 24 * 3600)).quantize(Decimal("0.000001"))]


def test_capacity_counts_only_as_far_as_it_is_known() -> None:
    known_to = APRIL.since + 20 * HOUR
    told = report(APRIL, as_known_at=known_to)
    assert told.value("gpu_utilisation") == Decimal("0.5")  # 20 of 40 GPU-hours
    assert not told.complete


def test_nothing_is_known_of_the_future() -> None:
    told = report(JUNE, as_known_at=APRIL.since)
    assert told.value("registered_users") == 0
    assert told.value("gpu_utilisation") is None


def test_the_discount_is_that_of_what_was_sold() -> None:
    money = Money(charged=90_000_000, sold_at_price=90_000_000, sold_at_list=120_000_000, sold_at_market=150_500_000)
    told = report(APRIL, money=money)
    keys = ("charged_yen", "discount_from_list_yen", "discount_from_market_yen")
    assert [told.value(key) for key in keys] == [90, 30, Decimal("60.5")]


def test_figures_of_money_say_that_promotions_and_the_volume_discount_are_left_out() -> None:
    of_money = [each for each in DEFINITIONS if each.unit is YEN]
    assert [each.version for each in of_money] == [2, 2, 2]
    assert all("キャンペーン割引と数量割引は含まない" in each.caveat_ja for each in of_money)
    assert all("promotions and the volume discount are left out" in each.caveat_en for each in of_money)


def test_every_definition_is_complete_in_both_languages() -> None:
    assert len({each.key for each in DEFINITIONS}) == len(DEFINITIONS)
    assert all(d.name_ja and d.name_en and d.caveat_ja and d.caveat_en and d.version >= 1 for d in DEFINITIONS)


def test_as_json_counts_are_numbers_and_the_rest_is_exact_text() -> None:
    told = as_json(report(APRIL))
    assert told["period"]["code"] == "2026-04"
    assert (told["as_known_at"], told["complete"]) == ("2030-01-01T00:00:00Z", True)
    items = {(item["key"], item["resource"]): item for item in told["items"]}
    assert items["registered_users", ""]["value"] == 1
    assert items["gpu_hours", ""]["value"] == "23"
    assert items["gpu_utilisation", "cluster"]["denominator"] == "5184000"
    assert items["qpu_utilisation", ""]["value"] == "0"


def test_as_csv_is_one_row_per_figure_with_a_byte_order_mark() -> None:
    data = as_csv(report(APRIL))
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert len(rows) == len(report(APRIL).figures)
    assert rows[0]["name_ja"] == "登録利用者数"
    assert (rows[0]["period"], rows[0]["value"], rows[0]["unit"]) == ("2026-04", "1", "person")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_name_becomes_a_formula(start: str) -> None:
    evil = replace(UNITS[0], backend=f'{start}HYPERLINK("x")')
    facts = Facts(window=APRIL.window, units=[evil])
    data = as_csv(Report(period=APRIL, as_known_at=FAR, figures=calculate(facts)))
    rows = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_a_negative_amount_stays_a_number() -> None:
    data = as_csv(report(APRIL, money=Money(charged=-1_500_000)))
    assert '"-1.5"' in data.decode("utf-8-sig")
