"""sacct: what ran. A job is one line: the portal knows no steps."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from kyoyo.client import Client
from kyoyo.models import JobRecord
from kyoyo.script.times import instant_of
from kyoyo.shims import columns, finding, words
from kyoyo.shims.columns import Accounting, BadFormat, Column, Placed
from kyoyo.shims.desk import FAILED, Desk, Stop, start
from kyoyo.shims.people import People

DEFAULT = "jobid,jobname,partition,account,alloccpus,state,exitcode"
BRIEF = "jobid,state,exitcode"
LONG = (
    "jobid,jobidraw,jobname,partition,maxrss,ntasks,alloccpus,elapsed,state,exitcode,reqmem,consumedenergy,reqtres,"
    "alloctres"
)
_COLUMNS_A_LINE = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One job, or one attempt of it."""

    job: JobRecord
    user: str
    now: datetime

    @property
    def elapsed_s(self) -> int:
        """For how long it ran."""
        return words.used_s(self.job, self.now)


def _cpus(row: Row) -> int:
    return int(row.job.raw.get("cpus") or 0)


def _exit(row: Row) -> str:
    return f"{row.job.exit_code or 0}:0"


def _memory(row: Row) -> str:
    mb = int(row.job.raw.get("memory_mb") or 0)
    return words.megabytes(mb) if mb else ""


def _tres(row: Row) -> str:
    gpus = f"gres/gpu={row.job.gpus}" if row.job.gpus else ""
    memory = f"mem={_memory(row)}" if _memory(row) else ""
    return ",".join(filter(None, (f"cpu={_cpus(row) or 1}", gpus, memory, f"node={row.job.nodes}")))


def _allocated(show: Column[Row]) -> Column[Row]:
    return Column(show.heading, lambda row: show.value(row) if row.job.started_at else "", show.size)


