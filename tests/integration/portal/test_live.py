"""Server-sent events over a real connection: logs and states as they come."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
import pytest

from hpc_adapters.contract import LogChunk, Ref, Stream
from hpc_adapters.errors import Forgotten
from hpc_adapters.simulated.behaviour import Behaviour
from portal.errors import TooManyStreams
from portal.streams import Streams
from tests.integration.portal.test_submission_refusals import refused
from tests.support.portal_world import World, key, training

API = "/api/v1"


@pytest.fixture(autouse=True)
async def _value(world: World) -> None:
    await world.market.pay_in("5000")


async def events(http: httpx2.AsyncClient, path: str) -> list[tuple[str, Any]]:
    """Everything until the server ends the stream."""
    found: list[tuple[str, Any]] = []
    async with http.stream("GET", path) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((name, json.loads(line.removeprefix("data: "))))
    return found


async def test_a_follower_sees_the_log_grow_and_end(world: World) -> None:
    async with world.serving() as address, world.over_http(address) as http:
        job_id = (await http.post(f"{API}/jobs", json=training(), headers=key())).json()["id"]
        following = asyncio.create_task(events(http, f"{API}/jobs/{job_id}/logs/live"))
        await world.run_to_end()
        told = await following
    text = "".join(data["text"] for name, data in told if name == "log")
    assert text.startswith("started")
    assert "epoch 2 ✓" in text
    assert told[-1][0] == "end"
    assert told[-1][1]["next_offset"] == len(text.encode())


async def test_a_follower_goes_on_from_an_offset(world: World) -> None:
    async with world.serving() as address, world.over_http(address) as http:
        job_id = (await http.post(f"{API}/jobs", json=training(), headers=key())).json()["id"]
        await world.run_to_end()
        whole = await events(http, f"{API}/jobs/{job_id}/logs/live")
        rest = await events(http, f"{API}/jobs/{job_id}/logs/live?offset=8")
    assert rest[0][1]["text"] == whole[0][1]["text"].encode()[8:].decode()


async def test_a_follower_of_the_state_hears_every_change_and_the_end(world: World) -> None:
    async with world.serving() as address, world.over_http(address) as http:
        job_id = (await http.post(f"{API}/jobs", json=training(), headers=key())).json()["id"]
        following = asyncio.create_task(events(http, f"{API}/jobs/{job_id}/live"))
        await asyncio.sleep(0.2)
        for _ in range(10):
            await world.step(1)
            await asyncio.sleep(0.1)
        told = await following
    states = [data["state"] for name, data in told if name == "state"]
    assert states[0] == "QUEUED"
    assert "RUNNING" in states
    assert told[-2:][0][1]["state"] == told[-1][1]["state"] == "SUCCEEDED"
    assert told[-1][0] == "end"


async def test_a_follower_who_goes_away_is_forgotten(world: World) -> None:
    async with world.serving() as address, world.over_http(address) as http:
        job_id = (await http.post(f"{API}/jobs", json=training(), headers=key())).json()["id"]
        async with http.stream("GET", f"{API}/jobs/{job_id}/logs/live"):
            await _until(lambda: world.deps.streams.open == 1)
        await _until(lambda: world.deps.streams.open == 0)


async def _until(holds: Any) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110  the server has no event for a test
            await asyncio.sleep(0.02)


async def test_a_stopping_portal_lets_go_of_its_followers(world: World) -> None:
    async with world.serving() as address, world.over_http(address) as http:
        job_id = (await http.post(f"{API}/jobs", json=training(), headers=key())).json()["id"]
        following = asyncio.create_task(events(http, f"{API}/jobs/{job_id}/live"))
        await _until(lambda: world.deps.streams.open == 1)
        world.deps.streams.stop()
        told = await following
    assert [name for name, _ in told] == ["state"]


def test_there_are_only_so_many_streams() -> None:
    streams = Streams(limit=1)
    with streams.one(), pytest.raises(TooManyStreams):
        streams.require_room()
    streams.require_room()


async def test_a_log_that_is_not_text_is_repaired_and_no_character_is_torn(world: World) -> None:
    printed = "日本語" * 3
    script = Behaviour(run_s=1, stdout=printed).script().body.decode()
    async with world.client() as http:
        job_id = (await http.post(f"{API}/jobs", json=training(script=script), headers=key())).json()["id"]
        await world.run_to_end()
        whole = (await http.get(f"{API}/jobs/{job_id}/logs")).json()
        torn = (await http.get(f"{API}/jobs/{job_id}/logs", params={"offset": whole["next_offset"] - 1})).json()
    assert printed in whole["text"]
    assert torn["text"] == "\ufffd"


async def test_a_machine_that_is_away_is_named_and_worth_another_try(world: World) -> None:
    async with world.client() as http:
        job_id = (await http.post(f"{API}/jobs", json=training(), headers=key())).json()["id"]
        await world.run_to_end()
        world.backends["local"].cluster.reachable = False  # type: ignore[attr-defined]  # the simulated one
        answer = await http.get(f"{API}/jobs/{job_id}/logs", params={"stream": Stream.STDERR.value})
        result = await http.get(f"{API}/jobs/{job_id}/result")
    assert refused(answer) == (503, "backend-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert result.status_code == 200


async def test_a_job_that_waits_has_an_empty_log_and_no_result(world: World) -> None:
    async with world.client() as http:
        job_id = (await http.post(f"{API}/jobs", json=training(), headers=key())).json()["id"]
        log = (await http.get(f"{API}/jobs/{job_id}/logs")).json()
        result = await http.get(f"{API}/jobs/{job_id}/result")
        second = await http.get(f"{API}/jobs/{job_id}/logs", params={"attempt": 2})
    assert (log["text"], log["ended"]) == ("", False)
    assert refused(result) == (404, "no-result")
    assert refused(second) == (404, "attempt-not-found")


class _Forgetful:
    """A machine that has thrown away what its jobs printed."""

    async def logs(self, ref: Ref, stream: Stream, offset: int = 0, limit: int = 0) -> LogChunk:
        raise Forgotten(ref.attempt_id)


async def test_output_that_the_machine_no_longer_has_is_gone_and_the_result_is_not(world: World) -> None:
    async with world.client() as http:
        job_id = (await http.post(f"{API}/jobs", json=training(), headers=key())).json()["id"]
        await world.run_to_end()
        world.backends["local"] = _Forgetful()  # type: ignore[index]  # a dict, as the portal's own
        gone = await http.get(f"{API}/jobs/{job_id}/logs")
        result = await http.get(f"{API}/jobs/{job_id}/result")
    async with world.serving() as address, world.over_http(address) as http:
        live = await events(http, f"{API}/jobs/{job_id}/logs/live")
    assert refused(gone) == (410, "logs-gone")
    assert result.status_code == 200
    assert [name for name, _ in live] == ["end"]
