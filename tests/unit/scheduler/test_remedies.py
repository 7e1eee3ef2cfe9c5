"""What would change that a job waits: never nothing, in both languages, from facts alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pricing.model import ServiceClass
from scheduler.core.explain import what_helps
from scheduler.core.reasons import Why
from scheduler.core.remedies import Asked, Do, Known, OwnRun, Remedy, remedies
from scheduler.core.remedying import REMEDIES
from tests.unit.scheduler.test_explain import FACTS

NOW = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
ASKED = Asked(gpus=4, walltime_s=7200)
KNOWN = Known(now=NOW)
WOULD = {"gpus": 2, "limit_s": 11_400, "ends_by": "2026-04-01T05:20:00+00:00", "backends": ["m2", "m3"]}


def codes(why: Why, facts: dict[str, object], asked: Asked = ASKED, known: Known = KNOWN) -> list[Do]:
    return [each.code for each in remedies(why, facts, asked, known)]


@pytest.mark.parametrize("why", Why)
def test_every_reason_has_something_that_helps_in_both_languages(why: Why) -> None:
    for facts in ({}, FACTS, {**FACTS, "would": WOULD}):
        found = remedies(why, facts, ASKED, replace(KNOWN, offerings={"m2": ["a100"]}))
        assert found
        for told in map(what_helps, found):
            assert "{" not in told.ja + told.en
            assert not facts or "?" not in told.ja + told.en


def test_everything_that_can_be_done_has_its_words() -> None:
    assert set(REMEDIES) == set(Do)


def test_what_would_start_it_now_comes_first_and_is_told_with_its_figures() -> None:
    found = remedies(Why.NO_CAPACITY, {"would": WOULD}, ASKED, replace(KNOWN, offerings={"m3": ["h100"]}))
    assert [each.code for each in found] == [Do.FEWER_GPUS, Do.SHORTER_LIMIT, Do.OTHER_OFFERING]
    assert what_helps(found[0]).en == "Submitted again with 2 GPUs or fewer it would start now."
    assert what_helps(found[1]).ja.startswith(
        "実行時間の上限を 3:10 以下にして投入し直すと、2026-04-01 14:20:00 JST まで"
    )
    assert what_helps(found[2]).en == "Submitted to another offering (h100) it would start now."


def test_a_gang_is_told_of_as_many_on_each_node() -> None:
    would = {"would": {"gpus": 7}}
    assert remedies(Why.NO_CAPACITY, would, Asked(gpus=8, nodes=2), KNOWN)[0].facts == {"gpus": 6, "per_node": 3}
    assert codes(Why.NO_CAPACITY, {"would": {"gpus": 1}}, Asked(gpus=8, nodes=2)) == [Do.ONLY_TIME]


def test_a_limit_says_which_of_ones_own_jobs_gives_back_enough() -> None:
    runs = [
        OwnRun(job=str(number), gpus=gpus, until=NOW + timedelta(hours=hours))
        for number, gpus, hours in ((12, 1, 2), (13, 3, 1), (14, 4, 5))
    ]
    facts: dict[str, object] = {"level": "project", "on": "*", "used": 8, "asked": 4, "max": 8}
    known = replace(KNOWN, runs=runs)
    ends = Remedy(Do.OWN_ENDS, {"job": "12", "at": "2026-04-01T05:00:00+00:00", "jobs": 2, "gpus": 4})
    raised = Remedy(Do.RAISE_LIMIT, {"level": "project", "on": "*"})
    assert remedies(Why.GPU_QUOTA, facts, ASKED, known) == (ends, raised)
    assert codes(Why.GPU_QUOTA, {**facts, "used": 6}, known=known)[0] is Do.WITHIN_LIMIT
    jobs: dict[str, object] = {"level": "user", "on": "m", "running": 3, "max": 3}
    assert remedies(Why.RUNNING_QUOTA, jobs, ASKED, known)[0].facts["job"] == "13"
    assert codes(Why.GPU_QUOTA, {**facts, "used": 80}, known=known) == [Do.RAISE_LIMIT]


def test_a_months_limit_is_passed_by_a_shorter_one_or_in_the_next_month() -> None:
    facts: dict[str, object] = {"level": "organisation", "on": "*", "used": 90.0, "asked": 16.0, "max": 100.0}
    found = remedies(Why.NU_QUOTA, facts, ASKED, KNOWN)
    assert [each.code for each in found] == [Do.SMALLER, Do.NEXT_MONTH, Do.RAISE_LIMIT]
    assert found[0].facts["limit_s"] == 4500
    assert found[1].facts == {"at": "2026-05-01T00:00:00+09:00"}
    december = replace(KNOWN, now=datetime(2026, 12, 31, 16, 0, tzinfo=UTC))
    assert remedies(Why.NU_QUOTA, {}, ASKED, december)[0].facts == {"at": "2027-02-01T00:00:00+09:00"}


def test_a_loan_is_limited_by_what_may_be_held() -> None:
    facts: dict[str, object] = {"held": 2.0, "asked": 4, "nominal": 4.5, "max": 5.0}
    assert remedies(Why.BORROW_LIMIT, facts, ASKED, KNOWN)[0].facts["gpus"] == 3
    assert remedies(Why.KEPT_SHARE, {**facts, "max": None} | {"max": 4.5}, ASKED, KNOWN)[0].facts["gpus"] == 2


def test_spot_work_is_told_of_a_class_that_goes_before() -> None:
    spot = replace(ASKED, service_class=ServiceClass.SPOT)
    assert codes(Why.NO_CAPACITY, {}, spot) == [Do.OTHER_CLASS]
    assert codes(Why.STAGING, {}, spot) == [Do.ONLY_TIME]


def test_who_may_not_start_is_told_whom_to_ask() -> None:
    assert codes(Why.NOT_ELIGIBLE, {"code": "declaration-expired"}) == [Do.RENEW]
    assert codes(Why.NOT_ELIGIBLE, {"code": "no-site-user"}) == [Do.ADMINISTRATOR]
    assert codes(Why.WALL, {"kind": "eligibility", "at": "2026-04-01T05:20:00+00:00"}) == [Do.RENEW]
    assert codes(Why.WALL, {"kind": "fiscal_year"}) == [Do.ONLY_TIME]
