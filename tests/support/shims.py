"""Slurm's commands of ours in front of a fake portal, in this process."""

from __future__ import annotations

import importlib
import io
from datetime import UTC, datetime

from kyoyo.shims.desk import Desk, run
from tests.support.fake_portal import URL, FakePortal, Ran

NOW = datetime(2026, 11, 21, 9, 30, 54, tzinfo=UTC)
ME = {"person_id": "p-1", "organisation": {"slug": "lab-a", "name": "Lab A"}}


def shim(portal: FakePortal, command: str, *, stdin: str = "", now: datetime = NOW, **environment: str) -> Ran:
    """One run of `name option option…`; words are split at spaces."""
    name, *arguments = command.split(" ")
    return shim_words(portal, name, *arguments, stdin=stdin, now=now, **environment)


def shim_words(
    portal: FakePortal, name: str, *arguments: str, stdin: str = "", now: datetime = NOW, **environment: str
) -> Ran:
    """The same with words that may hold spaces."""
    out, err = io.StringIO(), io.StringIO()
    desk = Desk(
        name=name,
        environment={"KYOYO_URL": URL, "KYOYO_TOKEN": "kyo_t", **environment},
        out=out,
        err=err,
        stdin=io.StringIO(stdin),
        user="alice",
        now=lambda: now,
        http=portal.http,
        pace=portal.pace,
    )
    code = run(desk, importlib.import_module(f"kyoyo.shims.{name}").main, arguments)
    return Ran(code, out.getvalue(), err.getvalue())
