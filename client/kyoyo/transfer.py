"""Parts on their way: each by its own signed address, straight to the store, several at a time, again if broken."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from http import HTTPStatus
from threading import Event

import httpx2

from kyoyo.errors import Problem, Unavailable
from kyoyo.models import Fields
from kyoyo.parts import Moved, Shape, pieces
from kyoyo.transport import BACK_OFF_S, Pace, problem_of

WORKERS = 4
_BROKEN = (httpx2.TransportError, httpx2.StreamError)
_STALE = frozenset({"transfer-expired", "http-403"})
"""An address whose time is over; S3 says 403."""
_DAMAGED = frozenset({"checksum-wrong", "http-400"})
"""Bytes that changed on the way, or a part that was cut off."""


class Stopped(Exception):
    """Another part has failed for good: this one need not go on."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where one transfer goes, and how."""

    method: str
    url: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, told: object, *, home: str) -> Address:
        """Read an address; a path alone is the portal's."""
        fields = Fields(told)
        url = fields.text("url")
        headers = fields.told.get("headers")
        return cls(
            method=fields.text("method"),
            url=home.rstrip("/") + url if url.startswith("/") else url,
            headers=dict(headers) if isinstance(headers, Mapping) else {},
        )


class Transfers:
    """Moves parts. No token goes along: an address may be a stranger's."""

    def __init__(self, *, pace: Pace, http: httpx2.BaseTransport | None = None) -> None:
        self._pace = pace
        self._http = httpx2.Client(
            headers={"User-Agent": "kyoyo-client", "Accept-Language": "en"},
            timeout=httpx2.Timeout(60.0, connect=10.0),
            transport=http,
            follow_redirects=False,
        )

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def each(self, numbers: Iterable[int], work: Callable[[int, Event], None]) -> None:
        """Several at a time; the first failure ends the rest."""
        stop = Event()
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="kyoyo-data") as pool:
            running = [pool.submit(work, number, stop) for number in numbers]
            try:
                done, _ = wait(running, return_when=FIRST_EXCEPTION)
                failed = [error for each in done if (error := each.exception()) is not None]
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)
        if failed:
            raise next((error for error in failed if not isinstance(error, Stopped)), failed[0])

    def send(
        self, address: Callable[[], Address], fd: int, shape: Shape, number: int, stop: Event, moved: Moved
    ) -> None:
        """One part of an open file. Refused, Unavailable."""

        def once(at: Address, moved: Moved) -> None:
            size = str(shape.size_of(number))
            body = _watched(pieces(fd, shape, number), stop, moved)
            headers = {**at.headers, "Content-Length": size}
            response = self._http.request(at.method, at.url, content=body, headers=headers)
            if response.is_error:
                raise problem_of(response)

        self._again(address, once, stop, moved)

    def fetch(
        self,
        address: Callable[[], Address],
        fd: int,
        shape: Shape,
        number: int,
        sha256: bytes,
        stop: Event,
        moved: Moved,
    ) -> None:
        """One part into its place in an open file, checked. Refused, Unavailable."""
        first, size = shape.first_of(number), shape.size_of(number)

        def once(at: Address, moved: Moved) -> None:
            headers = {**at.headers, "Range": f"bytes={first}-{first + size - 1}"}
            digest, place = hashlib.sha256(), first
            with self._http.stream(at.method, at.url, headers=headers) as response:
                if response.is_error:
                    response.read()
                    raise problem_of(response)
                if response.status_code != HTTPStatus.PARTIAL_CONTENT and shape.count > 1:
                    raise Unavailable("no-ranges", "the store does not give parts of a file")
                for piece in _watched(response.iter_bytes(), stop, moved):
                    digest.update(piece)
                    place = _write(fd, piece, place, first + size)
            if digest.digest() != sha256:
                raise Unavailable("checksum-wrong", f"part {number}")

        self._again(address, once, stop, moved)

    def _again(
        self, address: Callable[[], Address], once: Callable[[Address, Moved], None], stop: Event, moved: Moved
    ) -> None:
        """Until it works or has failed too often; a fresh address each time."""
        for pause_s in (*BACK_OFF_S, None):
            counted = _Counted(moved)
            try:
                once(address(), counted)
            except _BROKEN as broken:
                failure: Problem = Unavailable("transfer-broken", str(broken))
            except Problem as problem:
                failure = problem
                if not (isinstance(problem, Unavailable) or problem.code in _STALE | _DAMAGED):
                    raise
            else:
                return
            counted.take_back()
            if pause_s is None or stop.is_set():
                raise failure
            self._pace.sleep(pause_s)


class _Counted:
    """What one try has moved, to be taken back when it fails."""

    def __init__(self, moved: Moved) -> None:
        self._moved, self._total = moved, 0

    def __call__(self, count: int) -> None:
        self._total += count
        self._moved(count)

    def take_back(self) -> None:
        self._moved(-self._total)


def _watched(told: Iterable[bytes], stop: Event, moved: Moved) -> Iterator[bytes]:
    for piece in told:
        if stop.is_set():
            raise Stopped
        yield piece
        moved(len(piece))


def _write(fd: int, piece: bytes, place: int, end: int) -> int:
    if place + len(piece) > end:
        raise Unavailable("checksum-wrong", "more came than was asked for")
    rest = memoryview(piece)
    while rest:
        written = os.pwrite(fd, rest, place)
        rest, place = rest[written:], place + written
    return place