_ALL: Sequence[Column[Row]] = (
    Column("Account", lambda row: row.job.project, 10),
    Column("AllocCPUS", lambda row: str(_cpus(row) if row.job.started_at else 0), 10),
    Column("AllocNodes", lambda row: str(row.job.nodes if row.job.started_at else 0), 10),
    _allocated(Column("AllocTRES", _tres, 10)),
    Column("Cluster", lambda row: row.job.backend, 10),
    Column("Comment", lambda _: "", 14),
    Column("ConsumedEnergy", lambda _: "", 14),
    Column("CPUTime", lambda row: words.long_time(row.elapsed_s * _cpus(row)), 10),
    Column("CPUTimeRAW", lambda row: str(row.elapsed_s * _cpus(row)), 10),
    Column("DerivedExitCode", _exit, 15),
    Column("Elapsed", lambda row: words.long_time(row.elapsed_s), 10),
    Column("ElapsedRaw", lambda row: str(row.elapsed_s), 10),
    Column("Eligible", lambda row: words.stamp(row.job.begin_at or row.job.submitted_at, "Unknown"), 19),
    Column("End", lambda row: words.stamp(row.job.ended_at, "Unknown"), 19),
    Column("ExitCode", _exit, 8),
    Column("JobID", lambda row: row.job.label, -12),
    Column("JobIDRaw", lambda row: str(row.job.number or row.job.id), -12),
    Column("JobName", lambda row: row.job.name, 10),
    Column("MaxRSS", lambda _: "", 10),
    Column("MaxVMSize", lambda _: "", 10),
    Column("NCPUS", lambda row: str(_cpus(row)), 10),
    Column("NNodes", lambda row: str(row.job.nodes), 8),
    Column("NTasks", lambda _: "", 8),
    Column("NodeList", lambda row: row.job.backend if row.job.started_at else "None assigned", 15),
    Column("Partition", lambda row: row.job.offering, 10),
    Column("QOS", lambda row: row.job.service_class, 10),
    Column("Reason", lambda row: words.reason_of(row.job), 22),
    Column("ReqCPUS", lambda row: str(_cpus(row)), 8),
    Column("ReqMem", _memory, 10),
    Column("ReqNodes", lambda row: str(row.job.nodes), 8),
    Column("ReqTRES", _tres, 10),
    Column("Restarts", lambda row: str(max(0, row.job.attempt_count - 1)), 8),
    Column("Start", lambda row: words.stamp(row.job.started_at, "Unknown"), 19),
    Column("State", lambda row: words.state_of(row.job), 10),
    Column("Submit", lambda row: words.stamp(row.job.submitted_at, "Unknown"), 19),
    Column("Suspended", lambda _: "00:00:00", 10),
    Column("Timelimit", lambda row: words.long_time(row.job.walltime_s), 10),
    Column("TimelimitRaw", lambda row: str(-(-row.job.walltime_s // 60)), 12),
    Column("TotalCPU", lambda _: "", 10),
    Column("UID", lambda row: str(row.job.raw.get("person_id") or ""), 6),
    Column("User", lambda row: row.user, 9),
    Column("WorkDir", lambda _: "", 20),
)
NAMES: Mapping[str, Column[Row]] = {column.heading.lower(): column for column in _ALL}


def main(desk: Desk, arguments: Sequence[str]) -> int:
    """Show what ran."""
    asked = _asked(desk, arguments)
    if asked.helpformat:
        _help_format(desk)
        return 0
    placed = _placed(desk, asked)
    with desk.client() as client:
        people = People(client, desk.user)
        records = [record for record in _records(desk, asked, client) if finding.matches(record, asked)]
        if asked.user and not asked.allusers:
            records = people.of(records, words.names_in(asked.user))
        elif not asked.allusers and not asked.jobs:
            records = [record for record in records if people.is_mine(record)]
        rows = [Row(each, people.name_of(each), desk.now()) for each in finding.in_order(records)]
    how = Accounting(
        heading=not asked.noheader,
        parsable=asked.parsable or asked.parsable2,
        closed=asked.parsable and not asked.parsable2,
        separator=asked.delimiter,
    )
    for line in columns.accounting_lines(placed, rows, how):
        desk.say(line)
    return 0


def _asked(desk: Desk, arguments: Sequence[str]) -> argparse.Namespace:
    parser = desk.parser()
    flags = (
        ("-X", "--allocations"),
        ("-n", "--noheader"),
        ("-p", "--parsable"),
        ("-P", "--parsable2"),
        ("-b", "--brief"),
        ("-l", "--long"),
        ("-a", "--allusers"),
        ("-e", "--helpformat"),
    )
    for letter, word in flags:
        parser.add_argument(letter, word, action="store_true")
    for flag in ("--noconvert", "--array"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("-j", "--jobs", metavar="LIST")
    parser.add_argument("-S", "--starttime", metavar="TIME")
    parser.add_argument("-E", "--endtime", metavar="TIME")
    parser.add_argument("-u", "--user", "--uid", metavar="LIST")
    parser.add_argument("-s", "--state", metavar="LIST")
    parser.add_argument("-r", "--partition", metavar="LIST")
    parser.add_argument("-A", "--accounts", dest="account", metavar="LIST")
    parser.add_argument("-q", "--qos", metavar="LIST")
    parser.add_argument("--name", metavar="LIST")
    parser.add_argument("--delimiter", default="|")
    parser.add_argument("--units", metavar="UNIT", help="amounts are shown in M and G in any case")
    parser.add_argument("-o", "--format", metavar="LIST", default=desk.environment.get("SACCT_FORMAT"))
    return parser.parse_args(list(arguments))


def _placed(desk: Desk, asked: argparse.Namespace) -> Sequence[Placed[Row]]:
    default = LONG if asked.long else BRIEF if asked.brief else DEFAULT
    try:
        return columns.accounting_columns(asked.format or default, NAMES)
    except BadFormat as wrong:
        desk.fail(f'Invalid field requested: "{wrong}"')


def _records(desk: Desk, asked: argparse.Namespace, client: Client) -> Sequence[JobRecord]:
    states = _states(desk, asked)
    if asked.jobs:
        try:
            found, _ = finding.named(client, finding.job_names(asked.jobs))
        except ValueError as wrong:
            desk.fail(f"Bad job/step specified: {wrong}")
        since, until = _time(desk, asked.starttime), _time(desk, asked.endtime)
        found = [each for each in found if _within(each, since, until)]
    else:
        now = desk.now()
        midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        since = _time(desk, asked.starttime) or (now if states else midnight)
        found = list(finding.during(client, since.astimezone(UTC), _time(desk, asked.endtime) or now))
    return [record for record in found if not states or words.state_of(record) in states]


def _within(record: JobRecord, since: datetime | None, until: datetime | None) -> bool:
    late = until is not None and record.submitted_at is not None and record.submitted_at >= until
    early = since is not None and record.ended_at is not None and record.ended_at < since
    return not late and not early


def _states(desk: Desk, asked: argparse.Namespace) -> frozenset[str]:
    try:
        return words.states_of(asked.state) if asked.state else frozenset()
    except ValueError as wrong:
        desk.tell(f"fatal: unrecognized job state value '{wrong}'")
        raise Stop(FAILED) from wrong


def _time(desk: Desk, text: str | None) -> datetime | None:
    return None if text is None else instant_of(text, desk.now())


def _help_format(desk: Desk) -> None:
    names = [column.heading for column in NAMES.values()]
    for at in range(0, len(names), _COLUMNS_A_LINE):
        desk.say(" ".join(f"{name:<19}" for name in names[at : at + _COLUMNS_A_LINE]))


if __name__ == "__main__":
    start("sacct", main)
