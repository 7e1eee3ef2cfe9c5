"""Files of a trace as text and rows."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from scheduler.simulate.errors import TraceUnreadable
from scheduler.simulate.numbers import Where


def text_of(path: Path) -> str:
    """The file's text, unpacked where it is gzip."""
    try:
        raw = path.read_bytes()
    except OSError:
        raise TraceUnreadable(source=path.name, problem="missing_file", columns=[]) from None
    try:
        return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    except (UnicodeDecodeError, OSError, EOFError, zlib.error):
        raise TraceUnreadable(source=path.name, problem="not_text", columns=[]) from None


def rows_of(source: str, text: str, required: Sequence[str]) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Names of the columns, and each row with its number (the header is 1); empty lines are passed over."""
    reader = _numbered(source, text)
    _, first = next(reader, (1, []))
    header = [name.strip() for name in first]
    missing = [name for name in required if name not in header]
    if missing:
        raise TraceUnreadable(source=source, problem="missing_columns", columns=missing)
    twice = [name for name in dict.fromkeys(header) if name and header.count(name) > 1]
    if twice:
        raise TraceUnreadable(source=source, problem="repeated_columns", columns=twice)
    return header, ((number, row) for number, row in reader if any(row))


def _numbered(source: str, text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text))
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error:  # a field without an end
        Where(source, reader.line_num).require(False, "", "not_read")  # noqa: FBT003
