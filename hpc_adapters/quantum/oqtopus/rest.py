"""HTTP to OQTOPUS Cloud: one pool, a deadline for each call, exact knowledge of what left us.

Nothing that may act is repeated here. The token goes to the API alone: files travel over links that the API hands out,
to another host, and carry their own signature.
"""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from hpc_adapters.errors import Unavailable

Json = dict[str, Any]
_NOT_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
_DEAD_CONNECTION: Final = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)
_QUIET_AT_MOST_S: Final = 60.0
_SHOWN: Final = 200


class Refused(Exception):
    """The vendor understood and said no (4xx). Nothing was done. `status` is HTTP's, `message` the vendor's, cut."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


class Rest:
    """One server. Safe for concurrent use in one loop. Every call may raise Unavailable and Refused."""

    def __init__(
        self,
        url: str,
        *,
        token_file: Path,
        clock: Callable[[], datetime],
        connect_s: float,
        call_s: float,
        body_bytes: int,
        allows_plain_links: bool,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport`: the way there instead of the url's, for tests that break it."""
        self._token = _Token(token_file)
        self._clock, self._connect_s, self._call_s, self._body_bytes = clock, connect_s, call_s, body_bytes
        self._allows_plain_links = allows_plain_links
        limits = httpx2.Limits(max_connections=16, keepalive_expiry=30.0)
        self._http = httpx2.AsyncClient(
            base_url=url.rstrip("/") + "/",
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "kyoyo"},
            transport=transport or httpx2.AsyncHTTPTransport(limits=limits, trust_env=False),
            trust_env=False,  # a proxy of the environment would see our token
        )
        self._quiet_until: datetime | None = None

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Read; what it raises never leaves an effect."""
        request = self._http.build_request("GET", path, headers=self._headers(), params=dict(params or {}))
        return _json(*await self._call(request, may_act=False), may_act=False)

    async def post(self, path: str, body: Json | None = None) -> Any:
        """Act, once."""
        content = None if body is None else json.dumps(body).encode("ascii")
        headers = self._headers() | ({} if body is None else {"Content-Type": "application/json"})
        request = self._http.build_request("POST", path, headers=headers, content=content)
        return _json(*await self._call(request, may_act=True), may_act=True)

    async def delete(self, path: str) -> Any:
        """Act, once."""
        request = self._http.build_request("DELETE", path, headers=self._headers())
        return _json(*await self._call(request, may_act=True), may_act=True)

    async def upload(self, link: str, fields: Mapping[str, str], content: Json) -> None:
        """Put one zipped JSON object where a signed form says. Again with the same content: harmless."""
        self._require_safe(link)
        name = Path(fields["key"]).name
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", compression=zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{Path(name).stem}.json", json.dumps(content))
        file = {"file": (name, packed.getvalue(), "application/zip")}
        request = self._http.build_request("POST", link, data=dict(fields), files=file)
        status, answer = await self._call(request, may_act=False)
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise Unavailable(f"upload-refused: HTTP {status}: {_shown(answer)}", maybe_done=False)

    async def download(self, link: str) -> Json:
        """The one JSON object in the zip file behind a signed link. Unavailable: it is not there, or not that."""
        self._require_safe(link)
        status, content = await self._call(self._http.build_request("GET", link), may_act=False)
        if status != HTTPStatus.OK:
            raise Refused(status, "no such file")
        try:
            return await asyncio.to_thread(_unpacked, content, self._body_bytes)
        except (ValueError, KeyError, zipfile.BadZipFile, zlib.error, RecursionError, OSError) as error:
            raise Unavailable(f"not-a-file-of-ours: {type(error).__name__}", maybe_done=False) from error

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    def _headers(self) -> dict[str, str]:
        return {"q-api-token": self._token.value()}

    def _require_safe(self, link: str) -> None:
        address = urlsplit(link)
        if address.scheme != "https" and not (self._allows_plain_links and address.scheme == "http"):
            raise Unavailable("link-not-https", maybe_done=False)

    async def _call(self, request: httpx2.Request, *, may_act: bool) -> tuple[int, bytes]:
        """Status and body within the deadline. Unavailable says whether the request may have left us."""
        if self._quiet_until is not None and self._clock() < self._quiet_until:
            raise Unavailable("rate-limited", maybe_done=False)
        try:
            async with asyncio.timeout(self._call_s):
                status, content = await self._exchange(request, may_act=may_act)
        except _NOT_SENT as error:
            raise Unavailable(f"unreachable: {type(error).__name__}", maybe_done=False) from error
        except (httpx2.TransportError, httpx2.StreamError, TimeoutError) as error:
            raise Unavailable(f"no-answer: {type(error).__name__}", maybe_done=may_act) from error
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(f"vendor-error: HTTP {status}: {_shown(content)}", maybe_done=may_act)
        return status, content

    async def _exchange(self, request: httpx2.Request, *, may_act: bool) -> tuple[int, bytes]:
        request.extensions["timeout"] = httpx2.Timeout(
            self._call_s, connect=self._connect_s, pool=self._call_s / 2
        ).as_dict()
        try:
            return await self._once(request, may_act=may_act)
        except _DEAD_CONNECTION:
            if may_act or request.method != "GET":
                raise
            return await self._once(request, may_act=may_act)

    async def _once(self, request: httpx2.Request, *, may_act: bool) -> tuple[int, bytes]:
        response = await self._http.send(request, stream=True)
        try:
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > self._body_bytes:
                    raise Unavailable("answer-too-large", maybe_done=may_act)
        finally:
            await response.aclose()
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            self._keep_quiet(response.headers.get("retry-after", ""))
            raise Unavailable("rate-limited", maybe_done=False)
        return response.status_code, bytes(content)

    def _keep_quiet(self, told: str) -> None:
        wait_s = min(float(told), _QUIET_AT_MOST_S) if told.isdecimal() else 1.0
        self._quiet_until = self._clock() + timedelta(seconds=wait_s)


class _Token:
    """A secret in a file, read again when the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[tuple[int, int, int], str] | None = None

    def value(self) -> str:
        """Unavailable: it cannot be read, or is no token."""
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if self._known is None or self._known[0] != stamp:
                self._known = (stamp, self._path.read_text(encoding="ascii").strip())
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"no-token: {type(error).__name__}", maybe_done=False) from error
        if not self._known[1] or not self._known[1].isprintable():
            raise Unavailable("no-token: empty", maybe_done=False)
        return self._known[1]


def _json(status: int, content: bytes, *, may_act: bool) -> Any:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise Unavailable(f"token-refused: HTTP {status}", maybe_done=False)
    if status >= HTTPStatus.BAD_REQUEST:
        raise Refused(status, _message(content))
    try:
        return json.loads(content) if content else {}
    except (ValueError, RecursionError) as error:
        raise Unavailable(f"not-json: HTTP {status}: {_shown(content)}", maybe_done=may_act) from error


def _message(content: bytes) -> str:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return _shown(content)
    said = told.get("message", "") if isinstance(told, dict) else ""
    return _shown(str(said).encode())


def _shown(content: bytes) -> str:
    text = content[: 4 * _SHOWN].decode("utf-8", errors="replace")
    return "".join(c if c.isprintable() else " " for c in text)[:_SHOWN]


def _unpacked(content: bytes, most: int) -> Json:
    """The only file of an archive, never larger than `most`, whatever the archive says of itself."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        [name] = archive.namelist()
        with archive.open(name) as file:
            read = file.read(most + 1)
    if len(read) > most:
        raise ValueError("too large")
    told = json.loads(read)
    if not isinstance(told, dict):
        raise ValueError("not an object")  # noqa: TRY004  a fault of the content
    return told
