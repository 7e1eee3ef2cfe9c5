"""Traces as files: rows become checked values, or a refusal that names the row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from scheduler.simulate import swf
from scheduler.simulate.errors import TraceRowRefused, TraceUnreadable
from scheduler.simulate.files import rows_of, text_of
from scheduler.simulate.numbers import Where
from scheduler.simulate.rows import OPTIONAL, REQUIRED, TraceJob, checked


def read_jobs(path: Path) -> list[TraceJob]:
    """jobs.csv or jobs.csv.gz, or the Standard Workload Format by the ending .swf or .swf.gz, in the file's order."""
    text = text_of(path)
    is_swf = path.name.removesuffix(".gz").endswith(".swf")
    jobs = swf.jobs_of(path.name, text) if is_swf else list(_jobs(path.name, text))
    if not jobs:
        raise TraceUnreadable(source=path.name, problem="no_rows", columns=[])
    _require_unique(path.name, jobs)
    return jobs


def _jobs(source: str, text: str) -> Iterator[TraceJob]:
    header, rows = rows_of(source, text, REQUIRED)
    at = {name: index for index, name in enumerate(header)}
    columns = [at[name] for name in REQUIRED]
    optional = [at.get(name) for name in OPTIONAL]
    for number, row in rows:
        if len(row) < len(header):
            raise TraceRowRefused(
                source=source, row=number, column=header[len(row)], value="", problem="missing_value", limit=""
            )
        words = [row[index].strip() for index in columns]
        more = ["" if index is None else row[index].strip() for index in optional]
        yield checked(Where(source, number), words, more)


def _require_unique(source: str, jobs: Sequence[TraceJob]) -> None:
    seen: set[str] = set()
    for job in jobs:
        Where(source, job.row).require(job.job_id not in seen, "job_id", "repeated", value=job.job_id)
        seen.add(job.job_id)
