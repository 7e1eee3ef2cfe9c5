"""HTTP to slurmrestd, over TCP or a unix socket: one pool, a deadline for each call, exact knowledge of what left us.

Nothing here repeats a call that may act. A call that only reads is repeated once where that can help: after a kept
connection turned out to be dead, and after an upgrade of the server took our version of the API away.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import httpx2

from hpc_adapters.errors import Unavailable
from hpc_adapters.slurm import answers, versions
from hpc_adapters.slurm.answers import Answer, VersionGone
from hpc_adapters.slurm.faults import TokenRefused
from hpc_adapters.slurm.models.lenient import Json, mapping
from hpc_adapters.slurm.tokens import Minter

Params = Mapping[str, str] | Sequence[tuple[str, str]]
"""Pairs where a name is given more than once: slurmrestd takes no lists with commas."""
_UNIX: Final = "unix:"
_NOT_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
_DEAD_CONNECTION: Final = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)
_READS: Final = "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a call may take, and how much it may bring."""

    connect_s: float = 3.0
    call_s: float = 15.0
    body_bytes: int = 128 * 2**20
    connections: int = 16


class Rest:
    """One server. Paths hold '{v}' where the version stands: 'slurm/{v}/jobs/'. Safe for concurrent use in one loop."""

    def __init__(
        self,
        url: str,
        *,
        minter: Minter,
        clock: Callable[[], datetime],
        service_user: str,
        limits: Limits | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`url` is 'http://host:port', 'https://…' or 'unix:/path/to/socket'. `service_user` asks for the versions."""
        self._minter, self._clock, self._service_user = minter, clock, service_user
        self._limits = limits or Limits()
        base, socket = ("http://slurmrestd", url.removeprefix(_UNIX)) if url.startswith(_UNIX) else (url, None)
        pool = httpx2.Limits(max_connections=self._limits.connections, keepalive_expiry=30.0)
        self._http = httpx2.AsyncClient(
            base_url=base.rstrip("/") + "/",
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "kyoyo"},
            transport=transport or httpx2.AsyncHTTPTransport(uds=socket, limits=pool, trust_env=False),
            trust_env=False,  # a proxy of the environment would see our tokens
        )
        self._version: str | None = None
        self._paths: frozenset[str] = frozenset()
        self._choosing = asyncio.Lock()

    async def get(
        self, path: str, *, user: str, params: Params | None = None, timeout_s: float | None = None
    ) -> Answer:
        """Read. What it raises never leaves an effect: maybe_done is False. Unavailable, SlurmError."""
        try:
            return await self._call(_READS, path, user=user, params=params, timeout_s=timeout_s)
        except VersionGone:
            self._version = None
        try:
            return await self._call(_READS, path, user=user, params=params, timeout_s=timeout_s)
        except VersionGone as gone:
            raise Unavailable("no-such-url", maybe_done=False) from gone

    async def post(
        self,
        path: str,
        *,
        user: str,
        body: Json,
        version: str | None = None,
        params: Params | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Act, once. `version`: the one that `body` was written for. Unavailable, SlurmError."""
        return await self._act("POST", path, user=user, body=body, version=version, params=params, timeout_s=timeout_s)

    async def delete(self, path: str, *, user: str, body: Json | None = None, params: Params | None = None) -> Answer:
        """Act, once. Unavailable, SlurmError."""
        return await self._act("DELETE", path, user=user, body=body, version=None, params=params, timeout_s=None)

    async def version(self) -> str:
        """The version that is spoken now; the first call asks the server. Unavailable."""
        async with self._choosing:
            if self._version is None:
                self._version = await self._discover()
            return self._version

    async def offers(self, path: str) -> bool:
        """Whether the server's own description has the path in the version that is spoken. Unavailable."""
        return "/" + path.replace("{v}", await self.version()) in self._paths

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def _act(
        self,
        method: str,
        path: str,
        *,
        user: str,
        body: Json | None,
        version: str | None,
        params: Params | None,
        timeout_s: float | None,
    ) -> Answer:
        try:
            return await self._call(
                method, path, user=user, body=body, version=version, params=params, timeout_s=timeout_s
            )
        except VersionGone as gone:
            self._version = None
            raise Unavailable("api-version-gone", maybe_done=False) from gone

    async def _discover(self) -> str:
        try:
            answer = await self._call(_READS, versions.DESCRIPTION, user=self._service_user, version="")
            self._paths = frozenset(mapping(answer.body, "paths"))
            return versions.choose(answer.body)
        except VersionGone as gone:
            raise Unavailable("no-api-description", maybe_done=False) from gone
        except versions.NoCommonVersion as none:
            raise Unavailable(f"no-common-api-version: {none}", maybe_done=False) from none

    async def _call(
        self,
        method: str,
        path: str,
        *,
        user: str,
        body: Json | None = None,
        version: str | None = None,
        params: Params | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        spoken = await self.version() if version is None else version
        request = self._request(method, path.replace("{v}", spoken), user=user, body=body, params=params)
        asked_at = self._clock()
        status, content = await self._send(request, timeout_s or self._limits.call_s)
        try:
            read, unchanged = answers.read(status, content, may_act=method != _READS)
        except TokenRefused:
            self._minter.forget(user)
            raise
        return Answer(body=read, version=spoken, asked_at=asked_at, answered_at=self._clock(), unchanged=unchanged)

    def _request(
        self, method: str, path: str, *, user: str, body: Json | None, params: Params | None
    ) -> httpx2.Request:
        headers = {"X-SLURM-USER-TOKEN": self._minter.token(user)}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode("ascii")
        return self._http.build_request(method, path, headers=headers, content=content, params=_pairs(params))

    async def _send(self, request: httpx2.Request, timeout_s: float) -> tuple[int, bytes]:
        """Status and body within the deadline. The exception says whether the request may have left us."""
        may_act = request.method != _READS
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(request, timeout_s)
        except _NOT_SENT as error:
            raise Unavailable(f"unreachable: {_name(error)}", maybe_done=False) from error
        except (httpx2.TransportError, httpx2.StreamError, TimeoutError) as error:
            raise Unavailable(f"no-answer: {_name(error)}", maybe_done=may_act) from error

    async def _exchange(self, request: httpx2.Request, timeout_s: float) -> tuple[int, bytes]:
        request.extensions["timeout"] = httpx2.Timeout(
            timeout_s, connect=min(self._limits.connect_s, timeout_s), pool=timeout_s / 2
        ).as_dict()
        try:
            return await self._once(request)
        except _DEAD_CONNECTION:
            if request.method != _READS:
                raise
            return await self._once(request)

    async def _once(self, request: httpx2.Request) -> tuple[int, bytes]:
        response = await self._http.send(request, stream=True)
        try:
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > self._limits.body_bytes:
                    raise Unavailable("answer-too-large", maybe_done=request.method != _READS)
            return response.status_code, bytes(content)
        finally:
            await response.aclose()


def _pairs(params: Params | None) -> list[tuple[str, str | int | float | bool | None]] | None:
    given = params.items() if isinstance(params, Mapping) else params
    return list(given) if given else None


def _name(error: BaseException) -> str:
    return type(error).__name__
