"""What holds for every answer: headers, numbers, silence about the inside, and what machines watch."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
import structlog
from fastapi import FastAPI

from portal.app import create_app
from portal.logs import configure, redact
from tests.integration.portal.test_submission_refusals import refused
from tests.support.portal_world import World, key, training

API = "/api/v1"


async def test_every_answer_carries_the_security_headers(world: World) -> None:
    async with world.client() as http:
        answers = [
            await http.get(path)
            for path in (f"{API}/me", f"{API}/nowhere", "/ja/sign-in", "/static/kyoyo.css", "/livez", "/")
        ]
    for answer in answers:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] in {"no-referrer", "same-origin"}
        assert answer.headers["x-frame-options"] == "DENY"
        assert len(answer.headers["x-request-id"]) == 32
        assert "server" not in answer.headers
    assert answers[0].headers["cache-control"] == "no-store"


def _broken(world: World, error: Exception) -> FastAPI:
    class Broken:
        async def acquire(self, *, timeout: float) -> Any:  # noqa: ASYNC109  as asyncpg has it
            raise error

    return create_app(replace(world.deps, pool=Broken()))  # type: ignore[arg-type]  # it breaks, whatever it is


async def test_a_fault_of_ours_tells_nothing_of_the_inside(world: World) -> None:
    world.app = _broken(world, ValueError("postgresql://kyoyo:hunter2@db/kyoyo"))
    async with world.client() as http:
        answer = await http.get(f"{API}/me")
    assert refused(answer) == (500, "internal-error")
    assert "hunter2" not in answer.text
    assert answer.json()["request_id"] in answer.json()["remedy"]


async def test_a_database_that_is_away_is_worth_another_try(world: World) -> None:
    world.app = _broken(world, ConnectionRefusedError("nobody listens"))
    async with world.client() as http:
        answer = await http.get(f"{API}/me")
        ready = await http.get("/readyz")
        live = await http.get("/livez")
        page = await http.get("/ja/jobs")
    assert refused(answer) == (503, "temporarily-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert (ready.status_code, live.status_code) == (503, 200)
    assert page.status_code == 303  # to the sign-in page, which needs no database


async def test_the_log_has_a_line_for_each_request_and_no_secret(world: World) -> None:
    stream = io.StringIO()
    configure(stream)
    try:
        world.app = create_app(replace(world.deps, log=structlog.get_logger("portal")))
        async with world.client() as http:
            answer = await http.get(f"{API}/me", params={"token": world.tokens["alpha"]})
            await http.get(f"{API}/jobs/{'0' * 32}")
    finally:
        structlog.reset_defaults()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["route"] for line in lines] == [f"{API}/me", f"{API}/jobs/{{job_id}}"]
    assert lines[0]["request_id"] == answer.headers["x-request-id"]
    assert lines[0]["organisation_id"] is not None
    assert "kyo_" not in stream.getvalue()


def test_secrets_never_reach_the_log() -> None:
    told = redact(
        None,
        "",
        {
            "authorization": "Bearer x",
            "event": "got kyo_abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
            "url": "postgresql://kyoyo:hunter2@db/kyoyo",
            "nested": {"password": "hunter2", "list": ["kyo_abcdefghijklmnopqrstuvwxyz"]},
        },
    )
    assert "hunter2" not in str(told)
    assert "abcdefg" not in str(told)


async def test_figures_for_monitoring_are_for_this_machine_alone_and_about_nobody(world: World) -> None:
    await world.market.pay_in("5000")
    async with world.client() as http:
        await http.post(f"{API}/jobs", json=training(), headers=key())
        await http.get(f"{API}/jobs/{'0' * 32}")
        local = await http.get("/metrics")
        through_a_proxy = await http.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"})
    assert 'kyoyo_requests_total{method="GET",route="/api/v1/jobs/{job_id}",status="404"} 1.0' in local.text
    assert 'kyoyo_jobs{state="QUEUED"} 1.0' in local.text
    assert 'kyoyo_backend_up{backend="local"} 1.0' in local.text
    assert 'kyoyo_refusals_total{code="job-not-found"} 1.0' in local.text
    assert "alpha" not in local.text
    assert through_a_proxy.status_code == 404


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
async def test_there_is_no_page_that_loads_from_elsewhere(world: World, path: str) -> None:
    async with world.client() as http:
        assert (await http.get(path)).status_code == 404
        assert (await http.get(f"{API}/openapi.json")).status_code == 200
