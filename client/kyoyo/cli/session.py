"""What every command of one run shares: the language, the two consoles, and how to reach the portal."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, TextIO

import httpx2
import typer
from rich.console import Console

from kyoyo.client import Client
from kyoyo.terminal import harmless
from kyoyo.texts import Texts, language_of
from kyoyo.transport import Pace

JSON = Annotated[bool, typer.Option("--json", help="option.json")]
PIPED_WIDTH = 160
"""Columns of a table that goes into a pipe or a file."""
JST = timezone(timedelta(hours=9), "Asia/Tokyo")


def utc_now() -> datetime:
    """The present instant; handed to a Session so that tests can hand in another."""
    return datetime.now(UTC)  # noqa: TID251  the edge


@dataclass(slots=True, kw_only=True)
class Session:
    """One run of the command. Answers go to `out`, everything else to `err`."""

    environment: Mapping[str, str]
    out_stream: TextIO
    err_stream: TextIO
    in_stream: TextIO
    http: httpx2.BaseTransport | None = None
    pace: Pace | None = None
    now: Callable[[], datetime] = utc_now
    wants_json: bool = False
    last_line: str = ""
    """The last line of progress, so that two waits in a row do not say the same twice."""
    texts: Texts = field(init=False)
    out: Console = field(init=False)
    err: Console = field(init=False)

    def __post_init__(self) -> None:
        self.texts = Texts(language_of(self.environment))
        self.out = _console(self.out_stream, self.environment)
        self.err = _console(self.err_stream, self.environment)

    def client(self, *, url: str | None = None, token: str | None = None) -> Client:
        """A client for the login in force. Unauthorised when there is none."""
        return Client(
            url,
            token,
            language=self.texts.language,
            environment=self.environment,
            pace=self.pace,
            http=self.http,
            now=self.now,
        )

    def answer(self, told: object) -> None:
        """The machine's answer: one JSON document on standard output."""
        self.out_stream.write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")
        self.out_stream.flush()

    def say(self, key: str, **facts: object) -> None:
        """A sentence of the catalogue on standard output; facts may be a stranger's text."""
        self.plain(self.texts(key, **facts))

    def tell(self, key: str, **facts: object) -> None:
        """A sentence on standard error."""
        self.err.print(harmless(self.texts(key, **facts)), markup=False, highlight=False, soft_wrap=True)

    def plain(self, text: str) -> None:
        """Text on standard output as it is, without what could steer a terminal."""
        self.out.print(harmless(text), markup=False, highlight=False, soft_wrap=True)

    def month(self, text: str | None) -> str:
        """A month as YYYY-MM; the present one in Japan when none is given."""
        if text is None:
            return self.now().astimezone(JST).strftime("%Y-%m")
        try:
            return datetime.strptime(text, "%Y-%m").replace(tzinfo=JST).strftime("%Y-%m")
        except ValueError as wrong:
            raise typer.BadParameter(self.texts("say.bad_month", text=text)) from wrong


def session_of(ctx: typer.Context, *, wants_json: bool = False) -> Session:
    """The session of a command; remembers that errors, too, are wanted as JSON."""
    session = ctx.obj
    assert isinstance(session, Session)
    session.wants_json = session.wants_json or wants_json
    return session


def _console(stream: TextIO, environment: Mapping[str, str]) -> Console:
    width = None if stream.isatty() or "COLUMNS" in environment else PIPED_WIDTH
    return Console(file=stream, width=width, emoji=False, _environ={**environment, **_no_colour(stream)})


def _no_colour(stream: TextIO) -> Mapping[str, str]:
    return {} if stream.isatty() else {"NO_COLOR": "1", "FORCE_COLOR": "", "TTY_COMPATIBLE": "0"}


def standard_session() -> Session:
    """The session of a real run."""
    import sys  # noqa: PLC0415  the one place that reads the process's streams

    return Session(environment=os.environ, out_stream=sys.stdout, err_stream=sys.stderr, in_stream=sys.stdin)
