"""Where --output and --error put what a job wrote, once its portal has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kyoyo.errors import UsageError
from kyoyo.jobs import Job
from kyoyo.models import JobRecord
from kyoyo.script import Directives
from kyoyo.script.patterns import Facts, default_pattern, file_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """A job's files. Without an own one the error stream follows the output in the same file, as far as it can."""

    output: Path
    error: Path | None = None
    appends: bool = False


def files_of(asked: Directives, record: JobRecord, *, user: str) -> Files:
    """What sbatch would name them."""
    facts = Facts(
        job=record.id if record.number is None else str(record.number),
        name=record.name,
        user=user,
        array=str(record.array.number) if record.array else None,
        index=record.array.index if record.array else None,
    )
    output = asked.output or default_pattern(is_task=record.array is not None)
    return Files(
        output=Path(file_name(output, facts)),
        error=Path(file_name(asked.error, facts)) if asked.error else None,
        appends=bool(asked.appends),
    )


def save(job: Job, files: Files) -> None:
    """Write both streams as they come, until the job ends. UsageError: a file cannot be written."""
    mode = "a" if files.appends else "w"
    _write(job, files.output, stream="stdout", mode=mode)
    same = files.error in {None, files.output}
    _write(job, files.output if files.error is None else files.error, stream="stderr", mode="a" if same else mode)


def _write(job: Job, path: Path, *, stream: str, mode: str) -> None:
    try:
        with path.open(mode, encoding="utf-8", newline="") as file:
            for text in job.logs(follow=True, stream=stream):
                file.write(text)
                file.flush()
    except OSError as unwritable:
        raise UsageError(key="wrong.unwritable", path=path) from unwritable
