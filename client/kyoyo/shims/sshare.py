"""sshare: what the organisation used. Its share and its place among others the portal tells no customer."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from kyoyo.models import Fields, Json
from kyoyo.shims import columns
from kyoyo.shims.columns import Accounting, BadFormat, Column
from kyoyo.shims.desk import Desk, start

DEFAULT = "account,user,rawshares,normshares,rawusage,effectvusage,fairshare"
LONG = "account,user,rawshares,normshares,rawusage,normusage,effectvusage,fairshare,levelfs,grptresmins,tresrunmins"


@dataclass(frozen=True, slots=True)
class Row:
    """The organisation, or a person in it."""

    account: str
    user: str
    used_s: str


def _blank(heading: str, size: int) -> Column[Row]:
    return Column(heading, lambda _: "", size)


_ALL: Sequence[Column[Row]] = (
    Column("Account", lambda row: row.account, -20),
    Column("User", lambda row: row.user, 10),
    _blank("RawShares", 10),
    _blank("NormShares", 11),
    Column("RawUsage", lambda row: row.used_s, 11),
    _blank("NormUsage", 11),
    _blank("EffectvUsage", 13),
    _blank("FairShare", 10),
    _blank("LevelFS", 10),
    _blank("GrpTRESMins", 30),
    _blank("TRESRunMins", 30),
)
NAMES: Mapping[str, Column[Row]] = {column.heading.lower(): column for column in _ALL}


def main(desk: Desk, arguments: Sequence[str]) -> int:
    """Show the use of this month."""
    asked = _asked(desk, arguments)
    try:
        placed = columns.accounting_columns(asked.format or (LONG if asked.long else DEFAULT), NAMES)
    except BadFormat as wrong:
        desk.fail(f'Invalid field requested: "{wrong}"')
    with desk.client() as client:
        me = client.me()
        account = Fields(me).inner("organisation").text("slug", "")
        usage = client.usage(desk.now().astimezone().strftime("%Y-%m"))
    whole = Row(account, "", _gpu_seconds(usage))
    mine = Row(account if asked.Users else f" {account}", desk.user, "")
    how = Accounting(
        heading=not asked.noheader,
        parsable=asked.parsable or asked.parsable2,
        closed=asked.parsable and not asked.parsable2,
    )
    for line in columns.accounting_lines(placed, [mine] if asked.Users else [whole, mine], how):
        desk.say(line)
    return 0


def _asked(desk: Desk, arguments: Sequence[str]) -> argparse.Namespace:
    parser = desk.parser()
    flags = (
        ("-l", "--long"),
        ("-U", "--Users"),
        ("-n", "--noheader"),
        ("-p", "--parsable"),
        ("-P", "--parsable2"),
        ("-a", "--all"),
        ("-v", "--verbose"),
    )
    for letter, word in flags:
        parser.add_argument(letter, word, action="store_true")
    parser.add_argument("-o", "--format", metavar="LIST")
    return parser.parse_args(list(arguments))


def _gpu_seconds(usage: Json) -> str:
    """GPU-seconds of the month, whole."""
    found = Decimal(0)
    for line in Fields(usage).items(Fields):
        if line.text("component", "") == "gpu_s":
            found += line.yen("quantity") or Decimal(0)
    return str(int(found))


if __name__ == "__main__":
    start("sshare", main)
