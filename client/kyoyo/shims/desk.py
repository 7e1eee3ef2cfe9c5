"""What every shim has at hand, how it reads its options, and how it says no in its original's words."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, TextIO

import httpx2

from kyoyo.client import Client, utc_now
from kyoyo.errors import KyoyoError, Problem, UsageError
from kyoyo.remedies import remedy_of
from kyoyo.terminal import one_line
from kyoyo.texts import Texts, language_of
from kyoyo.transport import Pace

FAILED = 1
MAX_COST = "KYOYO_MAX_COST"
"""The variable with the limit of yen."""
INTERRUPTED = 130
BROKEN_PIPE = 141


class Stop(Exception):
    """Leave with this exit code; what was to be said is said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One run of a shim."""

    name: str
    environment: Mapping[str, str]
    out: TextIO
    err: TextIO
    stdin: TextIO
    user: str
    now: Callable[[], datetime] = utc_now
    http: httpx2.BaseTransport | None = None
    pace: Pace | None = None

    @property
    def texts(self) -> Texts:
        """Sentences in the reader's language."""
        return Texts(language_of(self.environment))

    def client(self) -> Client:
        """A client for the login in force. Unauthorised when there is none."""
        return Client(
            language=self.texts.language, environment=self.environment, pace=self.pace, http=self.http, now=self.now
        )

    def say(self, line: str) -> None:
        """A line of the answer."""
        self.out.write(line + "\n")

    def tell(self, text: str) -> None:
        """A line beside the answer."""
        self.err.write(f"{self.name}: {one_line(text)}\n")

    def fail(self, text: str, code: int = FAILED) -> NoReturn:
        """Say why not, in the way of Slurm's commands, and leave."""
        self.tell(f"error: {text}")
        raise Stop(code)

    def parser(self) -> argparse.ArgumentParser:
        """An argument parser that refuses like Slurm's commands; -h is theirs to use."""
        return _Parser(desk=self)

    def detail(self, error: KyoyoError) -> str:
        """One sentence in the reader's language."""
        if isinstance(error, UsageError) and error.key:
            told = self.texts(error.key, **error.facts)
            return self.texts("wrong.line", line=error.line, wrong=told) if error.line else told
        return f"{error.detail} ({error.code})" if isinstance(error, Problem) else error.detail

    def remedy(self, problem: Problem) -> str:
        """What helps, in these commands' words."""
        return remedy_of(self.texts, problem, limit=MAX_COST)


class _Parser(argparse.ArgumentParser):
    def __init__(self, desk: Desk) -> None:
        super().__init__(prog=desk.name, add_help=False, allow_abbrev=True)
        self._desk = desk
        self.add_argument("--help", action="help")
        self.add_argument("--usage", action="help")
        self.add_argument("-V", "--version", action="version", version=f"{desk.name} of kyoyo")

    def error(self, message: str) -> NoReturn:
        self._desk.tell(message)
        self._desk.err.write(f'Try "{self._desk.name} --help" for more information\n')
        raise Stop(FAILED)

    def print_help(self, file: Any = None) -> None:
        (file or self._desk.out).write(self.format_help())

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        self._desk.out.write(message or "")
        raise Stop(status)


Main = Callable[[Desk, Sequence[str]], int]


def run(desk: Desk, main: Main, arguments: Sequence[str]) -> int:
    """Carry out one command line; the exit code."""
    try:
        return main(desk, arguments)
    except Stop as stop:
        return stop.code
    except KyoyoError as error:
        desk.tell(f"error: {desk.detail(error)}")
        if isinstance(error, Problem) and (remedy := desk.remedy(error)):
            desk.tell(f"error: {desk.texts('say.remedy', remedy=remedy)}")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE


def start(name: str, main: Main) -> NoReturn:
    """Run a shim as this process."""
    environment = os.environ
    desk = Desk(
        name=name,
        environment=environment,
        out=sys.stdout,
        err=sys.stderr,
        stdin=sys.stdin,
        user=environment.get("USER") or getpass.getuser(),
    )
    code = run(desk, main, sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more while it ends
        code = BROKEN_PIPE
    sys.exit(code)
