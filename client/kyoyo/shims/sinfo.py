"""sinfo: offerings as partitions. How many nodes are behind one, and what they do now, the portal tells no customer."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from kyoyo.models import Fields, Offering
from kyoyo.shims import columns, words
from kyoyo.shims.columns import BadFormat, Column, Placed
from kyoyo.shims.desk import Desk, start

UNKNOWN = "n/a"


def _limit(offering: Offering, name: str) -> int:
    return Fields(offering.limits).integer(name, 0)


def _time(offering: Offering) -> str:
    return words.short_time(_limit(offering, "max_walltime_s")) if _limit(offering, "max_walltime_s") else "infinite"


def _gres(offering: Offering) -> str:
    if not (gpus := _limit(offering, "max_gpus")):
        return "(null)"
    kind = offering.hardware.get("gpu_type")
    return f"gpu:{kind}:{gpus}" if isinstance(kind, str) and kind else f"gpu:{gpus}"


def _sum(per_gpu: str) -> Column[Offering]:
    heading = "CPUS" if per_gpu == "cpus_per_gpu" else "MEMORY"
    return Column(heading, lambda offering: str(_limit(offering, per_gpu) * _limit(offering, "max_gpus") or UNKNOWN))


def _constant(heading: str, text: str) -> Column[Offering]:
    return Column(heading, lambda _: text)


LETTERS: Mapping[str, Column[Offering]] = {
    "P": Column("PARTITION", lambda offering: offering.id),
    "R": Column("PARTITION", lambda offering: offering.id),
    "a": _constant("AVAIL", "up"),
    "l": Column("TIMELIMIT", _time),
    "L": _constant("DEFAULTTIME", UNKNOWN),
    "D": _constant("NODES", UNKNOWN),
    "A": _constant("NODES(A/I)", UNKNOWN),
    "F": _constant("NODES(A/I/O/T)", UNKNOWN),
    "C": _constant("CPUS(A/I/O/T)", UNKNOWN),
    "t": _constant("STATE", "unk"),
    "T": _constant("STATE", "unknown"),
    "N": Column("NODELIST", lambda offering: str(offering.raw.get("backend") or UNKNOWN)),
    "n": Column("HOSTNAMES", lambda offering: str(offering.raw.get("backend") or UNKNOWN)),
    "G": Column("GRES", _gres),
    "c": _sum("cpus_per_gpu"),
    "m": _sum("memory_mb_per_gpu"),
    "s": _constant("JOB_SIZE", "1-infinite"),
    "r": _constant("ROOT", "no"),
    "h": _constant("OVERSUBS", "NO"),
    "g": _constant("GROUPS", "all"),
    "i": _constant("RESERVATION", ""),
    "f": _constant("AVAIL_FEATURES", "(null)"),
    "b": _constant("ACTIVE_FEATURES", "(null)"),
    "E": _constant("REASON", "none"),
    "d": _constant("TMP_DISK", UNKNOWN),
    "w": _constant("WEIGHT", "1"),
    "z": _constant("S:C:T", UNKNOWN),
    "O": _constant("CPU_LOAD", UNKNOWN),
    "e": _constant("FREE_MEM", UNKNOWN),
}


def main(desk: Desk, arguments: Sequence[str]) -> int:
    """List what can be bought as partitions."""
    asked = _asked(desk, arguments)
    with desk.client() as client:
        found = list(client.offerings())
    if asked.partition:
        wanted = words.names_in(asked.partition)
        found = [offering for offering in found if offering.id in wanted]
    prefix, placed = _columns(desk, asked, found)
    if asked.long:
        desk.say(desk.now().astimezone().strftime("%a %b %d %H:%M:%S %Y"))
    for line in columns.lines(prefix, placed, found, heading=not asked.noheader):
        desk.say(line)
    return 0


def _asked(desk: Desk, arguments: Sequence[str]) -> argparse.Namespace:
    parser = desk.parser()
    for letter, word in (
        ("-h", "--noheader"),
        ("-s", "--summarize"),
        ("-N", "--Node"),
        ("-l", "--long"),
        ("-a", "--all"),
    ):
        parser.add_argument(letter, word, action="store_true")
    parser.add_argument("-e", "--exact", action="store_true", help="offerings are never put together")
    parser.add_argument("-p", "--partition", metavar="LIST")
    parser.add_argument("-o", "--format", metavar="FORMAT", default=desk.environment.get("SINFO_FORMAT"))
    return parser.parse_args(list(arguments))


def _columns(
    desk: Desk, asked: argparse.Namespace, found: Sequence[Offering]
) -> tuple[str, Sequence[Placed[Offering]]]:
    try:
        return columns.by_letters(asked.format or _default(asked, found), LETTERS)
    except BadFormat as wrong:
        desk.fail(f"Invalid node format specification: {wrong}")


def _default(asked: argparse.Namespace, found: Sequence[Offering]) -> str:
    wide = max([9, *(len(offering.id) for offering in found)])
    place = max([8, *(len(LETTERS["N"].value(offering)) for offering in found)])
    if asked.Node:
        more = "%.11T %.4c %.8z %.6m %.8d %.6w %.8f %20E" if asked.long else "%6t"
        return f"%{place}N %.6D %{wide}P {more}"
    if asked.summarize:
        return f"%{wide}P %.5a %.10l %.16F %N"
    return (
        f"%{wide}P %.5a %.10l %.10s %.4r %.8h %.10g %.6D %.11T %.11i %N"
        if asked.long
        else f"%{wide}P %.5a %.10l %.6D %.6t %N"
    )


if __name__ == "__main__":
    start("sinfo", main)
