"""scancel: wish jobs to end."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from kyoyo.client import Client
from kyoyo.errors import NotFound
from kyoyo.models import JobRecord
from kyoyo.shims import finding, words
from kyoyo.shims.desk import FAILED, Desk, start
from kyoyo.shims.people import People


def main(desk: Desk, arguments: Sequence[str]) -> int:
    """Cancel by number, or all that match."""
    asked = _asked(desk, arguments)
    filters = any((asked.name, asked.user, asked.me, asked.state, asked.partition, asked.account, asked.qos))
    if not asked.jobs and not filters:
        desk.fail("No job identification provided")
    names = _names(desk, asked.jobs)
    with desk.client() as client:
        if not filters:
            return _by_name(desk, client, names, quiet=asked.quiet)
        records = finding.named(client, names)[0] if names else finding.living(client)
        for record in _matching(desk, asked, records, People(client, desk.user)):
            if not record.ended:
                _cancel(desk, client, record.id, verbose=asked.verbose)
    return 0


def _asked(desk: Desk, arguments: Sequence[str]) -> argparse.Namespace:
    parser = desk.parser()
    parser.add_argument("jobs", nargs="*", metavar="job_id")
    parser.add_argument("-n", "--name", "--jobname", metavar="NAME")
    parser.add_argument("-u", "--user", metavar="NAME")
    parser.add_argument("--me", action="store_true")
    parser.add_argument("-t", "--state", metavar="STATE")
    parser.add_argument("-p", "--partition", metavar="NAME")
    parser.add_argument("-A", "--account", metavar="NAME")
    parser.add_argument("-q", "--qos", metavar="NAME")
    parser.add_argument("-Q", "--quiet", action="store_true")
    parser.add_argument("-v", "--verbose", action="count", default=0)
    parser.add_argument("-s", "--signal", metavar="SIGNAL")
    for letter, word in (("-b", "--batch"), ("-f", "--full"), ("-i", "--interactive")):
        parser.add_argument(letter, word, action="store_true")
    parser.add_argument("-w", "--nodelist", metavar="LIST")
    asked = parser.parse_args(list(arguments))
    for option in ("signal", "batch", "full", "interactive", "nodelist"):
        if getattr(asked, option):
            desk.fail(desk.texts("wrong.shim_option", option=f"--{option}"))
    return asked


def _names(desk: Desk, told: Sequence[str]) -> list[str]:
    try:
        return [name for word in told for name in finding.job_names(word)]
    except ValueError as wrong:
        desk.fail(f"Invalid job id {wrong}")


def _by_name(desk: Desk, client: Client, names: Sequence[str], *, quiet: bool) -> int:
    code = 0
    for name in names:
        try:
            record = client.job(name).record
            if record.array is not None and record.handle == name:
                client.cancel_array(record.array.number)
            elif not record.ended:
                _cancel(desk, client, record.id, verbose=0)
        except NotFound:
            if not quiet:
                desk.tell(f"error: Kill job error on job id {name}: Invalid job id specified")
                code = FAILED
    return code


def _cancel(desk: Desk, client: Client, job_id: str, *, verbose: int) -> None:
    record = client.job(job_id).cancel()
    if verbose:
        desk.tell(f"Terminating job {record.label}")


def _matching(
    desk: Desk, asked: argparse.Namespace, records: Sequence[JobRecord], people: People
) -> Sequence[JobRecord]:
    try:
        states = words.states_of(asked.state) if asked.state else frozenset(words.STATES)
    except ValueError as wrong:
        desk.fail(f"Invalid job state: {wrong}")
    # Without a name only one's own: in Slurm nobody may cancel another's job, here an organisation's owner may.
    users = words.names_in(asked.user) if asked.user else [desk.user]
    mine = people.of(records, users)
    wanted = (("name", "name"), ("partition", "offering"), ("account", "project"), ("qos", "service_class"))
    return [
        record
        for record in mine
        if words.state_of(record) in states
        and all(getattr(asked, option) in {None, getattr(record, fact)} for option, fact in wanted)
    ]


if __name__ == "__main__":
    start("scancel", main)
