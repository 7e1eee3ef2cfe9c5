"""`kyoyod elastic`: rules by which nodes leave service and come back, disruptions, and what was done, on the server."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer

from infra.clock import new_id, utc_now
from infra.db.connection import Conn
from portal.api.elastic import (
    DisruptionOut,
    ElasticActionOut,
    ElasticRuleOut,
    action_out,
    disruption_out,
    rules_out,
)
from portal.api.wire import Out
from portal.language import Language, negotiate
from portal.sharing import instant, with_database
from scheduler import service as scheduler
from scheduler.elastic.model import Disruption, Purpose, Rule

elastic = typer.Typer(no_args_is_help=True, help="Nodes that leave service when nothing needs them, and disruptions.")
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]
Why = Annotated[str, typer.Option("--reason", help="Why; kept with it and shown.")]
From = Annotated[str | None, typer.Option("--from", help="From when on (ISO 8601 with offset); else now.")]
Until = Annotated[str | None, typer.Option("--until", help="Until when; else until it is ended.")]
Machine = Annotated[str | None, typer.Option("--backend", help="Of this machine alone; else of all.")]
_USUAL = Rule()


@elastic.command(name="rules")
def list_rules(*, as_json: Json = False) -> None:
    """Every rule that was ever set; what holds is marked."""
    found = with_database(scheduler.elastic_rules)
    _show(rules_out(found, utc_now()), as_json=as_json)


@elastic.command(name="set")
def set_rule(
    backend: Annotated[str, typer.Argument(help="The machine.")],
    *,
    reason: Why,
    use: Annotated[
        Purpose | None, typer.Option(help="What becomes of idle nodes: power or lend; else nothing.")
    ] = None,
    lend_to: Annotated[str, typer.Option(help="Who uses them meanwhile.")] = "",
    idle_s: Annotated[int, typer.Option(help="After so long idle.")] = _USUAL.idle_s,
    floor: Annotated[int, typer.Option(help="So many GPUs and QPUs always serve.")] = _USUAL.floor_units,
    spare: Annotated[int, typer.Option(help="So many idle ones stay.")] = _USUAL.spare_units,
    wake_s: Annotated[int, typer.Option(help="So long until one serves again.")] = _USUAL.wake_s,
    min_up_s: Annotated[int, typer.Option(help="So long a node stays once it is back.")] = _USUAL.min_up_s,
    min_down_s: Annotated[int, typer.Option(help="So long it stays away.")] = _USUAL.min_down_s,
    max_per_hour: Annotated[int, typer.Option(help="So many leave in an hour.")] = _USUAL.max_takes_per_hour,
    surge: Annotated[
        list[str] | None, typer.Option(help="This node serves in disruptions alone; again and again.")
    ] = None,
    since: From = None,
) -> None:
    """What holds for a machine, instead of what held before. Left out: the usual."""
    rule = Rule(
        use=use,
        lend_to=lend_to,
        idle_s=idle_s,
        floor_units=floor,
        spare_units=spare,
        wake_s=wake_s,
        min_up_s=min_up_s,
        min_down_s=min_down_s,
        max_takes_per_hour=max_per_hour,
        surge_nodes=frozenset(surge or ()),
    )

    async def change(conn: Conn) -> int:
        now = utc_now()
        return await scheduler.set_elastic_rule(
            conn, actor=None, backend=backend, rule=rule, reason=reason, effective_at=instant(since) or now, now=now
        )

    typer.echo(f"rule {with_database(change)}")


@elastic.command(name="log")
def show_log(
    *,
    backend: Machine = None,
    before: Annotated[int | None, typer.Option(help="Only what has a smaller number.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    as_json: Json = False,
) -> None:
    """What was done to nodes and why, the latest first."""
    found = with_database(lambda conn: scheduler.elastic_actions(conn, backend=backend, before=before, limit=limit))
    _show([action_out(each, _language()) for each in found], as_json=as_json)


@elastic.command(name="disruptions")
def list_disruptions(
    *, ended: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False, as_json: Json = False
) -> None:
    """Disruptions that are on or to come."""
    found = with_database(lambda conn: scheduler.disruptions(conn, now=utc_now(), ended=ended))
    _show([disruption_out(each) for each in found], as_json=as_json)


@elastic.command(name="declare")
def declare(*, reason: Why, backend: Machine = None, since: From = None, until: Until = None) -> None:
    """Supply is disrupted: every node serves, also those that are kept for it."""

    async def change(conn: Conn) -> Disruption:
        now = utc_now()
        wish = Disruption(
            id=new_id(), backend=backend, since=instant(since) or now, until=instant(until), reason=reason
        )
        return await scheduler.declare_disruption(conn, actor=None, disruption=wish, now=now)

    typer.echo(str(with_database(change).id))


@elastic.command(name="end")
def end(disruption: Annotated[UUID, typer.Argument(help="Its id.")], *, reason: Why) -> None:
    """A disruption is over, or will not be."""
    with_database(
        lambda conn: scheduler.end_disruption(conn, actor=None, disruption_id=disruption, reason=reason, now=utc_now())
    )
    typer.echo("ended")


def _show(found: Sequence[ElasticRuleOut | DisruptionOut | ElasticActionOut], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"items": [_told(each) for each in found]}, ensure_ascii=False, indent=2))
        return
    for each in found:
        typer.echo(_line(each))


def _told(each: Out) -> dict[str, object]:
    return each.model_dump(mode="json")


def _line(each: ElasticRuleOut | DisruptionOut | ElasticActionOut) -> str:
    match each:
        case ElasticRuleOut():
            use = f"lend to {each.lend_to}" if each.lend_to else each.use or "none"
            mark, surge = "*" if each.holds else " ", ",".join(each.surge_nodes) or "-"
            limits = f"idle {each.idle_s} s  floor {each.floor_units}  spare {each.spare_units}  surge {surge}"
            return f"{mark} {each.id} {each.backend}  {use}  {limits}  from {_at(each.effective_at)}  {each.reason}"
        case DisruptionOut():
            end = each.ended_at or each.until
            until = "" if end is None else f" until {_at(end)}"
            return f"{each.id} {each.backend or '*'}  from {_at(each.since)}{until}  {each.reason}"
        case ElasticActionOut():
            problem = "" if each.problem == "" else f"  [{each.problem or '?'}]"
            return f"{each.id} {_at(each.decided_at)} {each.backend}  {each.sentence}{problem}"


def _at(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _language() -> Language:
    return negotiate(os.environ.get("LANG", "").replace("_", "-").partition(".")[0])
