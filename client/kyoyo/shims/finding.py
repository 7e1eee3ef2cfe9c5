"""Which jobs a command means."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from kyoyo.client import Client
from kyoyo.errors import NotFound
from kyoyo.models import JobRecord
from kyoyo.shims.words import names_in

LIVE = ("RUNNING", "CANCELLING", "DISPATCHING", "QUEUED")
_LONGEST_RUN = timedelta(days=31)
"""How far before a window a job may have been submitted and still run in it."""
_TASKS = re.compile(r"(?P<array>\d+)_\[(?P<indices>[\d,-]+)(?:%\d+)?\]", re.ASCII)
_ONE = re.compile(r"\d+(_\d+)?(\.(batch|extern|\d+))?|[0-9a-f-]{36}", re.ASCII)
_COMMA = re.compile(r",(?![^\[]*\])")


def job_names(text: str) -> Sequence[str]:
    """12, 12_3, 12_[1-3,5], ids; a step is its job. ValueError: the word that is none."""
    found: list[str] = []
    for word in filter(None, _COMMA.split(text)):
        if tasks := _TASKS.fullmatch(word):
            found += [f"{tasks['array']}_{index}" for index in _indices(tasks["indices"])]
        elif _ONE.fullmatch(word):
            found.append(word.partition(".")[0])
        else:
            raise ValueError(word)
    return list(dict.fromkeys(found))


def named(client: Client, names: Iterable[str]) -> tuple[list[JobRecord], list[str]]:
    """The jobs, all tasks where an array was named; and the names that nobody has."""
    found: dict[str, JobRecord] = {}
    missing: list[str] = []
    for name in names:
        try:
            job = client.job(name)
        except NotFound:
            missing.append(name)
            continue
        whole = job.record.array is not None and job.record.handle == name
        for each in job.tasks() if whole else [job]:
            found[each.id] = each.record
    return list(found.values()), missing


def living(client: Client) -> list[JobRecord]:
    """Every job that has not ended, once."""
    return list({record.id: record for state in LIVE for record in client.all_jobs(state=state)}.values())


def during(client: Client, since: datetime, until: datetime) -> Iterator[JobRecord]:
    """Every job that was there in a window."""
    for record in client.all_jobs():
        if record.submitted_at is not None and record.submitted_at < since - _LONGEST_RUN:
            return
        begun = record.submitted_at is None or record.submitted_at < until
        if begun and (record.ended_at is None or record.ended_at >= since):
            yield record


def matches(record: JobRecord, asked: argparse.Namespace) -> bool:
    """Whether a job is in every list that was given of names, partitions, accounts and QOS."""
    wanted = (
        (asked.name, record.name),
        (asked.partition, record.offering),
        (asked.account, record.project),
        (asked.qos, record.service_class),
    )
    return all(told in names_in(listed) for listed, told in wanted if listed)


def in_order(records: Iterable[JobRecord]) -> list[JobRecord]:
    """As they were submitted, the tasks of an array together."""
    return sorted(records, key=_age)


def _age(record: JobRecord) -> tuple[int, int, str]:
    array = record.array
    return (array.number, array.index, record.id) if array else (record.number or 0, 0, record.id)


def _indices(text: str) -> Iterator[int]:
    for part in names_in(text):
        first, dash, last = part.partition("-")
        yield from range(int(first), int(last if dash else first) + 1)
