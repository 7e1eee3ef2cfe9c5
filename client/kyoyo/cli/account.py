"""login, logout, whoami, offerings."""

from __future__ import annotations

from typing import Annotated

import typer

from kyoyo import settings
from kyoyo.cli.session import JSON, Session, session_of
from kyoyo.cli.show import document, in_words, per, table
from kyoyo.errors import UsageError
from kyoyo.models import Fields, Json, Offering, Price
from kyoyo.spec import QUANTUM
from kyoyo.terminal import duration, one_line, yen


def login(
    ctx: typer.Context,
    *,
    url: Annotated[str | None, typer.Option(help="option.url")] = None,
    token_stdin: Annotated[bool, typer.Option("--token-stdin", help="option.token_stdin")] = False,
    wants_json: JSON = False,
) -> None:
    """Check the token at the portal, then keep it."""
    session = session_of(ctx, wants_json=wants_json)
    address = url or session.environment.get("KYOYO_URL") or _ask(session, "say.ask_url", hide=False)
    address = settings.checked_url(address, environment=session.environment)
    token = session.in_stream.readline() if token_stdin else _ask(session, "say.ask_token", hide=True)
    if not token.strip():
        raise UsageError(session.texts("say.ask_token"))
    chosen = settings.Login(address, token.strip())
    with session.client(url=chosen.url, token=chosen.token) as client:
        me = client.me()
    settings.store(chosen, settings.login_path(session.environment))
    if wants_json:
        session.answer(me)
    else:
        session.say("say.signed_in", who=_who(me), url=address)


def logout(ctx: typer.Context) -> None:
    """Forget the token."""
    session = session_of(ctx)
    settings.forget(settings.login_path(session.environment))
    session.say("say.signed_out")


def whoami(ctx: typer.Context, *, wants_json: JSON = False) -> None:
    """Who the token acts for."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        me = client.me()
    if wants_json:
        session.answer(me)
    else:
        document(session, _in_words(me))


def offerings(ctx: typer.Context, *, wants_json: JSON = False) -> None:
    """What can be bought."""
    session = session_of(ctx, wants_json=wants_json)
    with session.client() as client:
        found = client.offerings()
    if wants_json:
        session.answer({"items": [offering.raw for offering in found]})
        return
    columns = ["offering", "title", "limits", "service_class", "per", "market_yen", "list_yen", "price_yen"]
    rows = [_row(session, offering, price) for offering in found for price in offering.prices]
    table(session, columns, rows, right=3)


def _row(session: Session, offering: Offering, price: Price) -> list[str]:
    return [
        one_line(offering.id),
        one_line(offering.title),
        _limits(session, offering),
        in_words(session, "service_class", price.service_class),
        per(session, price),
        yen(price.market_yen),
        yen(price.list_yen),
        yen(price.price_yen),
    ]


def _limits(session: Session, offering: Offering) -> str:
    limits = Fields(offering.limits)
    if offering.kind == QUANTUM:
        return session.texts("say.limits_qpu", shots=f"{limits.integer('max_shots', 0):,}")
    time = duration(limits.integer("max_walltime_s", 0))
    return session.texts("say.limits_gpu", gpus=limits.integer("max_gpus", 0), time=time)


def _who(me: Json) -> str:
    organisation = Fields(me).inner("organisation").text("name", "")
    name = one_line(str(me.get("display_name", "?")))
    return f"{name} ({one_line(organisation)})" if organisation else name


def _in_words(me: Json) -> Json:
    """The same with the organisation by its name: its ids are in --json."""
    organisation = Fields(me).inner("organisation").text("name", "")
    return {name: value for name, value in {**me, "organisation": organisation}.items() if value}


def _ask(session: Session, key: str, *, hide: bool) -> str:
    answer = typer.prompt(session.texts(key), hide_input=hide, err=True)
    return str(answer)
