"""What may have left us, what is repeated, and what is never repeated."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from hpc_adapters.errors import Unavailable
from hpc_adapters.slurm.faults import TokenRefused
from hpc_adapters.slurm.rest import Limits, Rest
from hpc_adapters.slurm.tokens import ForbiddenUser, Minter
from tests.support import slurm_golden

NOW = datetime(2026, 11, 20, tzinfo=UTC)
Answer = tuple[int, Any] | BaseException


class Server(httpx2.AsyncBaseTransport):
    """Answers in turn, and remembers what it was asked. The last answer is given for ever."""

    def __init__(self, *answers: Answer, release: str = "24.11") -> None:
        self.answers = list(answers)
        self.release = release
        self.asked: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/openapi/v3":
            return httpx2.Response(200, json=slurm_golden.description(self.release))
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        status, body = answer
        return httpx2.Response(status, content=body if isinstance(body, bytes) else json.dumps(body).encode())

    @property
    def paths(self) -> list[str]:
        return [request.url.path for request in self.asked]


def rest(server: httpx2.AsyncBaseTransport, **limits: Any) -> Rest:
    minter = Minter(bytes(32), clock=lambda: NOW)
    return Rest(
        "http://slurm:1",
        minter=minter,
        clock=lambda: NOW,
        service_user="kyoyo",
        limits=Limits(**limits),
        transport=server,
    )


def broken(error: type[httpx2.TransportError]) -> httpx2.TransportError:
    return error("broken")


NOT_SENT = [httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol]
MAYBE_SENT = [httpx2.ReadTimeout, httpx2.ReadError, httpx2.WriteError, httpx2.WriteTimeout, httpx2.RemoteProtocolError]


@pytest.mark.parametrize("error", NOT_SENT)
async def test_what_never_left_was_not_done(error: type[httpx2.TransportError]) -> None:
    with pytest.raises(Unavailable, match="unreachable") as outage:
        await rest(Server(broken(error))).post("slurm/{v}/job/submit", user="alice", body={})
    assert not outage.value.maybe_done


@pytest.mark.parametrize("error", MAYBE_SENT)
async def test_what_may_have_left_may_have_been_done_and_is_never_repeated(error: type[httpx2.TransportError]) -> None:
    server = Server(broken(error), (200, {"job_id": 1}))
    with pytest.raises(Unavailable, match="no-answer") as outage:
        await rest(server).post("slurm/{v}/job/submit", user="alice", body={})
    assert outage.value.maybe_done
    assert len(server.asked) == 1


@pytest.mark.parametrize("error", [httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError])
async def test_a_read_is_repeated_once_after_a_dead_connection(error: type[httpx2.TransportError]) -> None:
    server = Server(broken(error), (200, {"jobs": []}))
    assert (await rest(server).get("slurm/{v}/jobs/", user="kyoyo")).body == {"jobs": []}
    with pytest.raises(Unavailable) as outage:
        await rest(Server(broken(error))).get("slurm/{v}/jobs/", user="kyoyo")
    assert not outage.value.maybe_done


async def test_a_cancel_is_never_repeated() -> None:
    server = Server(broken(httpx2.RemoteProtocolError))
    with pytest.raises(Unavailable) as outage:
        await rest(server).delete("slurm/{v}/jobs/", user="alice", body={"jobs": ["1"]})
    assert outage.value.maybe_done
    assert len(server.asked) == 1


class Slow(httpx2.AsyncBaseTransport):
    """Sends a byte of its answer now and then, for ever."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/openapi/v3":
            return httpx2.Response(200, json=slurm_golden.description("24.11"))

        async def drops() -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0)

        return httpx2.Response(200, content=drops())


async def test_an_answer_that_drips_for_ever_ends_at_the_deadline() -> None:
    slow = rest(Slow(), call_s=0.05)
    with pytest.raises(Unavailable, match="no-answer") as outage:
        await slow.post("slurm/{v}/job/submit", user="alice", body={}, version="v0.0.42")
    assert outage.value.maybe_done


