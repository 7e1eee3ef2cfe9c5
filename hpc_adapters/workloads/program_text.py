"""Checks of a program as text, before anything parses it: cheap, linear, and safe for a server to do."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hpc_adapters.programs import MAX_TEXT_BYTES, Format, after_comments, document_of, format_of, text_of
from hpc_adapters.pubs import CircuitFormat, Document, ProgramRefused
from hpc_adapters.workloads.circuit_refusals import CircuitRefused

MAX_BYTES = MAX_TEXT_BYTES
MAX_BRACKETS = 32
_VERSION = re.compile(r"OPENQASM[ \t\r\n]+(\d{1,9})(?:\.(\d{1,9}))?[ \t\r\n]*;")


def check_text(program: bytes) -> str:
    """OpenQASM 3 as text. CircuitRefused with what is wrong with it."""
    if len(program) > MAX_BYTES:
        raise CircuitRefused("program-too-large", bytes=len(program), max_bytes=MAX_BYTES)
    return check_circuit(text_of(program), "3")


def check_circuit(text: str, version: str) -> str:
    """The same text, when it says that it is OpenQASM of this version. CircuitRefused."""
    if len(text) > MAX_BYTES:
        raise CircuitRefused("program-too-large", bytes=len(text), max_bytes=MAX_BYTES)
    header = _VERSION.match(after_comments(text))
    if header is None or header[1] != version:
        raise CircuitRefused("not-openqasm-3" if version == "3" else "unknown-format")
    if (depth := max(_bracket_depths(text), default=0)) > MAX_BRACKETS:
        raise CircuitRefused("nesting-too-deep", depth=depth, max_depth=MAX_BRACKETS)
    return text


def version_of(text: str) -> CircuitFormat:
    """Of checked OpenQASM text."""
    header = _VERSION.match(after_comments(text))
    is_third = header is not None and header[1] == "3"
    return CircuitFormat.OPENQASM3 if is_third else CircuitFormat.OPENQASM2


def check_any(program: bytes) -> str | Document:
    """A program in any form: the text of one OpenQASM circuit, or the document. ProgramRefused."""
    written = format_of(program)
    if written is Format.PUBS:
        return document_of(program)
    if len(program) > MAX_BYTES:
        raise ProgramRefused("program-too-large", bytes=len(program), max_bytes=MAX_BYTES)
    return check_circuit(program.decode(), "3" if written is Format.OPENQASM3 else "2")


def _bracket_depths(text: str) -> Iterator[int]:
    """Depth at every bracket. Brackets in comments count as well: an upper bound is enough here."""
    depth = 0
    for bracket in re.finditer(r"[()\[\]{}]", text):
        depth = depth + 1 if bracket[0] in "([{" else max(0, depth - 1)
        yield depth
