"""A workload as the files of a trace, with or without its names. Pure but for write()."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from shlex import quote

from scheduler.simulate.rows import OPTIONAL, REQUIRED
from scheduler.simulate.shares import Share
from scheduler.simulate.sources import Source

_LETTERS = ("org", "project", "user")
_MILLI = 1000


def pseudonymous(source: Source) -> Source:
    """Branches are numbered in the order of their first jobs ('org2/project1/user3'); machines keep their names."""
    parents = {share.name: share.parent for share in source.shares}
    new: dict[str, str] = {"": ""}
    below: dict[str, int] = {}

    def renamed(name: str) -> str:
        if name not in new:
            above = renamed(parents[name])
            below[above] = below.get(above, 0) + 1
            depth = above.count("/") + bool(above)
            kind = _LETTERS[min(depth, len(_LETTERS) - 1)]
            new[name] = f"{above}/{kind}{below[above]}".removeprefix("/")
        return new[name]

    jobs = [job._replace(org=renamed(job.org)) for job in source.jobs]
    shares = [Share(renamed(share.name), share.weight, renamed(share.parent)) for share in source.shares]
    return replace(source, jobs=jobs, shares=sorted(shares, key=lambda share: (share.name.count("/"), share.name)))


def write(source: Source, folder: Path) -> None:
    """jobs.csv.gz and shares.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = (*REQUIRED, *OPTIONAL)
    jobs = _csv(columns, ([getattr(job, name) for name in columns] for job in source.jobs))
    (folder / "jobs.csv.gz").write_bytes(gzip.compress(jobs.encode(), mtime=0))
    shares = _csv(("org", "share", "parent"), ([share.name, share.weight, share.parent] for share in source.shares))
    (folder / "shares.csv").write_text(shares, encoding="utf-8")


def how_to_replay(source: Source, folder: Path) -> str:
    """The command that replays these files as the source itself would be replayed."""
    words = ["python", "-m", "scheduler.simulate", "replay", "--jobs", str(folder / "jobs.csv.gz")]
    words += ["--shares", str(folder / "shares.csv")]
    words += ["--gpus", str(source.gpus)] if source.gpus else []
    for name, units in source.pools.items():
        words += ["--gpus", f"{name}={units}"]
    for name, units in source.qpus.items():
        words += ["--qpus", f"{name}={units}"]
    for name, milli in source.rates.items():
        words += ["--rate", f"{name}={Decimal(milli) / _MILLI}"]
    return " ".join(map(quote, words))


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
