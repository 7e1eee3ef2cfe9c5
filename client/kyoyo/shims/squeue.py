"""squeue: jobs that wait or run."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kyoyo.client import Client
from kyoyo.models import JobRecord
from kyoyo.shims import columns, finding, words
from kyoyo.shims.columns import BadFormat, Column, Placed
from kyoyo.shims.desk import Desk, start
from kyoyo.shims.people import People

DEFAULT = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R"
LONG = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R"
START = "%.18i %.9P %.8j %.8u %.2t %.19S %.6D %20Y %R"
_LIVING = frozenset({"PENDING", "RUNNING", "COMPLETING"})
_ORDER = ("PENDING", "RUNNING", "COMPLETING")


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a job, or the waiting tasks of an array together."""

    job: JobRecord
    user: str
    now: datetime
    together: str = ""
    """Which tasks, where there are several."""

    @property
    def waits(self) -> bool:
        """Whether it is pending."""
        return words.state_of(self.job) == "PENDING"

    @property
    def label(self) -> str:
        """Its job id."""
        return f"{self.job.handle}_[{self.together}]" if self.together else self.job.label

    @property
    def ends_at(self) -> datetime | None:
        """When it ended, or has to."""
        limit = timedelta(seconds=self.job.walltime_s)
        return self.job.ended_at or (self.job.started_at + limit if self.job.started_at else None)


def _place(row: Row) -> str:
    ended_badly = row.job.ended and not row.job.succeeded
    return f"({words.reason_of(row.job)})" if row.waits or ended_badly else row.job.backend


def _left(row: Row) -> str:
    return words.short_time(max(0, row.job.walltime_s - words.used_s(row.job, row.now)))


def _waits_for(row: Row) -> str:
    told = [f"{each.get('kind')}:{each.get('job')}" for each in row.job.dependencies]
    return ",".join(told) or "(null)"


def _tres(row: Row) -> str:
    return f"gres/gpu:{row.job.gpus // max(1, row.job.nodes)}" if row.job.gpus else words.NOTHING


def _array_index(row: Row) -> str:
    return row.together or (str(row.job.array.index) if row.job.array else words.NOTHING)


def _fact(name: str, missing: str = "(null)") -> Column[Row]:
    return Column(name.upper(), lambda row: str(row.job.raw.get(name) or missing))


def _constant(heading: str, text: str) -> Column[Row]:
    return Column(heading, lambda _: text)


def _expected(row: Row) -> datetime | None:
    """As likely before as after, as far as that is foreseen; else when it was asked not to start before."""
    forecast = row.job.forecast
    return row.job.begin_at if forecast is None or forecast.p50_at is None else forecast.p50_at