async def test_an_answer_that_is_too_large_is_not_read_to_its_end() -> None:
    with pytest.raises(Unavailable, match="answer-too-large"):
        await rest(Slow(), body_bytes=1000).get("slurm/{v}/jobs/", user="kyoyo")


async def test_the_newest_common_version_is_asked_for_once() -> None:
    server = Server((200, {"jobs": []}))
    client = rest(server)
    for _ in range(2):
        await client.get("slurm/{v}/jobs/", user="kyoyo")
    assert server.paths == ["/slurm/v0.0.42/jobs/"] * 2


async def test_an_upgrade_under_us_is_noticed_and_the_read_goes_on() -> None:
    server = Server((200, {"jobs": []}), (404, b"Unable to find requested URL endpoint."), (200, {"jobs": []}))
    client = rest(server)
    await client.get("slurm/{v}/jobs/", user="kyoyo")
    server.release = "26.05"
    assert (await client.get("slurm/{v}/jobs/", user="kyoyo")).version == "v0.0.45"
    assert server.paths[1:] == ["/slurm/v0.0.42/jobs/", "/slurm/v0.0.45/jobs/"]


async def test_a_submission_to_a_version_that_has_gone_was_not_done_and_the_next_is_new() -> None:
    """Its body was written for the old version: who made it makes it again."""
    server = Server((404, b"Unable to find requested URL endpoint."))
    client = rest(server)
    assert await client.version() == "v0.0.42"
    server.release = "26.05"
    with pytest.raises(Unavailable, match="api-version-gone") as outage:
        await client.post("slurm/{v}/job/submit", user="alice", body={}, version="v0.0.42")
    assert not outage.value.maybe_done
    assert len(server.asked) == 1
    assert await client.version() == "v0.0.45"


async def test_a_refused_token_is_made_anew_for_the_next_call() -> None:
    times = iter([NOW, NOW.replace(second=5)])
    minter = Minter(bytes(32), clock=lambda: next(times))
    server = Server((511, b"no"))
    client = Rest("http://slurm:1", minter=minter, clock=lambda: NOW, service_user="kyoyo", transport=server)
    client._version = "v0.0.42"
    for _ in range(2):
        with pytest.raises(TokenRefused):
            await client.get("slurm/{v}/jobs/", user="kyoyo")
    first, second = (request.headers["X-SLURM-USER-TOKEN"] for request in server.asked)
    assert first != second


async def test_each_user_speaks_with_a_token_of_their_own_and_nobody_for_root() -> None:
    server = Server((200, {}))
    client = rest(server)
    for user in ("alice", "bob"):
        await client.get("slurm/{v}/jobs/", user=user)
    assert server.asked[0].headers["X-SLURM-USER-TOKEN"] != server.asked[1].headers["X-SLURM-USER-TOKEN"]
    assert "X-SLURM-USER-NAME" not in server.asked[0].headers
    with pytest.raises(ForbiddenUser):
        await client.get("slurm/{v}/jobs/", user="root")
    assert len(server.asked) == 2


async def test_names_that_are_asked_for_are_repeated_and_never_joined() -> None:
    """With a comma slurmrestd answers 400 or 500."""
    server = Server((200, {"jobs": []}))
    await rest(server).get("slurmdb/{v}/jobs/", user="kyoyo", params=[("step", "1"), ("step", "2")])
    assert server.asked[0].url.query == b"step=1&step=2"


@pytest.mark.parametrize("make", [lambda: {"paths": {}}, lambda: {"paths": {"/slurm/v0.0.36/jobs": {}}}])
async def test_a_server_without_a_common_version_is_an_outage_that_says_so(make: Callable[[], Any]) -> None:
    class Old(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, json=make())

    with pytest.raises(Unavailable, match="no-common-api-version"):
        await rest(Old()).version()
