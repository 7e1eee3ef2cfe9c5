from __future__ import annotations

from itertools import count

import httpx2
import pytest

from kyoyo import Conflict, NotFound, Problem, Refused, Unauthorised, Unavailable
from kyoyo.spec import JobSpec
from kyoyo.transport import BACK_OFF_S
from tests.support.fake_portal import FakePortal, a_job, problem

SPEC = JobSpec(name="n", kind="batch", body="#!/bin/sh\n", walltime_s=60, offering="gpu", gpus=1)
CREATED = httpx2.Response(201, json=a_job())


def test_a_lost_answer_is_asked_for_again_under_the_same_key() -> None:
    portal = FakePortal().on("POST /jobs", httpx2.ReadError("reset"), problem(503, "starting"), CREATED)
    keys = (f"key-{number}" for number in count())
    client = portal.client(make_key=lambda: next(keys))
    assert client.submit(SPEC).id == "j-1"
    assert [asked.headers["Idempotency-Key"] for asked in portal.asked] == ["key-0"] * 3
    client.submit(SPEC)
    assert portal.asked[-1].headers["Idempotency-Key"] == "key-1"


def test_every_try_sends_the_same_body() -> None:
    portal = FakePortal().on("POST /jobs", httpx2.ConnectError("refused"), CREATED)
    portal.client().submit(SPEC)
    first, second = portal.bodies("POST /jobs")
    assert first == second


def test_a_portal_that_stays_away_is_unavailable_after_the_back_off() -> None:
    portal = FakePortal().on("GET /me", httpx2.ConnectError("refused"))
    with pytest.raises(Unavailable) as away:
        portal.client().me()
    assert away.value.code == "unreachable"
    assert tuple(portal.slept_s) == BACK_OFF_S


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (401, Unauthorised),
        (402, Refused),
        (403, Refused),
        (404, NotFound),
        (409, Conflict),
        (413, Refused),
        (422, Refused),
        (429, Refused),
        (500, Unavailable),
    ],
)
def test_a_no_is_raised_at_once_with_its_code_facts_and_remedy(status: int, kind: type[Problem]) -> None:
    portal = FakePortal().on("GET /me", problem(status, "some-code", facts={"needed": "3"}, remedy="pay"))
    with pytest.raises(kind) as refused:
        portal.client().me()
    told = refused.value
    assert (told.code, told.detail, told.status, told.facts, told.remedy) == (
        "some-code",
        "some-code!",
        status,
        {"needed": "3"},
        "pay",
    )
    assert len(portal.asked) == 1


def test_a_missing_right_is_told_from_a_missing_declaration() -> None:
    with pytest.raises(Unauthorised):
        FakePortal().on("GET /me", problem(403, "scope-missing")).client().me()
    with pytest.raises(Refused):
        FakePortal().on("GET /me", problem(403, "declaration-expired")).client().me()


def test_a_wished_pause_is_kept_and_a_very_long_one_is_not_waited_for() -> None:
    busy = problem(429, "slow-down")
    busy.headers["Retry-After"] = "7"
    portal = FakePortal().on("GET /me", busy, {"display_name": "A"})
    assert portal.client().me()["display_name"] == "A"
    assert portal.slept_s == [7.0]
    busy.headers["Retry-After"] = "86400"
    with pytest.raises(Refused):
        FakePortal().on("GET /me", busy).client().me()


def test_an_answer_that_is_no_problem_document_still_has_a_code() -> None:
    page = httpx2.Response(418, text="<html>teapot</html>")
    with pytest.raises(Refused, match="HTTP 418") as refused:
        FakePortal().on("GET /me", page).client().me()
    assert refused.value.code == "http-418"


@pytest.mark.parametrize("answer", [httpx2.Response(200, text="{"), httpx2.Response(200, json=[1])])
def test_a_success_that_cannot_be_read_is_unavailable_never_a_crash(answer: httpx2.Response) -> None:
    with pytest.raises(Unavailable):
        FakePortal().on("GET /me", answer).client().me()


def test_the_token_goes_only_into_its_header() -> None:
    portal = FakePortal().on("GET /me", {"display_name": "A"})
    portal.client().me()
    [asked] = portal.asked
    assert asked.headers["Authorization"] == "Bearer kyo_t"
    assert "kyo_t" not in str(asked.url)
