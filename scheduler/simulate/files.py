"""Files of a trace as text and rows."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from scheduler.simulate.errors import TraceUnreadable


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
    reader = csv.reader(io.StringIO(text))
    header = [name.strip() for name in next(reader, [])]
    missing = [name for name in required if name not in header]
    if missing:
        raise TraceUnreadable(source=source, problem="missing_columns", columns=missing)
    return header, ((reader.line_num, row) for row in reader if any(row))
