from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import httpx2
import pytest

from kyoyo import Job, JobRecord, Refused, Unavailable, UsageError
from kyoyo.spec import JobSpec
from tests.support.fake_portal import FakePortal, a_job, an_offering, problem


def job_of(portal: FakePortal) -> Job:
    return portal.client().job("j-1")


def test_waiting_tells_every_change_once_and_ends_with_the_last_record() -> None:
    waiting = a_job(waiting={"reason": "capacity", "sentence": "no GPU is free"})
    portal = FakePortal().on(
        "GET /jobs/j-1",
        a_job(),
        waiting,
        waiting,
        a_job(state="RUNNING"),
        a_job(state="RUNNING"),
        a_job(state="SUCCEEDED", exit_code=0),
    )
    heard: list[tuple[str, str]] = []
    record = job_of(portal).wait(lambda told: heard.append((told.state, told.waiting)))
    assert heard == [("QUEUED", "no GPU is free"), ("RUNNING", ""), ("SUCCEEDED", "")]
    assert record.succeeded


def test_a_state_that_we_do_not_know_is_not_an_end() -> None:
    portal = FakePortal().on(
        "GET /jobs/j-1", a_job(state="HIBERNATING"), a_job(state="HIBERNATING"), a_job(state="LOST")
    )
    assert job_of(portal).wait().state == "LOST"


def test_waiting_survives_a_portal_that_is_away_for_a_while() -> None:
    away = [httpx2.ConnectError("refused")] * 20
    portal = FakePortal().on("GET /jobs/j-1", a_job(), *away, a_job(state="SUCCEEDED"))
    assert job_of(portal).wait().succeeded


def test_waiting_gives_up_on_a_portal_that_stays_away() -> None:
    portal = FakePortal().on("GET /jobs/j-1", a_job(), httpx2.ConnectError("refused"))
    job = job_of(portal)
    with pytest.raises(Unavailable):
        job.wait()
    assert portal.now_s > 300


def test_a_limit_on_the_wait_names_the_state() -> None:
    portal = FakePortal().on("GET /jobs/j-1", a_job(state="RUNNING"))
    with pytest.raises(TimeoutError, match="RUNNING after 10 s"):
        job_of(portal).wait(timeout_s=10)


def test_settled_means_ended_charged_and_nothing_held() -> None:
    ended = {"state": "CANCELLED"}
    portal = FakePortal().on(
        "GET /jobs/j-1",
        a_job(**ended),
        a_job(**ended, held_yen="12.5"),
        a_job(**ended, charge_yen="3", held_yen="9.5"),
        a_job(**ended, charge_yen="3.25", held_yen="0"),
    )
    assert job_of(portal).wait_settled().charge_yen == Decimal("3.25")


def test_a_result_that_is_not_there_is_none_but_a_missing_job_is_an_error() -> None:
    portal = FakePortal().on("GET /jobs/j-1", a_job()).on("GET /jobs/j-1/result", problem(404, "no-result"))
    assert job_of(portal).result() is None


def test_money_is_exact() -> None:
    record = JobRecord.of(a_job(quote_yen="0.000001", charge_yen="123456789.123456"))
    assert (record.quote_yen, record.charge_yen) == (Decimal("0.000001"), Decimal("123456789.123456"))


@pytest.mark.parametrize("amount", [1.5, "x", "NaN", "Infinity", True, []])
def test_an_amount_that_is_no_decimal_string_is_refused(amount: object) -> None:
    with pytest.raises(Unavailable, match="quote_yen"):
        JobRecord.of(a_job(quote_yen=amount))


SPEC = JobSpec(name="n", kind="batch", body="#!/bin/sh\n", walltime_s=60)


def test_the_only_offering_of_the_right_kind_is_taken() -> None:
    offerings = {"items": [an_offering("qpu", "quantum"), an_offering("gpu-a")]}
    portal = FakePortal().on("GET /offerings", offerings).on("POST /jobs", a_job())
    portal.client().submit(SPEC)
    assert portal.bodies("POST /jobs")[0]["offering"] == "gpu-a"


