"""secrets set, secrets list, secrets rm. A value never stands in a command line, and never comes back."""

from __future__ import annotations

from typing import Annotated

import typer

from kyoyo.cli.session import JSON, Session, session_of
from kyoyo.cli.show import table
from kyoyo.errors import UsageError
from kyoyo.terminal import one_line

Name = Annotated[str, typer.Argument(help="option.secret_name", metavar="NAME")]


def secrets_set(ctx: typer.Context, name: Name, *, wants_json: JSON = False) -> None:
    """Keep a secret; its value comes from a prompt or from standard input."""
    session = session_of(ctx, wants_json=wants_json)
    value = _value(session)
    with session.client() as client:
        kept = client.set_secret(name, value)
    if wants_json:
        session.answer(kept)
    else:
        session.say("say.secret_set", name=name)


def secrets_list(ctx: typer.Context, *, wants_json: JSON = False) -> None:
    """The names of one's own."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        found = client.secrets()
    if wants_json:
        session.answer({"items": list(found)})
        return
    rows = [[one_line(str(each.get("name"))), one_line(str(each.get("created_at")))] for each in found]
    table(session, ["name", "set_at"], rows)


def secrets_rm(ctx: typer.Context, name: Name, *, wants_json: JSON = False) -> None:
    """Forget one for good."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        client.remove_secret(name)
    if wants_json:
        session.answer({})
    else:
        session.say("say.secret_removed", name=name)


def _value(session: Session) -> str:
    """Typed unseen, or all of standard input but for the line's end."""
    if session.in_stream.isatty():
        value = str(typer.prompt(session.texts("say.ask_secret"), hide_input=True, err=True))
    else:
        value = session.in_stream.read().removesuffix("\n").removesuffix("\r")
    if not value:
        raise UsageError(key="wrong.no_secret")
    return value
