"""A portal of canned answers for the client's tests: keeps what it was asked, answers from a script."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx2

from kyoyo import Client
from kyoyo.cli.app import run
from kyoyo.cli.session import Session
from kyoyo.transport import Pace

Answer = httpx2.Response | Exception
URL = "http://127.0.0.1:9"
API = "/api/v1"


def problem(status: int, code: str, **more: object) -> httpx2.Response:
    body = {"type": "about:blank", "title": code, "status": status, "detail": f"{code}!", "code": code, **more}
    return httpx2.Response(status, json=body)


def a_job(job_id: str = "j-1", state: str = "QUEUED", **more: object) -> dict[str, object]:
    return {
        "id": job_id,
        "name": "train",
        "kind": "batch",
        "state": state,
        "offering": "gpu",
        "backend": "local",
        "project": "default",
        "gpus": 1,
        "shots": 0,
        "walltime_s": 60,
        "submitted_at": "2026-11-21T00:00:00+00:00",
        "started_at": None,
        "ended_at": None,
        "exit_code": None,
        "reason": None,
        "attempt_count": 1,
        "quote_yen": "12.500000",
        "charge_yen": None,
        **more,
    }


def an_offering(offering_id: str = "gpu", kind: str = "gpu") -> dict[str, object]:
    price = {
        "service_class": "standard",
        "component": "gpu_s" if kind == "gpu" else "qpu_s",
        "per": "3600",
        "price_yen": "300",
        "list_yen": "400",
        "market_yen": "500",
    }
    return {
        "id": offering_id,
        "kind": kind,
        "title": "GPU",
        "hardware": {},
        "limits": {"max_gpus": 4},
        "prices": [price],
    }


def an_estimate(ceiling_yen: str = "100", with_tax_yen: str = "110") -> dict[str, object]:
    return {
        "offering": "gpu",
        "ceiling_yen": ceiling_yen,
        "ceiling_with_tax_yen": with_tax_yen,
        "expected_yen": "50",
        "available_yen": "1000",
        "admissible": True,
    }


@dataclass
class FakePortal:
    """Answers `METHOD /path` from `answers` in turn; the last answer of a list goes on for ever."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[httpx2.Request] = field(default_factory=list)
    slept_s: list[float] = field(default_factory=list)
    now_s: float = 0.0

    def on(self, call: str, *answers: Answer | Mapping[str, object]) -> FakePortal:
        self.answers[call] = [
            answer if isinstance(answer, httpx2.Response | Exception) else httpx2.Response(200, json=answer)
            for answer in answers
        ]
        return self

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        self.asked.append(request)
        call = f"{request.method} {request.url.path.removeprefix(API)}"
        prepared = self.answers.get(call)
        if not prepared:
            return problem(404, "not-found")
        answer = prepared.pop(0) if len(prepared) > 1 else prepared[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds

    @property
    def http(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self)

    @property
    def pace(self) -> Pace:
        return Pace(sleep=self.sleep, monotonic=lambda: self.now_s)

    def client(self, make_key: Callable[[], str] = lambda: "key-1") -> Client:
        return Client(URL, "kyo_t", language="en", environment={}, http=self.http, pace=self.pace, make_key=make_key)

    def bodies(self, call: str) -> list[dict[str, object]]:
        method, path = call.split(" ")
        return [
            json.loads(asked.content) for asked in self.asked if asked.method == method and asked.url.path == API + path
        ]


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, object]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def kyoyo(
    portal: FakePortal, *arguments: str, home: Path | None = None, terminal: bool = False, stdin: str = "", **env: str
) -> Ran:
    """One run of the command against the fake portal."""
    signed_in = {"KYOYO_URL": URL, "KYOYO_TOKEN": "kyo_t"} if home is None else {"KYOYO_CONFIG_DIR": str(home)}
    out = Terminal() if terminal else io.StringIO()
    err = io.StringIO()
    session = Session(
        environment={"TERM": "xterm-256color", "COLUMNS": "200", **signed_in, **env},
        out_stream=out,
        err_stream=err,
        in_stream=io.StringIO(stdin),
        http=portal.http,
        pace=portal.pace,
        now=lambda: datetime(2026, 11, 30, 16, 0, tzinfo=UTC),
    )
    code = run(arguments, session)
    return Ran(code, out.getvalue(), err.getvalue())
