from __future__ import annotations

import json

import httpx2
import pytest

from kyoyo import NotFound, Unavailable
from tests.support.fake_portal import FakePortal, a_job, problem

LIVE = "GET /jobs/j-1/logs/live"
READ = "GET /jobs/j-1/logs"


def events(*told: tuple[str, dict[str, object]]) -> httpx2.Response:
    text = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in told)
    return httpx2.Response(200, text=text, headers={"Content-Type": "text/event-stream"})


def log(text: str, next_offset: int) -> tuple[str, dict[str, object]]:
    return "log", {"text": text, "next_offset": next_offset}


def chunk(text: str, next_offset: int, *, ended: bool) -> dict[str, object]:
    return {"text": text, "offset": 0, "next_offset": next_offset, "ended": ended, "truncated": False}


def followed(portal: FakePortal) -> str:
    portal.on("GET /jobs/j-1", a_job(state="RUNNING"))
    return "".join(portal.client().job("j-1").logs(follow=True))


def offsets(portal: FakePortal, path: str) -> list[str]:
    return [asked.url.params["offset"] for asked in portal.asked if asked.url.path.endswith(path)]


def test_a_live_log_is_read_to_its_end() -> None:
    portal = FakePortal().on(LIVE, events(log("epoch 1\n", 8), log("epoch 2\n", 16), ("end", {})))
    assert followed(portal) == "epoch 1\nepoch 2\n"


def test_a_broken_connection_goes_on_where_it_was() -> None:
    portal = (
        FakePortal()
        .on(LIVE, events(log("one\n", 4)), events(log("three\n", 14), ("end", {})))
        .on(READ, chunk("two\n", 8, ended=False))
    )
    assert followed(portal) == "one\ntwo\nthree\n"
    assert offsets(portal, "/logs/live") == ["0", "8"]
    assert offsets(portal, "/logs") == ["4"]


def test_without_server_sent_events_the_log_is_polled() -> None:
    portal = (
        FakePortal()
        .on(LIVE, problem(501, "no-stream"))
        .on(READ, *(chunk("", 0, ended=False) for _ in range(3)), chunk("a", 1, ended=False), chunk("b", 2, ended=True))
    )
    assert followed(portal) == "ab"
    assert offsets(portal, "/logs/live") == ["0", "0", "0"]


def test_an_answer_that_is_no_event_stream_is_polled_too() -> None:
    portal = FakePortal().on(LIVE, httpx2.Response(200, text="hi")).on(READ, chunk("x", 1, ended=True))
    assert followed(portal) == "x"


def test_a_job_that_is_gone_ends_the_following() -> None:
    with pytest.raises(NotFound):
        followed(FakePortal().on(LIVE, problem(404, "job-not-found")))


def test_a_portal_that_stays_away_ends_the_following() -> None:
    portal = FakePortal().on(LIVE, httpx2.ConnectError("x")).on(READ, httpx2.ConnectError("x"))
    with pytest.raises(Unavailable):
        followed(portal)
    assert portal.now_s > 300


def test_a_deployment_of_the_portal_does_not_end_the_following() -> None:
    away = [httpx2.ConnectError("x")] * 30
    portal = FakePortal().on(LIVE, httpx2.ConnectError("x")).on(READ, *away, chunk("late", 4, ended=True))
    assert followed(portal) == "late"


def test_without_follow_only_what_is_there_is_read() -> None:
    portal = FakePortal().on("GET /jobs/j-1", a_job()).on(READ, chunk("a", 1, ended=False), chunk("", 1, ended=False))
    assert list(portal.client().job("j-1").logs()) == ["a"]