def test_between_several_offerings_the_caller_must_choose() -> None:
    portal = FakePortal().on("GET /offerings", {"items": [an_offering("gpu-b"), an_offering("gpu-a")]})
    with pytest.raises(UsageError, match="gpu-a, gpu-b"):
        portal.client().submit(SPEC)


def test_the_callers_own_limit_is_the_portals_to_keep() -> None:
    portal = FakePortal().on("GET /offerings", {"items": [an_offering()]})
    portal.on("POST /jobs", problem(422, "cost-cap-too-small"), a_job())
    with pytest.raises(Refused) as refused:
        portal.client().submit(SPEC, max_cost_yen=Decimal("109.50"))
    assert refused.value.code == "cost-cap-too-small"
    assert portal.client().submit(SPEC, max_cost_yen=110).id == "j-1"
    assert [body["max_cost_yen"] for body in portal.bodies("POST /jobs")] == ["109.50", "110"]
    assert portal.bodies("POST /estimates") == []  # nothing is looked at before that may have changed since


def test_a_command_is_sent_word_for_word() -> None:
    portal = FakePortal().on("POST /jobs", a_job())
    portal.client().submit(command=["python", "-c", "print('a b')"], gpus=2, time="1h", offering="gpu")
    [body] = portal.bodies("POST /jobs")
    assert body["arguments"] == ["python", "-c", "print('a b')"]
    assert (body["walltime_s"], body["gpus"], body["name"]) == (3600, 2, "python")


def test_all_jobs_follows_the_cursor_to_the_end() -> None:
    portal = FakePortal().on(
        "GET /jobs", {"items": [a_job("a")], "next_cursor": "c1"}, {"items": [a_job("b")], "next_cursor": None}
    )
    assert [record.id for record in portal.client().all_jobs()] == ["a", "b"]
    assert portal.asked[1].url.params["cursor"] == "c1"


@pytest.mark.parametrize("job_id", ["", "../me", "a/b", "a?b", "%2e"])
def test_an_id_can_not_lead_to_another_path(job_id: str) -> None:
    portal = FakePortal()
    with pytest.raises(UsageError):
        portal.client().job(job_id)
    assert portal.asked == []


def test_a_forecast_is_read_with_its_range_and_its_words() -> None:
    told = {"as_of": "2026-11-21T09:30:00+00:00", "position": 3, "p50_at": "2026-11-21T11:00:00+00:00", "p90_at": None}
    waiting = {"reason": "NO_CAPACITY", "facts": {}, "sentence": "Full.", "forecast": "Expected: about 20:00 JST"}
    record = JobRecord.of(a_job("id-7", forecast={**told, "ahead": {"own": 2}}, waiting=waiting))
    assert record.forecast is not None
    assert record.forecast.p50_at == datetime(2026, 11, 21, 11, tzinfo=UTC)
    assert (record.forecast.p90_at, record.forecast.position) == (None, 3)
    assert (dict(record.forecast.ahead), record.forecast.sentence) == ({"own": 2}, "Expected: about 20:00 JST")
    assert JobRecord.of(a_job("id-8", forecast=None)).forecast is None


def test_what_would_change_that_a_job_waits_is_read() -> None:
    told = {"code": "fewer_gpus", "facts": {"gpus": 2}, "sentence": "With 2 GPUs it would start now."}
    record = JobRecord.of(a_job("id-7", waiting={"reason": "NO_CAPACITY", "sentence": "Full.", "remedies": [told]}))
    (remedy,) = record.remedies
    assert (remedy.code, remedy.facts, remedy.sentence) == (told["code"], told["facts"], told["sentence"])
    assert JobRecord.of(a_job("id-8")).remedies == []