LETTERS: Mapping[str, Column[Row]] = {
    "i": Column("JOBID", lambda row: row.label),
    "A": Column("JOBID", lambda row: str(row.job.number or row.job.id)),
    "F": Column("ARRAY_JOB_ID", lambda row: row.job.handle),
    "K": Column("ARRAY_TASK_ID", _array_index),
    "P": Column("PARTITION", lambda row: row.job.offering),
    "j": Column("NAME", lambda row: row.job.name),
    "u": Column("USER", lambda row: row.user),
    "t": Column("ST", lambda row: words.compact(words.state_of(row.job))),
    "T": Column("STATE", lambda row: words.state_of(row.job)),
    "M": Column("TIME", lambda row: words.short_time(words.used_s(row.job, row.now))),
    "l": Column("TIME_LIMIT", lambda row: words.short_time(row.job.walltime_s)),
    "L": Column("TIME_LEFT", _left),
    "D": Column("NODES", lambda row: str(row.job.nodes)),
    "R": Column("NODELIST(REASON)", _place),
    "N": Column("NODELIST", lambda row: "" if row.waits else row.job.backend),
    "B": Column("EXEC_HOST", lambda row: words.NOTHING if row.waits else row.job.backend),
    "r": Column("REASON", lambda row: words.reason_of(row.job)),
    "S": Column("START_TIME", lambda row: words.stamp(row.job.started_at or _expected(row))),
    "e": Column("END_TIME", lambda row: words.stamp(row.ends_at)),
    "V": Column("SUBMIT_TIME", lambda row: words.stamp(row.job.submitted_at)),
    "a": Column("ACCOUNT", lambda row: row.job.project),
    "q": Column("QOS", lambda row: row.job.service_class),
    "C": Column("CPUS", lambda row: str(row.job.raw.get("cpus") or 1)),
    "m": Column("MIN_MEMORY", lambda row: words.megabytes(int(row.job.raw.get("memory_mb") or 0) // row.job.nodes)),
    "b": Column("TRES_PER_NODE", _tres),
    "E": Column("DEPENDENCY", _waits_for),
    "f": _fact("constraint"),
    "v": _fact("reservation"),
    "k": _constant("COMMENT", "(null)"),
    "Y": _constant("SCHEDNODES", "(null)"),
    "Q": _constant("PRIORITY", words.NOTHING),
    "p": _constant("PRIORITY", words.NOTHING),
    "h": _constant("OVERSUBSCRIBE", "OK"),
    "n": _constant("REQ_NODES", ""),
    "x": _constant("EXC_NODES", ""),
    "o": _constant("COMMAND", "(null)"),
    "Z": _constant("WORK_DIR", "(null)"),
    "W": _constant("LICENSES", "(null)"),
    "c": _constant("MIN_CPUS", "1"),
    "y": _constant("NICE", "0"),
    "g": _constant("GROUP", "(null)"),
    "U": Column("UID", lambda row: str(row.job.raw.get("person_id") or "")),
}
_BY_NAME = (
    "jobarrayid=i jobid=A arrayjobid=F arraytaskid=K partition=P name=j username=u statecompact=t state=T timeused=M "
    "timelimit=l timeleft=L numnodes=D reasonlist=R nodelist=N batchhost=B reason=r starttime=S endtime=e submittime=V "
    "account=a qos=q numcpus=C minmemory=m tres-per-node=b gres=b dependency=E feature=f reservation=v comment=k "
    "schednodes=Y prioritylong=Q priority=p licenses=W command=o workdir=Z nice=y userid=U"
)
NAMES: Mapping[str, Column[Row]] = {
    name: LETTERS[letter] for name, _, letter in (pair.partition("=") for pair in _BY_NAME.split())
}


def main(desk: Desk, arguments: Sequence[str]) -> int:
    """List the queue."""
    asked = _asked(desk, arguments)
    prefix, placed = _columns(desk, asked)
    states = _states(desk, asked)
    with desk.client() as client:
        people = People(client, desk.user)
        records = [
            record
            for record in _records(desk, asked, client)
            if words.state_of(record) in states and finding.matches(record, asked)
        ]
        if asked.me:
            records = [record for record in records if people.is_mine(record)]
        if asked.user:
            records = people.of(records, words.names_in(asked.user))
        rows = [Row(record, people.name_of(record), desk.now()) for record in records]
    if asked.long:
        desk.say(desk.now().astimezone().strftime("%a %b %d %H:%M:%S %Y"))
    rows = _sorted(rows if asked.array else _together(rows))
    for line in columns.lines(prefix, placed, rows, heading=not asked.noheader):
        desk.say(line)
    return 0


def _asked(desk: Desk, arguments: Sequence[str]) -> argparse.Namespace:
    parser = desk.parser()
    for words_, name in ((("-h", "--noheader"), "noheader"), (("-l", "--long"), "long"), (("-r", "--array"), "array")):
        parser.add_argument(*words_, dest=name, action="store_true")
    for flag in ("--me", "--start"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("-a", "--all", action="store_true", help="there are no hidden partitions")
    parser.add_argument("-j", "--jobs", metavar="LIST", nargs="?", const="")
    parser.add_argument("-u", "--user", "--users", metavar="LIST")
    parser.add_argument("-t", "--states", metavar="LIST")
    parser.add_argument("-n", "--name", metavar="LIST")
    parser.add_argument("-p", "--partition", metavar="LIST")
    parser.add_argument("-A", "--account", metavar="LIST")
    parser.add_argument("-q", "--qos", metavar="LIST")
    parser.add_argument("-o", "--format", metavar="FORMAT", default=desk.environment.get("SQUEUE_FORMAT"))
    parser.add_argument("-O", "--Format", metavar="FORMAT", dest="names")
    return parser.parse_args(list(arguments))


def _columns(desk: Desk, asked: argparse.Namespace) -> tuple[str, Sequence[Placed[Row]]]:
    default = START if asked.start else LONG if asked.long else DEFAULT
    try:
        if asked.names:
            return "", columns.by_names(asked.names, NAMES)
        return columns.by_letters(asked.format or default, LETTERS)
    except BadFormat as wrong:
        desk.fail(f"Invalid job format specification: {wrong}")


def _states(desk: Desk, asked: argparse.Namespace) -> frozenset[str]:
    if asked.start:
        return frozenset({"PENDING"})
    try:
        return words.states_of(asked.states) if asked.states else _LIVING
    except ValueError as wrong:
        desk.tell(f"error: Invalid job state specified: {wrong}")
        known = ",".join(state.lower() for state in (*words.STATES, *words.NEVER_HERE))
        desk.fail(f"Valid job states include: {known}")


def _records(desk: Desk, asked: argparse.Namespace, client: Client) -> list[JobRecord]:
    if not asked.jobs:
        known = _LIVING if not asked.states else words.states_of(asked.states)
        return finding.living(client) if known <= _LIVING else list(client.all_jobs())
    try:
        names = finding.job_names(asked.jobs)
    except ValueError as wrong:
        desk.fail(f"Invalid job id: {wrong}")
    found, missing = finding.named(client, names)
    if missing and len(names) == 1:
        desk.err.write("slurm_load_jobs error: Invalid job id specified\n")
        desk.fail(f"no such job: {missing[0]}")
    return found


def _together(rows: Sequence[Row]) -> list[Row]:
    """The waiting tasks of an array in one line, as far as they wait for the same."""
    found: list[Row] = []
    groups: dict[tuple[int, str], list[Row]] = {}
    for row in rows:
        if row.job.array is None or not row.waits:
            found.append(row)
        else:
            groups.setdefault((row.job.array.number, words.reason_of(row.job)), []).append(row)
    for group in groups.values():
        first = finding.in_order(row.job for row in group)[0]
        indices = words.tasks_in_short(row.job.array.index for row in group if row.job.array)
        found.append(Row(first, group[0].user, group[0].now, indices))
    return found


def _sorted(rows: Sequence[Row]) -> list[Row]:
    by_age = {record.id: place for place, record in enumerate(finding.in_order(row.job for row in rows))}
    states = {state: place for place, state in enumerate(_ORDER)}
    return sorted(rows, key=lambda row: (row.job.offering, states.get(words.state_of(row.job), 9), by_age[row.job.id]))


if __name__ == "__main__":
    start("squeue", main)
